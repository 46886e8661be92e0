"""Scores the shipped profiles against independent readings of recorded devices.

The recordings come with what another system read of them: object, class, value. Each of these is looked for among our
readings by its object: numbers are compared in the base unit, states with the tables of `tests/data/states/`, the
profile with `tests/data/recordings/identities.*.tsv`. Run as a script for the table, of every class unless told:

    python -m tests.collectors.profiles.score [--class ups,crac,...] [--family NAME] [--perturb SEED] [--missed]

The first per cent leaves out what `doubts.*.yaml` says is no reading at all (a sentinel, a setting); the second, the
strict one, counts each of these as missed. --perturb changes the numbers and states of every walk (never units or
structure) and expects the readings to follow.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from collectors.decode import text_of
from collectors.exchange import SnmpValue
from collectors.library import Library
from collectors.replay import replay_values
from collectors.walk import read_walk
from facility.metrics import metric
from facility.units import Unit, convert, quantity_of
from tests.collectors.profiles.judgement import NO_READING, Doubt, doubts, identities, meanings_of
from tests.support.recordings import folder as recordings

CLASSES = ("ups", "crac", "env", "pdu", "ats", "dc-power", "other")
# Units the other system keeps each class in; apparent power is filed under power there, ampere-hours under current.
UNITS: dict[str, tuple[Unit, ...]] = {
    "temperature": (Unit.CELSIUS,),
    "humidity": (Unit.PERCENT,),
    "pressure": (Unit.KILOPASCAL,),
    "airflow": (Unit.CUBIC_FOOT_PER_MINUTE,),
    "voltage": (Unit.VOLT,),
    "current": (Unit.AMPERE, Unit.AMPERE_HOUR),
    "power": (Unit.WATT, Unit.VOLTAMPERE),
    "frequency": (Unit.HERTZ,),
    "load": (Unit.PERCENT,),
    "charge": (Unit.PERCENT,),
    "runtime": (Unit.MINUTE,),
}
STATE = "state"
# A full word is a sentinel nearly everywhere; changing one would invent a measurement.
_FULL = (65535, 327670, 655350, 2147483647, 4294967295, 42949672)
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


@dataclass(frozen=True)
class Walk:
    """A line of the recordings' index."""

    stem: str
    kind: str
    family: str
    live: bool


@dataclass
class Score:
    """One walk: how many sensors were right, wrong, rightly refused; `missed` tells the wrong ones."""

    walk: Walk
    profile: str  # in brackets where only a generic standard fitted, "-" where nothing did
    identified: bool = False
    matched: int = 0
    states: int = 0  # of the matched
    refused: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.matched + len(self.missed)

    @property
    def strict_total(self) -> int:
        return self.total + self.refused


def walks(folder: Path, *, classes: Iterable[str] = CLASSES, families: Iterable[str] = ()) -> Iterator[Walk]:
    """The walks of these classes (and of these families only, where some are named)."""
    for line in (folder / "INDEX.tsv").read_text("utf-8").splitlines()[1:]:
        name, kind, family, live, *_ = line.split("\t")
        if kind in classes and (not families or family in families):
            yield Walk(name.removesuffix(".snmprec"), kind, family, live == "yes")


def sensors(folder: Path, stem: str) -> list[dict[str, Any]]:
    """The sensors of the scored classes the other system found on a walk; none where it was not asked."""
    path = folder / "expected" / f"{stem}.json"
    said = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    found = said.get("sensors", {}).get("discovery", {}).get("sensors", [])
    # A date turned into minutes from a test's own "today" is no reading of the device.
    return [
        s
        for s in found
        if (s["sensor_class"] in UNITS or s["sensor_class"] == STATE) and s.get("user_func") != "dateToRuntime"
    ]


def perturbed(
    values: dict[str, SnmpValue],
    found: list[dict[str, Any]],
    seed: int,
    *,
    structure: frozenset[str] = frozenset(),
    read: Mapping[str, set[str]] | None = None,
) -> dict[str, SnmpValue]:
    """The walk with its sensors changed: numbers by up to a seventh, states to another of their enumeration.

    Zero, sentinels and the objects of `structure` (others hang on them) stay as they are, and so do states told from
    several places: changed one by one they would contradict each other. read: the metrics read of an object, for
    columns that hold enumerations of several.
    """
    dice = random.Random(seed)
    told = [meaning for sensor in found for meaning in meanings_of(sensor["sensor_oid"].lstrip("."))]
    several = {meaning.metric for meaning in told if meaning.combined}
    changed = dict(values)
    for sensor in sorted(found, key=lambda sensor: str(sensor["sensor_oid"])):
        oid = sensor["sensor_oid"].lstrip(".")
        value = values.get(oid)
        if value is None or oid in structure or any(oid.startswith(f"{column}.") for column in structure):
            continue
        # A factor below one keeps percentages within 100 and tenths of volts within their range.
        factor = dice.uniform(0.85, 0.999)
        if sensor["sensor_class"] == STATE:
            ours = (read or {}).get(oid)
            fitting = {m.raw for m in meanings_of(oid) if m.metric not in several and (not ours or m.metric in ours)}
            others = sorted(fitting - {text_of(value)})
            if others and isinstance(value, int):
                changed[oid] = int(dice.choice(others))
        elif isinstance(value, int):
            if abs(value) > 9 and value not in _FULL:
                changed[oid] = int(value * factor)
        elif isinstance(value, bytes) and (number := _NUMBER.search(text_of(value))):
            decimals = len(number.group(1) or ".") - 1
            text = f"{float(number.group()) * factor:.{decimals}f}"
            changed[oid] = (text_of(value)[: number.start()] + text + text_of(value)[number.end() :]).encode()
    return changed


