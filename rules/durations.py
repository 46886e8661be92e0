"""Durations as people write them in rule files: `500ms`, `30s`, `5m`, `1h`, `1h30m`, `2d`."""

import re
from typing import Any

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_UNITS = {"d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS, "ms": 1}
_PART = re.compile(r"(\d+)(ms|d|h|m|s)")
_WHOLE = re.compile(r"(?:\d+(?:ms|d|h|m|s))+")


def parse_duration(value: Any) -> int:
    """Milliseconds of a written duration; `0` needs no unit. ValueError says what was expected."""
    text = str(value).strip()
    if text == "0":
        return 0
    if isinstance(value, bool) or not isinstance(value, str) or _WHOLE.fullmatch(text) is None:
        raise ValueError(f"a duration is written with its unit, like 30s, 5m or 1h30m; found {value!r}")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def write_duration(ms: int) -> str:
    """The shortest way to write milliseconds: 90000 is `1m30s`."""
    if ms == 0:
        return "0s"
    text = ""
    for unit, size in _UNITS.items():
        count, ms = divmod(ms, size)
        if count:
            text += f"{count}{unit}"
    return text
