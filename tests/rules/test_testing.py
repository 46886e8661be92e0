"""The runner of rule tests, its notation and its command."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rules.cli import app
from rules.files import RuleErrors
from rules.series import Step, parse_series
from rules.testing import run_files

RULES = """version: 1
rules:
  - id: warm
    title: {en: "Too warm", zh: "过热"}
    metric: room.temperature
    levels: {hi: {limit: 27, severity: minor}}
    source: a test
"""
CASES = """version: 1
tests:
  - name: it gets warm
    series: {room.temperature: "22x2 28x2 22"}
    expect:
      - {at: 1m, rule: warm, kind: raised, level: hi, severity: minor}
      - {at: 2m, rule: warm, kind: ended}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "site.test.yaml").write_text(CASES, encoding="utf-8")
    return tmp_path


def rewrite(files: Path, old: str, new: str, name: str = "site.test.yaml") -> None:
    path = files / name
    assert old in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_series_notation() -> None:
    assert parse_series("22x2 20..30x3 _ !x2 on_line") == [
        Step(22.0), Step(22.0), Step(20.0), Step(25.0), Step(30.0), Step(None),
        Step(None, failed=True), Step(None, failed=True), Step("on_line"),
    ]  # fmt: skip
    assert parse_series("-5 -5..5x2 boxx2") == [Step(-5.0), Step(-5.0), Step(5.0), Step("box"), Step("box")]


@pytest.mark.parametrize("text", ["22x0", "20..30", "20..x5", "2,5", "22x1000000", "LEAK"])
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"sample|ramp"):
        parse_series(text)


@pytest.mark.parametrize("name", ["site.yaml", "site.test.yaml", ""])
def test_a_rule_file_its_test_or_the_folder_may_be_named(files: Path, name: str) -> None:
    assert [(result.name, result.passed) for result in run_files([files / name])] == [("it gets warm", True)]


def test_a_missing_and_an_unexpected_event_both_fail(files: Path) -> None:
    rewrite(files, "at: 1m", "at: 1m30s")
    (result,) = run_files([files])
    assert not result.passed
    assert result.differences == (
        "missing: 1m30s warm raised hi minor",
        "not expected: 1m warm raised hi minor limit_exceeded (value 28.0, limit 27.0)",
    )


@pytest.mark.parametrize(
    ("old", "new"), [("severity: minor}\n", "severity: major}\n"), ("level: hi", "level: lo"), ("raised", "updated")]
)
def test_what_is_named_is_compared(files: Path, old: str, new: str) -> None:
    rewrite(files, old, new)
    assert not run_files([files])[0].passed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rule: warm, kind: ended", "rule: wram, kind: ended", r"expect\[1\]\.rule: the rule file has no rule 'wram'"),
        ("room.temperature", "room.temprature", r"'room.temprature'; did you mean room.temperature"),
        ("28x2", "28x", "'28x' is no sample"),
        ("expect:", "expects:", "unknown setting; did you mean 'expect'?"),
    ],
)  # fmt: skip
def test_a_test_file_that_is_wrong_says_where(files: Path, old: str, new: str, message: str) -> None:
    rewrite(files, old, new)
    with pytest.raises(RuleErrors, match=message):
        run_files([files])


def test_a_folder_without_tests_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuleErrors, match="holds no rule tests"):
        run_files([tmp_path])


def command(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_check_lists_the_library() -> None:
    code, output = command("check")
    assert code == 0
    assert "room-temperature-high-gb" in output
    assert "hi > 27 minor after 2m, hihi > 30 major after 1m, hihihi > 32 critical after 30s" in output
    assert "nothing wrong" in output


def test_check_complains_with_exit_code_1(files: Path) -> None:
    rewrite(files, "minor", "small", "site.yaml")
    code, output = command("check", str(files / "site.yaml"))
    assert code == 1
    assert "site.yaml:6: rules[0].levels.hi.severity: 'small' is not one of critical, major, minor, info" in output
    assert "1 problem" in output


def test_check_complains_of_what_never_judges(files: Path) -> None:
    with (files / "site.yaml").open("a", encoding="utf-8") as file:
        change = "rules: [site-ups-several-on-battery], select: {}, set: {for: 1m}, source: a test"
        file.write(f"overrides:\n  - {{name: slow, {change}}}\n")
    code, output = command("check", str(files / "site.yaml"))
    assert code == 1
    assert "overrides[0]: slow: its rules are judged at the centre" in output


def test_test_passes_the_library_and_fails_with_exit_code_1(files: Path) -> None:
    code, output = command("test")
    assert code == 0
    assert "rule tests passed" in output
    rewrite(files, "at: 2m", "at: 3m")
    code, output = command("test", str(files))
    assert code == 1
    assert "site.test.yaml:3: it gets warm" in output
    assert "missing: 3m warm ended" in output
    assert "0 of 1 rule tests passed" in output


def test_test_of_an_unreadable_file_is_1_and_wrong_usage_is_2(tmp_path: Path) -> None:
    assert command("test", str(tmp_path))[0] == 1
    assert command("check", "--no-such-option")[0] == 2


def test_other_numbers_for_shipped_rules_are_checked_and_tested_where_they_are_written(tmp_path: Path) -> None:
    """An override names rules of the library; its file is no less checkable for that."""
    (tmp_path / "site.yaml").write_text(
        """version: 1
overrides:
  - name: lab
    rules: [room-temperature-high-gb]
    select: {rooms: [lab]}
    set: {levels: {hi: {limit: 25}}, for: 0}
    source: a test
""",
        encoding="utf-8",
    )
    (tmp_path / "site.test.yaml").write_text(
        """version: 1
tests:
  - name: the laboratory has its own limit
    device: {zone: cold-aisle, room: lab}
    series: {room.temperature: "26x10"}
    expect: [{at: 2m, rule: room-temperature-high-gb-lab, kind: raised, level: hi}]
  - name: the others keep theirs
    device: {zone: cold-aisle, room: hall}
    series: {room.temperature: "26x10"}
""",
        encoding="utf-8",
    )
    checked = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert checked.exit_code == 0, checked.output
    assert "room-temperature-high-gb-lab" in checked.output
    assert "2 rules in 1 files" in checked.output, "the rule that is changed and the one it became, not the library"
    tested = CliRunner().invoke(app, ["test", str(tmp_path)])
    assert tested.exit_code == 0, tested.output
