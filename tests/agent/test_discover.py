"""`coldaisle agent discover`: what it prints is a configuration, secrets stay secret, Ctrl-C loses nothing."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agent.cli import app
from agent.config import AgentConfig, Credentials
from agent.site import read_site
from agent.snippet import Plan, snippet
from agent.values import SecretRef
from collectors.discover import Found, Spoken
from collectors.exchange import PollProblem
from collectors.library import Library
from tests.collectors.speaking.gateway import Unit, gateway
from tests.support.snmpd import Override, Snmpd

RUN = CliRunner()
PLAN = Plan("10.0.0.0/24", "site-1", "edge-1", {"racks": Credentials(snmp="v2c", community=SecretRef(env="RACKS"))})
UPS: list[Override] = [
    ("1.3.6.1.2.1.1.2.0", "object_id", ".1.3.6.1.4.1.8072.3.2.10"),
    ("1.3.6.1.2.1.1.5.0", "octet_str", "ups: #west"),
    ("1.3.6.1.2.1.33.1.1.1.0", "octet_str", "Acme"),
    ("1.3.6.1.2.1.33.1.2.1.0", "integer", 2),
    ("1.3.6.1.2.1.33.1.2.4.0", "integer", 88),
]


@contextmanager
def serving(units: dict[int, Unit]) -> Iterator[int]:
    """A Modbus gateway in a thread of its own, for commands that block this one. Yields its port."""
    ready: list[int] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        async with gateway(units) as port:
            ready.append(port)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        assert started.wait(10)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.mark.peer("snmpd")
def test_what_was_found_is_a_configuration_that_check_accepts(snmpd: Snmpd, tmp_path: Path) -> None:
    snmpd.serve(UPS)
    out = tmp_path / "found.yaml"
    secret = tmp_path / "community"
    secret.write_text("public\n")
    secret.chmod(0o600)
    with serving({4: Unit()}) as port:
        words = ["--snmp-community", f"file:{secret}", "--snmp-port", str(snmpd.port)]
        words += ["--modbus", "--units", "3-5", "--modbus-port", str(port), "--timeout", "0.3", "--out", str(out)]
        done = RUN.invoke(app, ["discover", "127.0.0.1", *words, "--rate", "5"])
    assert done.exit_code == 0, done.output
    assert "Modbus unit 4" in done.stderr
    assert "1 addresses searched, 2 devices found" in done.stderr
    text = out.read_text(encoding="utf-8")
    assert "public" not in text + done.output
    site = read_site(out, environ={})
    assert [(each.id, each.profile.id, each.config.name.en) for each in site.devices] == [
        ("ups-127-0-0-1", "ietf/ups-mib", "ups: #west")
    ]
    assert f"profile: VENDOR/MODEL, address: 127.0.0.1, port: {port}, unit: 4" in text
    checked = RUN.invoke(app, ["check", "--config", str(out)])
    assert checked.exit_code == 0, checked.output
    again = RUN.invoke(app, ["discover", "127.0.0.1", "--modbus", "--out", str(out)])
    assert again.exit_code == 2
    assert "is there already" in again.stderr


@pytest.mark.peer("snmpd")
def test_a_typed_community_is_referred_to_and_never_printed(snmpd: Snmpd) -> None:
    snmpd.serve(UPS)
    done = RUN.invoke(
        app, ["discover", "127.0.0.1", "--snmp-community", "public", "--snmp-port", str(snmpd.port), "--rate", "5"]
    )
    assert done.exit_code == 0, done.output
    assert "public" not in done.output
    assert yaml.safe_load(done.stdout)["credentials"] == {
        "found-v2c-1": {"snmp": "v2c", "community": {"env": "COLDAISLE_COMMUNITY"}}
    }
    assert "set COLDAISLE_COMMUNITY in the agent's environment" in done.stderr


@pytest.mark.peer("snmpd")
def test_v3_and_credentials_of_a_configuration(snmpd: Snmpd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snmpd.serve(UPS)
    user = snmpd.v3
    monkeypatch.setenv("AUTH", user.auth_password)
    monkeypatch.setenv("PRIV", user.priv_password)
    v3 = f"user={user.name},auth=sha256,auth_password=env:AUTH,priv=aes128,priv_password=env:PRIV"
    words = ["discover", "127.0.0.1", "--snmp-port", str(snmpd.port), "--rate", "5"]
    done = RUN.invoke(app, [*words, "--v3", v3])
    assert done.exit_code == 0, done.output
    assert user.auth_password not in done.output
    shown = yaml.safe_load(done.stdout)
    assert shown["credentials"]["found-v3-1"]["auth_password"] == {"env": "AUTH"}
    assert shown["devices"][0]["credentials"] == "found-v3-1"
    config = tmp_path / "agent.yaml"
    # Secrets of others need not be at hand to try one.
    others = {"other": {"snmp": "v2c", "community": {"env": "NOWHERE_SET"}}}
    both = {"ups": shown["credentials"]["found-v3-1"], **others}
    shown |= {"site": "s9", "agent": "a9", "credentials": both, "devices": []}
    config.write_text(yaml.safe_dump(shown))
    known = RUN.invoke(app, [*words, "--credentials", "ups", "--config", str(config)])
    assert known.exit_code == 0, known.output
    said = yaml.safe_load(known.stdout)
    assert (said["site"], said["agent"], said["devices"][0]["credentials"]) == ("s9", "a9", "ups")
    address = f"127.0.0.1:{snmpd.port}"
    probed = RUN.invoke(app, ["probe", address, "--credentials", "ups", "--config", str(config)])
    assert probed.exit_code == 0, probed.output
    assert "what a poll asks:" in probed.stdout
    missing = RUN.invoke(app, ["probe", address, "--credentials", "other", "--config", str(config)])
    assert missing.exit_code == 2
    assert "NOWHERE_SET" in missing.output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["10.0.0.0/24"], "say what to search for"),
        (["10.0.0.0/16", "--modbus"], "--yes-large"),
        (["nowhere", "--modbus"], "write 10.0.0.0/24"),
        (["10.0.0.1", "--modbus", "--units", "1-300"], "units are 0 to 255"),
        (["10.0.0.1", "--modbus", "--units", "a"], "write 1-16"),
        (["10.0.0.1", "--snmp-community", "env:NO_SUCH_NAME"], "NO_SUCH_NAME is not set"),
        (["10.0.0.1", "--v3", "user=u,auth=sha256,auth_password=hunter22"], "written as env:NAME or file:PATH"),
        (["10.0.0.1", "--v3", "user=u,aut=sha256"], "did you mean 'auth'"),
        (["10.0.0.1", "--v3", "user=u,auth=sha256"], "auth and auth_password go together"),
        (["10.0.0.1", "--credentials", "x"], "give --config"),
    ],
)
def test_mistakes_are_answered_before_anything_is_sent(words: list[str], why: str) -> None:
    done = RUN.invoke(app, ["discover", *words])
    assert done.exit_code == 2
    assert why in done.stderr
    assert "hunter22" not in done.output


def test_ctrl_c_keeps_what_was_found(tmp_path: Path) -> None:
    out = tmp_path / "found.yaml"
    with serving({1: Unit()}) as port:
        command = [sys.executable, "-m", "coldaisle", "agent", "discover", "127.0.0.1,127.0.2.0/24", "--modbus"]
        command += ["--modbus-port", str(port), "--rate", "2", "--total-rate", "2", "--out", str(out)]
        search = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert search.stderr is not None
            assert "Modbus unit 1" in search.stderr.readline()
            search.send_signal(signal.SIGINT)
            rest = search.communicate(timeout=20)[1]
        finally:
            search.kill()
            search.communicate()
    assert search.returncode == 130, rest
    assert "broken off; what was found by now is kept" in rest
    assert "Traceback" not in rest
    assert f"address: 127.0.0.1, port: {port}, unit: 1" in out.read_text()


def found(host: str, **more: Any) -> Found:
    return Found(host, more.pop("port", 161), more.pop("spoken", Spoken.SNMP), **more)


def test_doubts_stand_beside_what_they_are_about_and_nothing_a_device_says_breaks_the_file() -> None:
    library = Library.load()
    generic = library.get("ietf/ups-mib")
    hostile = "x\n  - id: injected\x1b[31m: {"
    text = snippet(
        PLAN,
        [
            found("10.0.0.10", login="racks", sys_descr=hostile, sys_object_id="1.3.6.1.4.1.9"),
            found(
                "10.0.0.9", login="racks", profile=generic, fallback=True, sys_descr=hostile, device={"name": hostile}
            ),
            found("10.0.0.9", login="racks", profile=generic, candidates=("ietf/ups-mib", "a/b"), port=1161),
            found("10.0.0.8", login="racks", problem=PollProblem.BAD_CREDENTIALS, detail="turned down"),
            found("10.0.0.7", spoken=Spoken.MODBUS, port=502, unit=1, all_units=True),
            found("10.0.0.6", spoken=Spoken.MODBUS, port=502, unit=3, profile=library.get("socomec/delphys-modbus")),
        ],
    )
    data = yaml.safe_load(text)
    AgentConfig.model_validate(data)
    modbus = data["devices"].pop(0)
    assert modbus.pop("name")["en"] == "Socomec Delphys MX, Digys"
    assert modbus == {
        "id": "ups-10-0-0-6-3",
        "profile": "socomec/delphys-modbus",
        "address": "10.0.0.6",
        "unit": 3,
    }
    assert "# recognised by its registers alone" in text
    assert [(each["id"], each["address"], each.get("port")) for each in data["devices"]] == [
        ("ups-10-0-0-9", "10.0.0.9", None),
        ("ups-10-0-0-9-2", "10.0.0.9", 1161),
    ]
    assert data["credentials"] == {"racks": {"snmp": "v2c", "community": {"env": "RACKS"}}}
    assert "# only a generic profile fits; it calls itself x - id: injected" in text
    assert "# could also be a/b" in text
    assert (
        "#  snmp 10.0.0.10:161: no profile recognises it; it calls itself x - id: injected [31m: { (sysObjectID" in text
    )
    assert "#  snmp 10.0.0.8:161: bad_credentials: turned down" in text
    assert "#  modbus 10.0.0.7:502 unit 1 (it answers also to units that nobody asked for)" in text
    assert "\x1b" not in text
    assert yaml.safe_load(snippet(PLAN, []))["devices"] == []


def test_what_is_configured_already_is_not_proposed_again() -> None:
    library = Library.load()
    known = AgentConfig.model_validate(
        {
            "version": 1,
            "site": "s",
            "agent": "a",
            "credentials": {"racks": {"snmp": "v2c", "community": {"env": "RACKS"}}},
            "devices": [
                {"id": "ups-a", "profile": "ietf/ups-mib", "address": "10.0.0.9", "credentials": "racks"},
                {"id": "ups-10-0-0-10", "profile": "generic/xy-md02", "address": "10.0.0.20", "unit": 4},
            ],
        }
    )
    text = snippet(
        Plan("x", "s", "a", PLAN.credentials, known),
        [
            found("10.0.0.9", login="racks", profile=library.get("ietf/ups-mib")),
            found("10.0.0.10", login="racks", profile=library.get("ietf/ups-mib")),
            found("10.0.0.20", spoken=Spoken.MODBUS, port=502, unit=4),
            found("10.0.0.20", spoken=Spoken.MODBUS, port=502, unit=5),
        ],
    )
    assert [each["id"] for each in yaml.safe_load(text)["devices"]] == ["ups-10-0-0-10-2"]
    assert "#  snmp 10.0.0.9:161: in the configuration already, as ups-a" in text
    assert "unit 4: in the configuration already, as ups-10-0-0-10" in text
    assert "unit: 5}" in text
