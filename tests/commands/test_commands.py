"""The commands people and CI call: they can be called, and refuse with a word a person can act on."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [".ci/run", "scripts/install-peers", "scripts/lock-assets", "scripts/run_tests.py"]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_called(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    text = (ROOT / name).read_text()
    if "bash" in text.splitlines()[0]:
        assert "set -euo pipefail" in text
        assert subprocess.run(["bash", "-n", str(ROOT / name)], check=False).returncode == 0


def test_ci_requires_peers_and_calls_the_two_commands() -> None:
    text = (ROOT / ".ci/run").read_text()
    assert re.search(r"^export COLDAISLE_REQUIRE_PEERS=1$.*^make check$.*^make test$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("demo ARGS=--no-fault", "coldaisle demo --no-fault"),
        ("test PYTEST_ARGS=-x", "scripts/run_tests.py -x"),
        ("check", "lint-imports"),
    ],
)
def test_make_installs_into_its_own_environment_and_then_runs(tmp_path: Path, target: str, command: str) -> None:
    done = make("-n", f"VENV={tmp_path}/.venv", *target.split())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    installs = next(n for n, line in enumerate(lines) if "pip install" in line and "-c constraints.txt" in line)
    runs = next(n for n, line in enumerate(lines) if command in line)
    assert installs < runs


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    for stamp in ("pyvenv.cfg", ".installed-demo", ".installed-dev"):
        (tmp_path / stamp).touch()
    assert "pip install" not in make("-n", f"VENV={tmp_path}", "check").stdout


@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_an_unfit_python_is_named(tmp_path: Path, python: str) -> None:
    done = make(f"VENV={tmp_path}/.venv", f"PYTHON={python}", "demo")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()
