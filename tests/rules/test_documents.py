"""What the rule author's pages show is true: every example is accepted, and their test passes."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rules.cli import app
from rules.model import CONDITIONS
from rules.overrides import SETTABLE

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENGLISH, CHINESE = (DOCS / name for name in ("rules.md", "rules.zh-CN.md"))


def examples(page: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


RULES = [text for text in examples(ENGLISH) if "tests:" not in text]
TESTS = [text for text in examples(ENGLISH) if "tests:" in text]


@pytest.mark.parametrize("number", range(len(RULES)))
def test_an_example_is_accepted(number: int, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES[number], encoding="utf-8")
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "rules.yaml")])
    assert checked.exit_code == 0, checked.output


def test_the_example_of_a_test_passes(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES[-1], encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_text(TESTS[0], encoding="utf-8")
    tested = CliRunner().invoke(app, ["test", str(tmp_path)])
    assert tested.exit_code == 0, tested.output


def test_both_languages_show_the_same() -> None:
    assert examples(ENGLISH) == examples(CHINESE) != []


@pytest.mark.parametrize("word", [*CONDITIONS, *SETTABLE, "expression", "select", "keep", "flap", "backtest"])
def test_every_word_of_a_rule_is_explained(word: str) -> None:
    assert all(re.search(rf"\b{word}\b", page.read_text(encoding="utf-8")) for page in (ENGLISH, CHINESE))
