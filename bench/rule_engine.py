"""How fast the rule engine judges: `python bench/rule_engine.py`. Figures are of one core.

A site of 300 devices under the shipped rules: cold-aisle sensors, UPSs and air conditioners, all quiet, then
crossing their limits at every sample, then in and out of alarm, then all in alarm.
"""

import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from facility.ids import new_id
from facility.reading import PointKey, Reading
from rules.engine import DeviceFacts, Engine
from rules.files import library
from rules.model import RuleSet

DEVICES = 100  # of each kind
ROUNDS = 120
POLL_MS = 10_000

QUIET: dict[str, dict[str, tuple[float | str, float | str]]] = {
    # kind: metric: (quiet value, alarming value)
    "sensor": {"room.temperature": (22.5, 33.0), "room.humidity": (48.0, 85.0), "room.dew_point": (11.0, 16.0)},
    "ups": {
        "ups.output.source": ("normal", "battery"), "ups.battery.charge": (100.0, 20.0),
        "ups.battery.runtime": (3600.0, 100.0), "ups.output.load": (45.0, 115.0),
        "ups.input.voltage": (230.0, 0.0), "ups.output.voltage": (230.0, 230.0),
    },
    "crac": {
        "crac.state": ("on", "fault"), "crac.alarm.state": ("normal", "alarm"),
        "crac.return_air.temperature": (32.0, 45.0), "crac.supply_air.temperature": (19.0, 30.0),
        "crac.fan.speed": (60.0, 0.0),
    },
}  # fmt: skip


def site() -> list[DeviceFacts]:
    return [
        DeviceFacts(
            id=f"{kind}-{i}",
            kind=kind,
            zone="cold-aisle" if kind == "sensor" else "",
            points=tuple(PointKey(f"{kind}-{i}", metric) for metric in metrics),
            interval_s=POLL_MS / 1000,
        )
        for kind, metrics in QUIET.items()
        for i in range(DEVICES)
    ]


def readings(which: Callable[[int], int]) -> list[list[Reading]]:
    """One list a poll; `which` says for a round whether the quiet (0) or the alarming (1) value is read."""
    return [
        [
            Reading(f"{kind}-{i}", metric, "", values[which(number)], number * POLL_MS)
            for kind, metrics in QUIET.items()
            for i in range(DEVICES)
            for metric, values in metrics.items()
        ]
        for number in range(1, ROUNDS + 1)
    ]


def measure(rules: RuleSet, rounds: list[list[Reading]]) -> tuple[int, int, float, Engine]:
    """Samples, events, seconds and the engine as it stood after."""
    engine = Engine(rules, site(), origin="bench", new_id=new_id, started_ms=0)
    events = 0
    start = time.perf_counter()
    for polled in rounds:
        events += len(engine.samples(polled))
        events += len(engine.advance(polled[0].taken_at))
    return sum(map(len, rounds)), events, time.perf_counter() - start, engine


def main() -> None:
    """Print the table."""
    rules = library()
    table = Table("case", "samples", "events", "samples/s", "snapshot", box=None, header_style="bold")
    cases: list[tuple[str, Callable[[int], int]]] = [
        ("nothing changes", lambda _: 0),
        ("crossing its limits at every sample", lambda number: number % 2),
        ("three minutes in alarm, three without", lambda number: number // 18 % 2),
        ("everything stands in alarm", lambda _: 1),
    ]
    for name, which in cases:
        samples, events, seconds, engine = measure(rules, readings(which))
        start = time.perf_counter()
        body = engine.snapshot()
        written = time.perf_counter() - start
        table.add_row(
            name, f"{samples:,}", f"{events:,}", f"{samples / seconds:,.0f}",
            f"{len(body) / 1024:,.0f} KiB in {written * 1000:.0f} ms",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
