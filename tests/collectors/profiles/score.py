"""Scores the shipped profiles against independent readings of recorded devices.

The recordings come with what another system read of them: object, class, value. Every number of these is looked for
among our readings by its object and compared in the base unit. Run as a script for the table:

    python tests/collectors/profiles/score.py [--perturb SEED] [--all]

--perturb changes the measured numbers of every walk (never units, states or structure) and expects them to follow.
"""

import argparse
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collectors.exchange import SnmpValue
from collectors.library import Library
from collectors.replay import replay_values
from collectors.walk import read_walk
from facility.metrics import metric
from facility.units import Unit, convert, quantity_of

# Families of the recordings' index whose devices the shipped profiles are for.
FAMILIES = {"apc-ups", "apc-cooling", "liebert", "akcp", "hwg", "rfc1628"}
# Units the other system keeps each class in; apparent power is filed under power there.
UNITS: dict[str, tuple[Unit, ...]] = {
    "temperature": (Unit.CELSIUS,),
    "humidity": (Unit.PERCENT,),
    "pressure": (Unit.KILOPASCAL,),
    "airflow": (Unit.CUBIC_FOOT_PER_MINUTE,),
    "voltage": (Unit.VOLT,),
    "current": (Unit.AMPERE,),
    "power": (Unit.WATT, Unit.VOLTAMPERE),
    "frequency": (Unit.HERTZ,),
    "load": (Unit.PERCENT,),
    "charge": (Unit.PERCENT,),
    "runtime": (Unit.MINUTE,),
}
_UPS = "1.3.6.1.2.1.33.1"


@dataclass(frozen=True)
class Doubt:
    """Where the other system's reading is known to be wrong: by walk's profile and object prefix."""

    profile: str
    prefix: str
    why: str
    factor: float = 1.0  # what its value must be multiplied by
    raws: tuple[str, ...] = ()  # raw values that are no measurement at all
    when: tuple[str, tuple[str, ...]] | None = None  # (column, values): only in rows where it holds one of these


# Facts about the devices, each visible in the recording itself; nothing here is about one recorded value.
DOUBTS = (
    Doubt("delta/mini-snmp", f"{_UPS}.3.3.1.3.", "AC volts are tenths", 0.1),
    Doubt("delta/mini-snmp", f"{_UPS}.4.4.1.2.", "AC volts are tenths", 0.1),
    Doubt("delta/mini-snmp", f"{_UPS}.5.3.1.2.", "AC volts are tenths", 0.1),
    Doubt("huawei/ups2000", f"{_UPS}.3.3.1.2.", "hertz are tenths, not hundredths", 10.0),
    Doubt("huawei/ups2000", f"{_UPS}.4.2.", "hertz are tenths, not hundredths", 10.0),
    Doubt("huawei/ups2000", f"{_UPS}.5.1.", "hertz are tenths, not hundredths", 10.0),
    Doubt("huawei/ups2000", f"{_UPS}.4.4.1.4.", "output power is whole kilowatts", 1000.0),
    Doubt("", f"{_UPS}.", "the card's word for unknown", raws=("65535", "655350", "4294967295")),
    Doubt("riello/netman", f"{_UPS}.2.6.", "the card's word for unknown", raws=("-1",)),
    Doubt("dell/ups", f"{_UPS}.2.7.", "not measured", raws=("0",)),
    Doubt("akcp/sensorprobe", "1.3.6.1.4.1.3854.1.2.2.1.17.1.13.", "the probe is offline; its value is old",
          raws=("*",), when=("1.3.6.1.4.1.3854.1.2.2.1.17.1.5.", ("2",))),
)  # fmt: skip


@dataclass
class Score:
    """One walk: matched and missed sensors as (class, object, expected, got or reason)."""

    walk: str
    profile: str
    matched: int = 0
    refused: int = 0
    literal: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.matched + len(self.missed)


def recordings() -> Path | None:
    """The folder of recordings, if it is on this machine."""
    named = os.environ.get("COLDAISLE_RECORDINGS")
    folder = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "recordings"
    return folder if (folder / "INDEX.tsv").is_file() else None


def walks(folder: Path, *, everything: bool = False) -> Iterator[str]:
    """Names of walks of the shipped families that have independent readings."""
    rows = [line.split("\t") for line in (folder / "INDEX.tsv").read_text("utf-8").splitlines()[1:]]
    for name, _, family, *_ in rows:
        stem = name.removesuffix(".snmprec")
        if (everything or family in FAMILIES) and (folder / "expected" / f"{stem}.json").is_file():
            yield stem


def sensors(folder: Path, stem: str) -> list[dict[str, Any]]:
    """The numeric sensors the other system found on a walk."""
    said = json.loads((folder / "expected" / f"{stem}.json").read_text("utf-8"))
    found = said.get("sensors", {}).get("discovery", {}).get("sensors", [])
    # A date turned into minutes from a test's own "today" is no reading of the device.
    return [s for s in found if s["sensor_class"] in UNITS and s.get("user_func") != "dateToRuntime"]


