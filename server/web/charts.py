"""Curves for the browser, decided without a session: columns with holes where nothing was measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from facility.reading import Quality
from facility.severity import Severity
from server.history.schemas import RawOut, StepOut
from server.web.ui import displayed, metric_of

# A value holds until the next is due and half as long again; then the curve has a hole.
HOLD_INTERVALS = 3.0
HOLD_HEARTBEATS = 1.5
# A point without a known interval: a minute is the slowest habit of polling.
HOLD_UNKNOWN_S = 180.0
# An axis is never shorter than this, however young a device is.
SHORTEST_S = 300.0


@dataclass(slots=True)
class Columns:
    """Seconds since the epoch and values in display units, all of one length; None is a hole."""

    t: list[float] = field(default_factory=list)
    v: list[float | None] = field(default_factory=list)
    low: list[float | None] = field(default_factory=list)
    high: list[float | None] = field(default_factory=list)

    def add(self, t: float, v: float | None, low: float | None = None, high: float | None = None) -> None:
        self.t.append(t)
        self.v.append(v)
        self.low.append(low)
        self.high.append(high)

    @property
    def empty(self) -> bool:
        return all(value is None for value in self.v)


def hold_s(interval_s: float, heartbeat_s: float | None) -> float:
    """How long a value stands for what follows it."""
    if heartbeat_s:
        return heartbeat_s * HOLD_HEARTBEATS
    return interval_s * HOLD_INTERVALS if interval_s > 0 else HOLD_UNKNOWN_S


def _number(name: str, value: float | str | None) -> float | None:
    """A stored value as a number of the curve: states by their code."""
    if value is None:
        return None
    if isinstance(value, str):
        entry = metric_of(name)
        if entry is None or entry.states is None or value not in entry.states.words:
            return None
        return float(entry.states.by_word(value).code)
    return displayed(name, value)


def raw_columns(name: str, rows: Iterable[RawOut], *, hold: float) -> Columns:
    """Raw readings; one that is not good, or comes after a silence longer than `hold`, is a hole."""
    columns = Columns()
    last: float | None = None
    for row in rows:
        at = row.taken_at.timestamp()
        if last is not None and at - last > hold:
            columns.add(last + hold, None)
        columns.add(at, _number(name, row.value) if row.quality is Quality.GOOD else None)
        last = at
    return columns


def step_columns(name: str, rows: Sequence[StepOut], *, step_s: int) -> Columns:
    """Steps with their lowest and highest; a step that is left out is a hole."""
    columns = Columns()
    last: float | None = None
    for row in rows:
        at = row.at.timestamp()
        if last is not None and at - last > step_s * 1.5:
            columns.add(last + step_s, None)
        columns.add(at, _number(name, row.avg), _number(name, row.min), _number(name, row.max))
        last = at
    return columns


def begin(start: float, end: float, *, known_since: float, columns: Columns) -> float:
    """Where the axis begins: at `start`, or where the first value is when the device was not known before it.

    A silence of a device that was known is a hole at the left edge and stays one.
    """
    first = min(columns.t[0], known_since) if columns.t else start
    return start if first <= start else max(start, min(first, end - SHORTEST_S) - (end - first) * 0.05)


def level_lines(name: str, levels: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The thresholds that can be drawn: numeric limits of high and low levels, in display units, each value once."""
    lines: dict[tuple[str, float], dict[str, Any]] = {}
    for level in levels:
        limit, side = level.get("limit"), str(level.get("side", ""))
        if side not in ("high", "low") or isinstance(limit, bool) or not isinstance(limit, (int, float)):
            continue
        severity = Severity(level["severity"])
        value = displayed(name, float(limit))
        known = lines.get((side, value))
        if known is None or severity.worse_than(Severity(known["severity"])):
            lines[side, value] = {"value": value, "side": side, "severity": severity.value}
    return sorted(lines.values(), key=lambda line: float(line["value"]))
