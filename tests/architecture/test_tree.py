"""Rules about the repository's files that people forget."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The house asks for about 400; this is where "about" ends.
LONGEST_PYTHON_FILE = 450
# Folders no repository file lives in; asked only where git cannot say (an unpacked archive).
GENERATED = {".git", ".venv", "node_modules", "vendor", "__pycache__", "dist", "build"}

# `[r]` for `r`: this file must not contain what it forbids.
FORBIDDEN = {
    "a package registry or a mirror of one": re.compile(
        r"https?://[^\s/'\"]*(?:pypi|pythonhosted|npmjs|npmmirror|artifactory|artifact-?registry|nexus|devpi)"
    ),
    "a folder of somebody's machine": re.compile(r"(?<![\w.])/(?:wo[r]k|ro[o]t|ho[m]e/\w+)/"),
}


def repository_files() -> list[Path]:
    """Every file git has or would take."""
    if (ROOT / ".git").exists():
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        paths = [ROOT / name for name in done.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not GENERATED.intersection(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # a picture


def test_python_files_stay_short() -> None:
    files = [path for path in repository_files() if path.suffix == ".py"]
    assert files
    lengths = {str(path.relative_to(ROOT)): len(text_of(path).splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > LONGEST_PYTHON_FILE} == {}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = {
        str(path.relative_to(ROOT)): match.group()
        for path in repository_files()
        if (match := FORBIDDEN[what].search(text_of(path)))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a package registry or a mirror of one", "--index-url https://" + "py" + "pi.example/simple"),
        ("a folder of somebody's machine", "see /" + "ho" + "me/someone/notes"),
    ],
)
def test_what_is_forbidden_would_be_found(what: str, line: str) -> None:
    assert FORBIDDEN[what].search(line)


def test_the_front_end_lock_holds_digests_and_no_addresses() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert not {"resolved", "funding"} & entry.keys(), name
    assert "://" not in json.dumps(lock)


def test_constraints_are_exact_pins_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 50
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line)] == []
