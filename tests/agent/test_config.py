"""The configuration answers back: every bad case is a file with the expected text beside it."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from agent.cli import BAD_CONFIG, app
from agent.loading import load_config
from agent.site import read_site
from agent.values import parse_duration, parse_size
from collectors.device import ModbusTarget
from collectors.library import Library
from facility.config import ConfigErrors
from tests.agent.running import ENVIRON, ups, write_config

DATA = Path(__file__).parents[1] / "data" / "config" / "agent"
EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "agent.yaml"
BAD = sorted(DATA.glob("bad-*.yaml"))


def test_there_are_bad_cases() -> None:
    assert len(BAD) >= 6


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_problem_is_said_at_once_with_its_place(path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read_site(path, environ=ENVIRON, shown=path.name)
    expected = path.with_suffix(".txt").read_text()
    # Rule and profile files are named by where they lie.
    assert str(caught.value).replace(f"{DATA}/", "") + "\n" == expected


def test_no_message_repeats_a_secret() -> None:
    with pytest.raises(ConfigErrors) as caught:
        read_site(DATA / "bad-secrets.yaml", environ={**ENVIRON, "A": "also-secret"})
    assert "hunter2" not in str(caught.value)
    assert "also-secret" not in str(caught.value)


def test_secrets_come_from_environment_and_files_and_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "community").write_text("deep-secret\n")
    (tmp_path / "community").chmod(0o644)
    config = write_config(
        tmp_path,
        credentials={
            "file": {"snmp": "v2c", "community": {"file": "community"}},
            "v3": {
                "snmp": "v3", "user": "watcher", "auth": "sha256", "auth_password": {"env": "AUTH"},
                "priv": "aes128", "priv_password": {"env": "PRIV"},
            },
        },
        devices=[{**ups(161), "credentials": "file"}, {**ups(161, device="ups-2"), "credentials": "v3"}],
        rooms=[{"id": "hall"}],
    )  # fmt: skip
    site = read_site(config, environ=ENVIRON)
    first, second = (device.polled.target for device in site.devices)
    assert getattr(first, "community", None) == "deep-secret"
    assert (getattr(second, "auth_key", None), getattr(second, "priv_key", None)) == ("measure-twice", "cool-the-aisle")
    for shown in (repr(site), str(site.loaded.config), site.loaded.config.model_dump_json()):
        assert "deep-secret" not in shown
        assert "measure-twice" not in shown
    (warning,) = site.loaded.warnings
    assert "chmod 600" in str(warning)
    (tmp_path / "community").chmod(0o600)
    assert load_config(config, environ=ENVIRON).warnings == ()


def test_what_is_equal_is_equal_and_a_changed_secret_is_a_change(tmp_path: Path) -> None:
    config = write_config(tmp_path, devices=[ups(161)], rooms=[{"id": "hall"}])
    assert read_site(config, environ=ENVIRON) == read_site(config, environ=ENVIRON)
    assert read_site(config, environ=ENVIRON) != read_site(config, environ={**ENVIRON, "COMMUNITY": "other"})


def test_check_prints_all_and_exits_78(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["check", "--config", str(DATA / "bad-references.yaml")])
    assert result.exit_code == BAD_CONFIG
    assert "did you mean 'racks'?" in result.output
    assert "problems found" in result.output


def test_check_of_a_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMUNITY", "public")
    config = write_config(tmp_path, devices=[ups(161)], rooms=[{"id": "hall"}])
    result = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert "1 devices" in result.output


def test_rules_of_the_centre_are_said_by_check_and_keep_no_agent_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMUNITY", "public")
    rule = "site-ups-several-on-battery"
    change = {"name": "slow", "rules": [rule], "select": {}, "set": {"for": "1m"}, "source": "a test"}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "overrides": [change]}))
    rules = {"files": ["rules.yaml"], "disable": [rule]}
    config = write_config(tmp_path, devices=[ups(161)], rooms=[{"id": "hall"}], rules=rules)
    read_site(config)
    result = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert result.exit_code == BAD_CONFIG
    assert f"{tmp_path}/rules.yaml:2: overrides[0]: slow: its rules are judged at the centre" in result.output
    assert (
        f"rules.disable[0]: {rule} is judged at the centre: disable it by `enabled: false` in a file" in result.output
    )
    assert "2 problems found; the agent starts all the same." in result.output


def test_the_example_is_good_and_covers_every_kind_of_device() -> None:
    data = yaml.safe_load(EXAMPLE.read_text())
    refs = [ref for entry in (*data["credentials"].values(), data["uplink"]) for ref in entry.values()]
    names = [ref["env"] for ref in refs if isinstance(ref, dict) and "env" in ref]
    assert len(names) == 4
    site = read_site(EXAMPLE, environ=dict.fromkeys(names, "long-enough-secret"))
    shipped = Library.load().all()
    assert {device.profile.kind for device in site.devices} == {profile.kind for profile in shipped}
    assert {device.profile.protocol for device in site.devices} == {profile.protocol for profile in shipped}


def test_modbus_devices_are_reached_over_tcp_through_a_gateway_or_on_a_line(tmp_path: Path) -> None:
    line = {"serial": "/dev/ttyUSB0", "baudrate": 19200, "parity": "E"}
    places: list[dict[str, object]] = [
        {"address": "10.0.0.9", "unit": 3},
        {"modbus": {"host": "10.0.0.8", "port": 4001, "framer": "rtu"}, "unit": 1},
        {"modbus": line, "unit": 1},
        {"modbus": line, "unit": 2},
    ]
    devices = [{"id": f"th-{at}", "profile": "generic/xy-md02", **place} for at, place in enumerate(places)]
    site = read_site(write_config(tmp_path, devices=devices), environ=ENVIRON)
    targets = [device.polled.target for device in site.devices]
    assert [f"{target} {target.speaks}" for target in targets if isinstance(target, ModbusTarget)] == [
        "modbus 10.0.0.9:502 unit 3 Modbus TCP",
        "modbus 10.0.0.8:4001 unit 1 RTU over TCP",
        "modbus /dev/ttyUSB0 unit 1 RTU 19200 8E1",
        "modbus /dev/ttyUSB0 unit 2 RTU 19200 8E1",
    ]


def _answer_s(tmp_path: Path, **device: object) -> float:
    entry = {"id": "inrow", "profile": "apc/inrow-rc-modbus", "address": "10.0.0.9", **device}
    (found,) = read_site(write_config(tmp_path, devices=[entry]), environ=ENVIRON).devices
    return found.polled.target.timeout_s


def test_an_answer_may_take_what_the_site_says_else_the_profile_never_over_the_deadline(tmp_path: Path) -> None:
    # 990-4742A: an answer may take 2 s, so 3 s are asked for.
    assert _answer_s(tmp_path) == 3.0
    assert _answer_s(tmp_path, timeout="4500ms") == 4.5
    assert _answer_s(tmp_path, deadline="2s") == 2.0
    # Where nobody says anything: so much of the deadline that a retry fits in, where people wait never over 2 s.
    assert _answer_s(tmp_path, profile="generic/xy-md02", deadline="1s") == 0.4
    assert _answer_s(tmp_path, profile="generic/xy-md02") == 2.0


def test_an_snmp_card_is_given_its_time_too(tmp_path: Path) -> None:
    entry = {**ups(161), "timeout": "6s", "interval": "30s"}
    (found,) = read_site(write_config(tmp_path, devices=[entry], rooms=[{"id": "hall"}]), environ=ENVIRON).devices
    assert found.polled.target.timeout_s == 6.0


@pytest.mark.parametrize(("text", "ms"), [("10s", 10_000), ("1.5m", 90_000), ("250ms", 250), ("7d", 604_800_000)])
def test_durations(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["10", "", "10 parsecs", "-5s", "1h30", None, 10])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_sizes() -> None:
    assert parse_size("512MiB") == 512 << 20
    with pytest.raises(ValueError, match="size"):
        parse_size("512MB")
