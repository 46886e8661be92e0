"""Rule files: YAML with `version: 1` and `rules:`, read whole or refused with everything that is wrong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from facility.config import ConfigErrors, ConfigProblem, read_yaml, validate
from rules.model import Rule, RuleSet
from rules.overrides import Override, overridden
from rules.parts import Where

LIBRARY = Path(__file__).parent / "library"
# Beside a rule file `ups.yaml` stands its test `ups.test.yaml`: no rules in there.
TEST_SUFFIX = ".test.yaml"
CENTRE_FILES = "a file of alarms.rules in the server's settings"
_ELSEWHERE = {
    Where.CENTRE: f"judged at the centre, and idle here; it belongs into {CENTRE_FILES}",
    Where.EDGE: "judged by the agents, and idle here; it belongs into a file of rules.files in agent.yaml",
}


class RuleErrors(ConfigErrors):
    """Everything wrong with some rule files, one line each: file, line, dotted path, what was expected."""


class RuleFile(BaseModel):
    """One file of rules, and of a site's other numbers for some of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    rules: tuple[Rule, ...] = ()
    overrides: tuple[Override, ...] = ()


def rule_paths(paths: Iterable[Path]) -> list[Path]:
    """The rule files among `paths`: files as given, of folders every `*.yaml` that is not a test, sorted."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(item for item in path.glob("*.yaml") if not item.name.endswith(TEST_SUFFIX))
        else:
            found.append(path)
    return found


def load_rules(paths: Iterable[Path], *, over: RuleSet | None = None, where: Where | None = None) -> RuleSet:
    """The rules of files and folders, in order. RuleErrors with every problem of every file at once.

    over: rules that these replace, add to and override; without it overrides may name the rules of the files only.
    where: who is given these files, by default the centre if all their rules are judged there, else an agent; what is
    judged elsewhere is `idle`.
    """
    problems: list[ConfigProblem] = []
    rules: list[Rule] = []
    idle: list[ConfigProblem] = []
    overrides: list[tuple[ConfigProblem, Override]] = []
    first: dict[str, ConfigProblem] = {}
    given = list(paths)
    files = rule_paths(given)
    for path in files:
        try:
            document = read_yaml(path)
            found = validate(document, RuleFile)
        except ConfigErrors as exc:
            problems += exc.problems
            continue
        overrides += [(document.problem(("overrides", i), ""), each) for i, each in enumerate(found.overrides)]
        for i, rule in enumerate(found.rules):
            here = document.problem(("rules", i, "id"), f"the id {rule.id!r} is taken")
            if rule.id in first:
                other = first[rule.id]
                problems.append(replace(here, message=f"{here.message}: see {other.file}:{other.line}"))
            else:
                first[rule.id] = here
                rules.append(rule)
    if not files and given:
        problems.append(ConfigProblem(", ".join(map(str, given)), 0, "", "holds no rule files (*.yaml)"))
    made = RuleSet(tuple(rules)) if over is None else over.overlaid(RuleSet(tuple(rules)))
    plain = made
    for i, (place, override) in enumerate(overrides):
        earlier = [each for _, each in overrides[:i]]
        if shadows := override.shadowed(made, earlier):
            idle.append(
                replace(place, message=f"{override.name} is idle: before it {', '.join(shadows)} has its devices")
            )
        try:
            made = overridden(made, override)
        except ValidationError as exc:
            problems += [replace(place, message=f"{override.name}: {error['msg']}") for error in exc.errors()]
        except ValueError as exc:
            problems.append(replace(place, message=str(exc)))
    if problems:
        raise RuleErrors(problems)
    idle += _misplaced(plain, [(first[rule.id], rule) for rule in rules], overrides, where)
    return replace(made, idle=tuple(idle))


def _misplaced(
    made: RuleSet,
    rules: Sequence[tuple[ConfigProblem, Rule]],
    overrides: Sequence[tuple[ConfigProblem, Override]],
    where: Where | None,
) -> Iterator[ConfigProblem]:
    """Rules, and overrides of nothing but rules, that are judged where these files are not read."""
    named = [(place, each, [rule.where for rule in made if each.names(rule)]) for place, each in overrides]
    if where is None:
        judged = {rule.where for _, rule in rules}.union(*(places for _, _, places in named))
        where = Where.CENTRE if judged == {Where.CENTRE} else Where.EDGE
    for place, rule in rules:
        if rule.where is not where:
            yield replace(place, message=f"{rule.id} is {_ELSEWHERE[rule.where]}")
    for place, override, places in named:
        if places and where not in places:
            yield replace(place, message=f"{override.name}: its rules are {_ELSEWHERE[places[0]]}")


def library() -> RuleSet:
    """The rules that come with the product, for both places."""
    return replace(load_rules([LIBRARY]), idle=())
