"""Rule files: YAML with `version: 1` and `rules:`, read whole or refused with everything that is wrong."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from facility.config import ConfigErrors, ConfigProblem, Document, read_yaml, validate
from rules.model import Rule, RuleSet

LIBRARY = Path(__file__).parent / "library"
# Beside a rule file `ups.yaml` stands its test `ups.test.yaml`: no rules in there.
TEST_SUFFIX = ".test.yaml"


class RuleErrors(ConfigErrors):
    """Everything wrong with some rule files, one line each: file, line, dotted path, what was expected."""


class RuleFile(BaseModel):
    """One file of rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    rules: tuple[Rule, ...]


def rule_paths(paths: Iterable[Path]) -> list[Path]:
    """The rule files among `paths`: files as given, of folders every `*.yaml` that is not a test, sorted."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(item for item in path.glob("*.yaml") if not item.name.endswith(TEST_SUFFIX))
        else:
            found.append(path)
    return found


def load_rules(paths: Iterable[Path]) -> RuleSet:
    """The rules of files and folders, in order. RuleErrors with every problem of every file at once."""
    problems: list[ConfigProblem] = []
    rules: list[Rule] = []
    first: dict[str, ConfigProblem] = {}
    given = list(paths)
    files = rule_paths(given)
    for path in files:
        document, found, wrong = _read(path)
        problems += wrong
        for i, rule in enumerate(found):
            here = document.problem(("rules", i, "id"), f"the id {rule.id!r} is taken") if document else None
            if here is None:
                continue
            if rule.id in first:
                other = first[rule.id]
                problems.append(
                    ConfigProblem(here.file, here.line, here.path, f"{here.message}: see {other.file}:{other.line}")
                )
            else:
                first[rule.id] = here
                rules.append(rule)
    if not files and given:
        problems.append(ConfigProblem(", ".join(map(str, given)), 0, "", "holds no rule files (*.yaml)"))
    if problems:
        raise RuleErrors(problems)
    return RuleSet(tuple(rules))


def library() -> RuleSet:
    """The rules that come with the product."""
    return load_rules([LIBRARY])


def _read(path: Path) -> tuple[Document | None, tuple[Rule, ...], list[ConfigProblem]]:
    try:
        document = read_yaml(path)
        return document, validate(document, RuleFile).rules, []
    except ConfigErrors as exc:
        return None, (), exc.problems
