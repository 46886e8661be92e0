"""Rule files: every error at once, each with file, line, path and what was expected."""

from pathlib import Path

import pytest

from rules.files import RuleErrors, library, load_rules, rule_paths
from rules.model import RuleSet
from rules.parts import Where
from tests.rules.support import high

BAD = Path(__file__).parent / "data" / "bad"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bad_file_says_what_is_wrong(path: Path) -> None:
    with pytest.raises(RuleErrors) as caught:
        load_rules([path])
    found = str(caught.value).replace(str(path), path.name)
    assert found == path.with_suffix(".txt").read_text(encoding="utf-8").rstrip("\n")


def test_every_bad_case_has_its_text() -> None:
    assert {path.stem for path in BAD.glob("*.yaml")} == {path.stem for path in BAD.glob("*.txt")} != set()


GOOD = """version: 1
rules:
  - id: {id}
    title: {{en: "A rule", zh: "规则"}}
    metric: room.temperature
    levels: {{hi: {{limit: 27, severity: minor}}}}
    source: a test
"""


def test_errors_of_several_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.format(id="one").replace("minor", "small"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(GOOD.format(id="two").replace("limit: 27", "limit: hot"), encoding="utf-8")
    with pytest.raises(RuleErrors) as caught:
        load_rules([tmp_path])
    assert [Path(problem.file).name for problem in caught.value.problems] == ["a.yaml", "b.yaml"]
    assert [problem.line for problem in caught.value.problems] == [6, 6]


def test_an_id_used_twice_points_at_both_places(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD.format(id="same"), encoding="utf-8")
    with pytest.raises(RuleErrors, match=r"b\.yaml:3: rules\[0\]\.id: the id 'same' is taken: see .*a\.yaml:3"):
        load_rules([tmp_path])


def test_tests_are_no_rules_and_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.test.yaml").write_text("version: 1\ntests: []\n", encoding="utf-8")
    assert rule_paths([tmp_path]) == []
    with pytest.raises(RuleErrors, match="holds no rule files"):
        load_rules([tmp_path])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuleErrors, match="cannot be read: No such file"):
        load_rules([tmp_path / "none.yaml"])


def test_a_sites_own_rules_replace_add_and_switch_off() -> None:
    shipped = RuleSet((high(27, id="a"), high(28, id="b"), high(29, id="c")))
    site = RuleSet((high(99, id="b"), high(50, id="new"), high(29, id="c", enabled=False)))
    merged = shipped.overlaid(site)
    assert [(rule.id, rule.thresholds[0].limit, rule.enabled) for rule in merged] == [
        ("a", 27, True), ("b", 99, True), ("c", 29, False), ("new", 50, True),
    ]  # fmt: skip


def test_the_sets_a_room_may_choose() -> None:
    assert library().thresholds_sets == {"gb50174-2017", "ashrae-2021-a1"}


CENTRE = "site-ups-several-on-battery"


def idle(folder: Path, where: Where | None, **files: str) -> list[str]:
    """What is said, from the line on, of rule files given to an agent or the centre."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return [str(each).removeprefix(f"{folder}/") for each in load_rules([folder], over=library(), where=where).idle]


def override(name: str, rules: str) -> str:
    change = f"{{name: {name}, rules: ['{rules}'], select: {{}}, set: {{enabled: false}}, source: a test}}"
    return f"version: 1\noverrides:\n  - {change}\n"


AT_CENTRE = "judged at the centre, and idle here; it belongs into a file of alarms.rules in the server's settings"
AT_EDGE = "judged by the agents, and idle here; it belongs into a file of rules.files in agent.yaml"


def test_a_rule_in_a_file_that_its_judge_does_not_read_is_said(tmp_path: Path) -> None:
    edge, centre = GOOD.format(id="one"), GOOD.format(id="two") + "    where: centre\n"
    changes, both = override("slow", CENTRE), override("all", "*")
    of_centre = [
        f"b.yaml:3: rules[0].id: two is {AT_CENTRE}",
        f"c.yaml:3: overrides[0]: slow: its rules are {AT_CENTRE}",
    ]
    files = {"a": edge, "b": centre, "c": changes, "d": both}
    assert idle(tmp_path, Where.EDGE, **files) == of_centre
    assert idle(tmp_path, Where.CENTRE, **files) == [f"a.yaml:3: rules[0].id: one is {AT_EDGE}"]
    assert idle(tmp_path, None, **files) == of_centre


def test_files_of_nothing_but_rules_of_the_centre_are_taken_to_be_its_own(tmp_path: Path) -> None:
    centre = GOOD.format(id="two") + "    where: centre\n"
    assert idle(tmp_path, None, b=centre, c=override("slow", CENTRE)) == []
    assert idle(tmp_path, Where.EDGE) != []
