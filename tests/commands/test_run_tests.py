"""`scripts/run_tests.py`: the two halves are the whole, and a failure of either is one."""

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/run_tests.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_tests", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(ROOT)
    return module


def files_of(words: list[str]) -> list[Path]:
    ignored = [Path(word.removeprefix("--ignore=")) for word in words if word.startswith("--ignore=")]
    named = [Path(word) for word in words if not word.startswith("-")]
    found = [each for path in named for each in ([path] if path.is_file() else sorted(path.rglob("test_*.py")))]
    return [each for each in found if not any(each.is_relative_to(path) for path in ignored)]


def test_the_halves_hold_every_test_once(script: ModuleType) -> None:
    held = Counter(path for half in script.halves() for path in files_of(half))
    assert held == Counter(Path("tests").rglob("test_*.py"))


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 3), (2, 5)])
def test_a_failure_of_either_half_is_one_and_both_are_heard(tmp_path: Path, first: int, second: int) -> None:
    """pytest is a module of that name here, which says what it was told."""
    (tmp_path / "pytest.py").write_text(
        f"import sys\nprint(*sys.argv[1:])\nsys.exit({second} if 'tests/server' in sys.argv else {first})\n"
    )
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == max(first, second)
    assert "tests/rules" in done.stdout
    assert "--ignore=tests/server/notify" in done.stdout


def test_with_arguments_there_is_one_run(tmp_path: Path) -> None:
    (tmp_path / "pytest.py").write_text("import sys\nprint(*sys.argv[1:])\nsys.exit(4)\n")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "tests/rules", "-x"],
        cwd=ROOT, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (4, "tests/rules -x\n")