def perturbed(values: dict[str, SnmpValue], objects: set[str], seed: int) -> dict[str, SnmpValue]:
    """The walk with its measured numbers changed by up to a tenth; zero, unknown and structure stay."""
    dice = random.Random(seed)
    changed = dict(values)
    for oid in sorted(objects):
        value = values.get(oid)
        # A factor below one keeps percentages within 100 and tenths of volts within their range.
        if isinstance(value, int) and value > 9 and value not in (65535, 655350, 4294967295):
            changed[oid] = max(1, int(value * dice.uniform(0.85, 0.999)))
    return changed


def score(folder: Path, stem: str, library: Library, *, seed: int | None = None) -> Score:
    """Replays one walk and compares every numeric sensor."""
    values = read_walk(folder / "walks" / f"{stem}.snmprec")
    expected = sensors(folder, stem)
    if seed is not None:
        values = perturbed(values, {sensor["sensor_oid"].lstrip(".") for sensor in expected}, seed)
    result = replay_values(values, library)
    named = result["profile"] or next(iter(result["candidates"]), "")
    readings = {reading["source"]: reading for reading in result["readings"]}
    made = Score(stem, result["profile"] or (f"({named})" if named else "-"))
    for sensor in expected:
        oid = sensor["sensor_oid"].lstrip(".")
        raw = values.get(oid)
        if raw is None:
            continue  # the other system recorded a value the walk does not hold
        got = readings.get(oid)
        doubts = [
            d for d in DOUBTS if oid.startswith(d.prefix) and d.profile in ("", named) and _applies(d, oid, values)
        ]
        if any(str(raw) in d.raws or "*" in d.raws for d in doubts):
            if got is None or got["value"] is None:
                made.refused += 1
            else:
                made.missed.append(f"{sensor['sensor_class']} {oid}: {raw!r} is no value, read as {got['value']}")
            continue
        value = _number(raw) * sensor["sensor_multiplier"] / sensor["sensor_divisor"]
        for doubt in doubts:
            value *= doubt.factor
        if _same(value, sensor["sensor_class"], got):
            made.matched += 1
            made.literal += not any(d.factor != 1 for d in doubts) and (
                seed is not None or abs(float(sensor["sensor_current"]) - value) <= abs(value) * 1e-6 + 1e-9
            )
        else:
            shown = "not read" if got is None else f"{got['value']} {got['unit']} ({got['quality']})"
            made.missed.append(f"{sensor['sensor_class']} {oid} ({sensor['sensor_descr']}): {value:g}, got {shown}")
    return made


def _applies(doubt: Doubt, oid: str, values: dict[str, SnmpValue]) -> bool:
    if doubt.when is None:
        return True
    column, wanted = doubt.when
    return str(values.get(column + oid.removeprefix(doubt.prefix))) in wanted


def _number(raw: SnmpValue) -> float:
    return float(raw.decode()) if isinstance(raw, bytes) else float(raw)


def _same(value: float, sensor_class: str, got: dict[str, Any] | None) -> bool:
    if got is None or not isinstance(got["value"], int | float) or got["quality"] != "good":
        return False
    base = metric(got["metric"]).unit
    return any(
        quantity_of(unit) is quantity_of(base)
        and abs(convert(value, unit, base) - got["value"]) <= abs(got["value"]) * 1e-9 + 1e-9
        for unit in UNITS[sensor_class]
    )


def table(folder: Path, *, seed: int | None = None, everything: bool = False) -> list[Score]:
    """The scores of all walks of the shipped families."""
    library = Library.load()
    return [score(folder, stem, library, seed=seed) for stem in walks(folder, everything=everything)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perturb", type=int, metavar="SEED")
    parser.add_argument("--all", action="store_true", help="walks of every family, shipped or not")
    options = parser.parse_args()
    folder = recordings()
    if folder is None:
        print("no recordings on this machine; set COLDAISLE_RECORDINGS")
        return 1
    scores = table(folder, seed=options.perturb, everything=options.all)
    print(f"{'walk':32} {'profile':24} {'matched':>7} {'missed':>6} {'refused':>7}")
    for made in scores:
        print(f"{made.walk:32} {made.profile:24} {made.matched:7} {len(made.missed):6} {made.refused:7}")
        for line in made.missed:
            print(f"    missed {line}")
    matched, total = sum(s.matched for s in scores), sum(s.total for s in scores)
    refused, literal = sum(s.refused for s in scores), sum(s.literal for s in scores)
    print(f"matched {matched} of {total} = {100 * matched / max(total, 1):.1f} %; rightly refused {refused}")
    print(f"equal to the other system's number as it stands: {literal} of {total + refused}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