def score(folder: Path, walk: Walk, library: Library, *, seed: int | None = None) -> Score:
    """Replays one walk and compares every sensor."""
    values = read_walk(folder / "walks" / f"{walk.stem}.snmprec")
    expected = sensors(folder, walk.stem)
    result = replay_values(values, library)
    named = result["profile"] or next(iter(result["candidates"]), "")
    made = Score(walk, result["profile"] or (f"({named})" if named else "-"))
    made.identified = made.profile in identities().get(walk.stem, ())
    if seed is not None and named:
        places = [place for point in library.get(named).points for place in point.places()]
        hung = {place.oid or place.column or "" for place in places if hasattr(place, "accepts")}
        hung |= {oid for sensor in expected if _no_value(oid := sensor["sensor_oid"].lstrip("."), named, values)}
        read = defaultdict(set)
        for reading in result["readings"]:
            read[reading["source"]].add(reading["metric"])
        moved = [{**s, "sensor_oid": _place(s["sensor_oid"].lstrip("."), named, values)[0]} for s in expected]
        values = perturbed(values, expected + moved, seed, structure=frozenset(hung), read=read)
        result = replay_values(values, library)
    readings = defaultdict(list)
    for reading in result["readings"]:
        readings[reading["source"]].append(reading)
    for sensor in expected:
        _compare(made, sensor, values, readings, named)
    return made


def _place(oid: str, named: str, values: dict[str, SnmpValue]) -> tuple[str, float]:
    """Where the same thing stands better in this walk, and its factor; the object itself where nowhere."""
    for doubt in doubts():
        better = doubt.twin + oid.removeprefix(doubt.prefix)
        if doubt.twin and doubt.applies(oid, named, values) and better in values:
            return better, doubt.twin_factor
    return oid, 1.0


def _no_value(oid: str, named: str, values: dict[str, SnmpValue]) -> bool:
    """Whether what stands here is known to be no measurement."""
    raw = text_of(values.get(oid, ""))
    return any(raw in doubt.raws or "*" in doubt.raws for doubt in doubts() if doubt.applies(oid, named, values))


def _compare(
    made: Score,
    sensor: dict[str, Any],
    values: dict[str, SnmpValue],
    readings: dict[str, list[dict[str, Any]]],
    named: str,
) -> None:
    oid, kind = sensor["sensor_oid"].lstrip("."), sensor["sensor_class"]
    raw = values.get(oid)
    if raw is None:
        return  # the other system recorded a value the walk does not hold
    ours = [doubt for doubt in doubts() if doubt.applies(oid, named, values)]
    value = _expected(sensor, raw, ours)
    place, factor = _place(oid, named, values)
    if place != oid:
        oid, raw = place, values[place]
        value = (_number(raw) or 0.0) * factor
    got = readings.get(oid, [])
    shown = "; ".join(f"{g['metric']}={g['value']} {g['unit']} ({g['quality']})" for g in got) or "not read"
    about = f"{kind} {oid} ({sensor['sensor_descr']})"
    if any(text_of(raw) in doubt.raws or "*" in doubt.raws for doubt in ours):
        if all(g["value"] is None for g in got):
            made.refused += 1
        else:
            made.missed.append(f"{about}: {raw!r} is no value, got {shown}")
    elif kind == STATE and any(doubt.number for doubt in ours):
        if any(g["quality"] == "good" and g["value"] == value for g in got):
            made.matched += 1
        else:
            made.missed.append(f"{about}: {raw!r} is the number {value}, got {shown}")
    elif kind == STATE:
        wrong = _state_wrong(oid, text_of(raw), got, [g for many in readings.values() for g in many])
        if wrong:
            made.missed.append(f"{about}: {raw!r}, {wrong}, got {shown}")
        else:
            made.matched += 1
            made.states += 1
    else:
        units = next((doubt.units for doubt in ours if doubt.units), UNITS[kind])
        if value is not None and any(_same(value, units, g) for g in got):
            made.matched += 1
        else:
            made.missed.append(f"{about}: {raw!r} = {value}, got {shown}")


