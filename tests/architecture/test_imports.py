"""The import contracts of pyproject.toml hold, and each of them catches what it is there for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("facility", "rules", "collectors", "agent", "server", "simulator", "coldaisle")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over a tree that holds the packages and pyproject.toml."""
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [str(program), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the sources, to plant a forbidden import in."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    return tmp_path


def test_the_import_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("into", "imported"),
    [
        ("server", "collectors"),
        ("server", "pysnmp"),
        ("server", "agent"),
        ("agent", "server"),
        ("agent", "fastapi"),
        ("collectors", "rules"),
        ("simulator", "facility"),
        ("rules", "asyncio"),
        ("facility", "sqlite3"),
        ("facility", "collectors"),
        ("server.db", "server.kit"),
    ],
)
def test_a_planted_import_is_caught(copied: Path, into: str, imported: str) -> None:
    (copied / into.replace(".", "/") / "planted.py").write_text(f"import {imported}\n")
    done = lint(copied)
    assert done.returncode != 0, f"{into} may import {imported}, says import-linter"
    assert f"{into}.planted -> {imported}" in done.stdout, done.stdout + done.stderr
