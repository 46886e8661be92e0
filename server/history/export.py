"""Readings as CSV: RFC 4180, times in UTC, header first. Pure."""

import csv
import io
from collections.abc import Sequence

from server.history.schemas import RawOut, StepOut


def raw_csv(rows: Sequence[RawOut]) -> str:
    lines = [("taken_at", "value", "quality", "reason")]
    lines += [(_time(row.taken_at), _cell(row.value), row.quality.value, _cell(row.reason)) for row in rows]
    return _text(lines)


def steps_csv(rows: Sequence[StepOut]) -> str:
    lines: list[tuple[str, ...]] = [("at", "min", "avg", "max", "n", "last")]
    lines += [
        (_time(row.at), _cell(row.min), _cell(row.avg), _cell(row.max), str(row.n), _cell(row.last)) for row in rows
    ]
    return _text(lines)


def _time(at: object) -> str:
    return str(at).replace(" ", "T").replace("+00:00", "Z")


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _text(lines: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue()