def _expected(sensor: dict[str, Any], raw: SnmpValue, ours: list[Doubt]) -> float | None:
    value = _number(raw)
    if value is None:
        return None
    value *= float(sensor["sensor_multiplier"]) / float(sensor["sensor_divisor"])
    if sensor.get("user_func") == "fahrenheit_to_celsius":
        value = (value - 32) * 5 / 9
    for doubt in ours:
        value = value * doubt.factor + doubt.offset
    return value


def _number(raw: SnmpValue) -> float | None:
    if isinstance(raw, int | float):
        return float(raw)
    found = _NUMBER.search(text_of(raw))
    return float(found.group()) if found else None


def _same(value: float, units: Iterable[Unit], got: dict[str, Any]) -> bool:
    if not isinstance(got["value"], int | float) or got["quality"] != "good" or got["metric"].startswith("unmapped."):
        return False
    base = metric(got["metric"]).unit
    return any(
        quantity_of(unit) is quantity_of(base)
        and abs(convert(value, unit, base) - got["value"]) <= abs(got["value"]) * 1e-9 + 1e-9
        for unit in units
    )


def _state_wrong(oid: str, raw: str, got: list[dict[str, Any]], everything: list[dict[str, Any]]) -> str:
    """Why the state is not read as its maker means it; "" where it is."""
    if not meanings_of(oid):
        return "no table of its enumeration"
    wanted = [meaning for meaning in meanings_of(oid) if meaning.raw == raw]
    if not wanted:
        return "not in the table of its enumeration"
    here = {g["metric"]: g["value"] for g in got}
    whole = {g["metric"]: g["value"] for g in everything if not g["subject"]}
    told = [(meaning, (whole if meaning.combined else here).get(meaning.metric)) for meaning in wanted]
    wrong = [
        f"{meaning.metric} is {meaning.word}" for meaning, word in told if word is not None and not meaning.fits(word)
    ]
    # No reading is right only where the table says so for every metric; else one of them must be there.
    silent = all(word is None for _, word in told) and any(meaning.word != NO_READING for meaning in wanted)
    return ", ".join(wrong) or (f"{wanted[0].metric} is {wanted[0].word}" if silent else "")


@cache
def _library() -> Library:
    return Library.load()


def table(
    folder: Path, *, classes: Iterable[str] = CLASSES, families: Iterable[str] = (), seed: int | None = None
) -> list[Score]:
    """The scores of all walks of these classes and families."""
    return [score(folder, walk, _library(), seed=seed) for walk in walks(folder, classes=classes, families=families)]


def by_family(scores: list[Score]) -> dict[tuple[str, str], list[Score]]:
    """The scores grouped by class and family, in the order of the index."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for made in scores:
        groups.setdefault((made.walk.kind, made.walk.family), []).append(made)
    return groups


def _line(name: str, scores: list[Score]) -> str:
    matched, total = sum(s.matched for s in scores), sum(s.total for s in scores)
    known, states = sum(s.identified for s in scores), sum(s.states for s in scores)
    refused, strict = sum(s.refused for s in scores), sum(s.strict_total for s in scores)
    percents = f"{_percent(matched, total)} {_percent(matched, strict)}"
    return f"{name:36} {known:3}/{len(scores):<3} {matched:5}/{total:<5} {percents} {states:6} {refused:7}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:6.1f}" if whole else "     -"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--class", dest="classes", default=",".join(CLASSES), help="classes of the index, comma-separated"
    )
    parser.add_argument("--family", dest="families", default="", help="only these families of the index")
    parser.add_argument("--perturb", type=int, metavar="SEED")
    parser.add_argument("--missed", action="store_true", help="every walk with what was missed")
    options = parser.parse_args()
    folder = recordings()
    if folder is None:
        print("no recordings on this machine; set COLDAISLE_RECORDINGS")
        return 1
    families = [name for name in options.families.split(",") if name]
    scores = table(folder, classes=options.classes.split(","), families=families, seed=options.perturb)
    if options.missed:
        for made in scores:
            known = "" if made.identified else f"  NOT one of {sorted(identities().get(made.walk.stem, ()))}"
            print(f"{made.walk.stem} {made.profile}: {made.matched} of {made.total}{known}")
            for line in made.missed:
                print(f"    {line}")
    print(f"{'class family':36} {'known':>7} {'sensors right':>11}      % strict states refused")
    for (kind, family), group in by_family(scores).items():
        print(_line(f"{kind} {family}", group))
    for kind in dict.fromkeys(made.walk.kind for made in scores):
        print(_line(f"{kind}, all", [made for made in scores if made.walk.kind == kind]))
    print(_line("all", scores))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
