"""What is known of the recordings by hand: which family each walk is, where the other system errs, what states mean.

tests/data/recordings/identities.CLASS.tsv   walk, profiles that are right (a generic one in brackets)
tests/data/recordings/doubts.CLASS.yaml      where the other system's number is no measurement or of another scale
tests/data/states/VENDOR.tsv                 object, metric, raw, meaning, word: enumerations by the makers' MIBs
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from collectors.decode import text_of
from collectors.exchange import SnmpValue
from facility.units import Unit
from tests.collectors.profiles.examples import DATA

NO_READING = "-"  # as a state's word: this raw value gives no reading at all
NOT = "!"  # before a state's word: the metric is told from several places, and from this one it is not that word
OR = "|"  # between words: the first is this place's, the others are of places that outrank it


@dataclass(frozen=True)
class Doubt:
    """Where the other system's reading is known to be wrong, told by our profile and the object's prefix.

    Each is a fact about the family that is visible in the recording itself, never about one recorded value.
    """

    profile: str  # "" for any
    prefix: str
    why: str
    factor: float = 1.0  # what its value must be multiplied by
    offset: float = 0.0  # and what must then be added, for degrees Fahrenheit taken for Celsius
    units: tuple[Unit, ...] = ()  # the units it really has, where its class has others
    number: bool = False  # it takes for a state what is a number, in the base unit after factor
    raws: tuple[str, ...] = ()  # raw values that are no measurement at all; "*": none of them is
    when: tuple[str, tuple[str, ...]] | None = None  # (column, values): only in rows where it holds one of these
    twin: str = ""  # the prefix of a better object of the same thing, in the same unit after twin_factor
    twin_factor: float = 1.0

    def applies(self, oid: str, profile: str, values: dict[str, SnmpValue]) -> bool:
        """Whether it is about this object of a walk read with this profile."""
        if not oid.startswith(self.prefix) or self.profile not in ("", profile):
            return False
        if self.when is None:
            return True
        column, wanted = self.when
        found = values.get(column + oid.removeprefix(self.prefix), values.get(column))
        return found is not None and text_of(found) in wanted


@dataclass(frozen=True)
class Meaning:
    """One line of a state table."""

    file: str
    object: str
    metric: str
    raw: str
    word: str

    @property
    def combined(self) -> bool:
        """Whether the metric is told from several places, of which this is one."""
        return self.word.startswith(NOT) or OR in self.word

    def fits(self, word: str) -> bool:
        """Whether the metric may have this word while this raw value stands here."""
        return word != self.word[1:] if self.word.startswith(NOT) else word in self.word.split(OR)


def _rows(path: Path, columns: int) -> list[list[str]]:
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    wrong = [line for line in lines if len(line) != columns]
    assert not wrong, f"{path.name}: not {columns} columns: {wrong[:3]}"
    return lines


@cache
def identities() -> dict[str, frozenset[str]]:
    """The profiles that are right for each walk."""
    found: dict[str, frozenset[str]] = {}
    for path in sorted((DATA / "recordings").glob("identities.*.tsv")):
        found |= {walk: frozenset(profiles.split(",")) for walk, profiles in _rows(path, 2)}
    return found


@cache
def doubts() -> tuple[Doubt, ...]:
    """All doubts of all classes."""
    made = []
    for path in sorted((DATA / "recordings").glob("doubts.*.yaml")):
        for said in yaml.safe_load(path.read_text("utf-8")) or ():
            fields: dict[str, Any] = {"profile": "", **said}
            fields["raws"] = tuple(str(raw) for raw in fields.get("raws", ()))
            fields["units"] = tuple(Unit(unit) for unit in fields.get("units", ()))
            if "when" in fields:
                column, wanted = fields["when"]
                fields["when"] = (str(column), tuple(str(value) for value in wanted))
            made.append(Doubt(**fields))
    return tuple(made)


@cache
def meanings() -> dict[str, tuple[Meaning, ...]]:
    """The state tables by object (an instance or a column)."""
    found: dict[str, tuple[Meaning, ...]] = {}
    for path in sorted((DATA / "states").glob("*.tsv")):
        for thing, metric, raw, _, word in _rows(path, 5):
            found[thing] = (*found.get(thing, ()), Meaning(path.name, thing, metric, raw, word))
    return found


def meanings_of(oid: str) -> tuple[Meaning, ...]:
    """The state table of an instance: its own, else that of the nearest column above it."""
    table = meanings()
    while oid not in table and "." in oid:
        oid = oid.rpartition(".")[0]
    return table.get(oid, ())
