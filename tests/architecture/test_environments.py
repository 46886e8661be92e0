"""An edge machine installs no web framework, the centre no SNMP; each runs, and names the extra it lacks."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ANSI = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def environment_with(extra: str, *, wheel: Path, folder: Path) -> Path:
    """A virtual environment of its own with one extra; returns its folder of programs."""
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    done = subprocess.run(
        [
            str(programs / "pip"),
            "install",
            "--quiet",
            "-c",
            str(ROOT / "constraints.txt"),
            f"coldaisle[{extra}] @ {wheel.as_uri()}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return programs


def run(programs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of that environment, away from this repository and its packages."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(programs / words[0]), *words[1:]],
        cwd=programs.parent,
        env={**clean, **ANSI},
        capture_output=True,
        text=True,
        check=False,
    )


def has(programs: Path, module: str) -> bool:
    return run(programs, "python", "-c", f"import {module}").returncode == 0


@pytest.fixture(scope="module")
def agent_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment_with("agent", wheel=wheel, folder=tmp_path_factory.mktemp("agent-only"))


@pytest.fixture(scope="module")
def server_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment_with("server", wheel=wheel, folder=tmp_path_factory.mktemp("server-only"))


def test_the_edge_runs_alone_without_a_web_framework(agent_only: Path) -> None:
    assert [name for name in ("fastapi", "sqlalchemy", "uvicorn", "jinja2") if has(agent_only, name)] == []
    for command in ("agent", "profile", "rules"):
        done = run(agent_only, "coldaisle", command, "--help")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Usage" in done.stdout


def test_the_centre_runs_alone_without_device_protocols(server_only: Path) -> None:
    assert [name for name in ("pysnmp", "gufo.snmp", "pymodbus", "amqtt") if has(server_only, name)] == []
    for command in ("server", "rules"):
        done = run(server_only, "coldaisle", command, "--help")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Usage" in done.stdout


def test_an_absent_extra_names_its_install_command(agent_only: Path, server_only: Path) -> None:
    for programs, command, extra in ((agent_only, "server", "server"), (server_only, "agent", "agent")):
        done = run(programs, "coldaisle", command, "--help")
        assert done.returncode != 0
        assert f"pip install 'coldaisle[{extra}]'" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_both_environments_are_consistent(agent_only: Path, server_only: Path) -> None:
    for programs in (agent_only, server_only):
        done = run(programs, "python", "-m", "pip", "check")
        assert done.returncode == 0, done.stdout
        version = run(programs, "python", "--version").stdout.split()[1]
        assert version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
