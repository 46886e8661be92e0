"""Series in short notation, for rule tests: `22x10 28..32x5 _x3 !x2 leak`.

Each token is one or more samples, one a step: `22x10` ten times 22, `28..32x5` five from 28 to 32 in equal steps,
`_x3` three steps without a reading, `!x2` two readings that failed, any other word a state.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Long enough for a day of one-second samples; longer is a typing error.
MAX_SAMPLES = 100_000

_REPEATED = re.compile(r"(?P<value>.+?)x(?P<count>\d{1,6})")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a series. value None with `failed` is a reading that failed; None without is no reading at all."""

    value: float | str | None
    failed: bool = False


def parse_series(text: str) -> list[Step]:
    """The steps of a series. ValueError says which token was not understood."""
    steps: list[Step] = []
    for token in text.split():
        value, count = token, 1
        if (repeated := _REPEATED.fullmatch(token)) is not None:
            value, count = repeated["value"], int(repeated["count"])
        if count < 1 or len(steps) + count > MAX_SAMPLES:
            raise ValueError(f"{token!r} makes {count} samples; 1 to {MAX_SAMPLES} in all are read")
        steps.extend(_expand(value, count, token))
    return steps


def _expand(value: str, count: int, token: str) -> Iterator[Step]:
    if value == "_":
        yield from [Step(None)] * count
    elif value == "!":
        yield from [Step(None, failed=True)] * count
    elif ".." in value:
        first, _, last = value.partition("..")
        if not (_NUMBER.fullmatch(first) and _NUMBER.fullmatch(last)) or count < 2:
            raise ValueError(f"{token!r} is no ramp: write 22..30x9, at least two samples")
        start, end = float(first), float(last)
        yield from (Step(start + (end - start) * i / (count - 1)) for i in range(count))
    elif _NUMBER.fullmatch(value):
        yield from [Step(float(value))] * count
    elif re.fullmatch(r"[a-z_]+", value):
        yield from [Step(value)] * count
    else:
        raise ValueError(f"{token!r} is no sample: a number, a state word, _ (nothing) or ! (failed), with xN")
