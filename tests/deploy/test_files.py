"""What deploy/ says fits the programs: settings, mounted files and options exist, and systemd takes the units."""

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.config import load_config
from tests.support.peers import find

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
DOCKERFILES = [DEPLOY / "docker" / f"Dockerfile.{extra}" for extra in ("agent", "server")]


class Repeating(dict[str, Any]):
    """systemd allows a key several times; here the values are joined."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and isinstance(self.get(key), list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, dict_type=Repeating)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys of units are case-sensitive
    parser.read(path)
    return parser


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def commands() -> list[list[str]]:
    """Every `coldaisle ...` that a unit or an image starts, as the words after `coldaisle`."""
    found = [shlex.split(unit(path)["Service"]["ExecStart"])[1:] for path in UNITS]
    for path in DOCKERFILES:
        match = re.search(r"^CMD (\[.*\])$", path.read_text(), re.MULTILINE)
        assert match, path
        found.append(yaml.safe_load(match.group(1)))
    return found


def test_the_servers_settings_in_compose_are_settings() -> None:
    environment = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", r"example-\1", str(value))
        for name, value in compose()["services"]["server"]["environment"].items()
    }
    environment["COLDAISLE_SERVER_HTTP__PUBLIC_URL"] = "https://coldaisle.example.com"
    config = load_config(environment=environment)
    assert config.url.startswith("postgresql://")
    assert config.mqtt.host in compose()["services"]
    assert config.mqtt.username == "server"
    assert config.mqtt.password_from == "env:BROKER_PASSWORD"
    assert "BROKER_PASSWORD" in environment


def test_everything_compose_mounts_from_here_exists() -> None:
    loaded = compose()
    for name, service in loaded["services"].items():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{name} mounts {source}, which is not there"
            else:
                assert source in loaded["volumes"], f"{name} mounts {source}, which no volume is"


def test_no_secret_stands_in_compose() -> None:
    for service in compose()["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                assert re.match(r"\$\{\w+:\?|env:|file:", value), name


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_command_that_is_started_has_these_options(words: list[str]) -> None:
    options = [word for word in words if word.startswith("--")]
    names = words[: words.index(options[0])] if options else words
    done = subprocess.run(
        [str(Path(sys.executable).parent / "coldaisle"), *names, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PATH": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [option for option in options if option not in done.stdout] == []


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_a_unit_restarts_keeps_its_state_and_is_confined(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["Restart"] == "always"
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"


def test_the_agents_unit_is_watched() -> None:
    service = unit(DEPLOY / "systemd" / "coldaisle-agent.service")["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["TimeoutStartSec"] == "infinity", "a damaged journal is replayed before the agent is ready"


@pytest.mark.skipif(find("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_systemd_takes_the_unit(path: Path, tmp_path: Path) -> None:
    # The program of a real installation is not there; everything else is judged by systemd itself.
    here = tmp_path / path.name
    here.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE))
    done = subprocess.run(
        [str(find("systemd-analyze")), "verify", str(here)], capture_output=True, text=True, check=False
    )
    own = [line for line in done.stderr.splitlines() if path.name in line]
    assert own == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.name))
def test_an_image_copies_files_that_exist_and_runs_as_nobody_special(path: Path) -> None:
    text = path.read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert re.search(r"^USER coldaisle$", text, re.MULTILINE)
    extra = path.suffix.removeprefix(".")
    assert f"[{extra}]" in text
