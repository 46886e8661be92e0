"""The rules of a simulated site: as its file says them, as the model reads them, and what they become when edited."""

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rules.files import load_rules
from rules.model import Rule, RuleSet
from tests.simulation.model import Limit, PlainRule

PLAIN, EDITED, REMOVED = "as it was", "edited", "removed"


def _hot(hi: float, hihi: float) -> PlainRule:
    """The milder of its alarms are wanted in no ticket."""
    levels = Limit("hi", "info", hi, hi - 1), Limit("hihi", "critical", hihi, hihi - 1)
    return PlainRule("sim-hot", "room.temperature", levels)


def _damp(hi: float, after_ms: int) -> PlainRule:
    return PlainRule("sim-damp", "room.humidity", (Limit("hi", "minor", hi, hi - 3, after_ms),), 70_000)


RULES = {"sim-hot": _hot(27, 35), "sim-damp": _damp(60, 100_000)}
_EDITED = {"sim-hot": _hot(30, 37), "sim-damp": _damp(50, 40_000)}

RULES_YAML = """\
version: 1
rules:
  - id: sim-hot
    title: {en: Hot, zh: 过热}
    metric: room.temperature
    flap: "off"
    gap: 5m
    source: made for the simulation
    levels:
      hi: {limit: 27, severity: info}
      hihi: {limit: 35, severity: critical}
    deadband: 1
  - id: sim-damp
    title: {en: Damp, zh: 过潮}
    metric: room.humidity
    flap: "off"
    gap: 5m
    source: made for the simulation
    levels:
      hi: {limit: 60, severity: minor, for: 100s}
    deadband: 3
    clear_for: 70s
"""
_EDITS = (
    ("limit: 27", "limit: 30"), ("limit: 35", "limit: 37"), ("limit: 60", "limit: 50"), ("for: 100s", "for: 40s"),
)  # fmt: skip


@functools.cache
def _loaded(variant: str) -> Mapping[str, Rule]:
    text = RULES_YAML
    for old, new in _EDITS if variant == EDITED else ():
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rules.yaml")
        path.write_text(text)
        return {rule.id: rule for rule in load_rules([path])}


def rule_as(name: str, variant: str) -> Rule:
    """A rule as it was, or edited."""
    return _loaded(variant)[name]


@functools.cache
def _by_revision() -> Mapping[str, PlainRule]:
    return {
        rule_as(name, variant).revision: rule
        for variant, rules in ((PLAIN, RULES), (EDITED, _EDITED))
        for name, rule in rules.items()
    }


def plain_rules(rules: RuleSet) -> dict[str, PlainRule]:
    """What the rules of an engine are in the model's words."""
    return {rule.id: _by_revision()[rule.revision] for rule in rules}
