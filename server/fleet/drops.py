"""What agents lost, as they tell it: a count by stream and reason that only grows. Pure.

Told again, late or in any order it comes to the same: the greatest of each (stream, reason) is kept, and the loss is
the sum over streams. A restart of the agent is a new stream, so a count that begins at 0 again takes nothing back.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from facility.items import COUNTS_BELOW, MOST_STREAMS
from server.fleet.texts import clip

# Streams that lost something, kept one by one. Those that were not told of for longest are one sum, under "".
MAX_STREAMS = 2 * MOST_STREAMS
# Summed streams that are remembered, so that a late word of one does not add it again.
MOST_SUMMED = 256
_STREAM = 36
_SUM = ""
# Longer than a stream, so that none is called so. By when they were heard, not by id: a machine that does not know the
# time makes ids of 1970, and no database keeps the order of an object's members.
_HEARD = "streams that are kept, by when they were told of last"
_SUMMED = "streams that are summed, in the order in which they were"
# Reasons of an agent in all, each an alarm of its own; an agent has 7. More are one sum under `OTHER`.
MAX_REASONS = 32
OTHER = "other"
# Kept as the reasons are, and no loss that anybody is told of.
THINNED = "thinned"

Drops = dict[str, Any]


def with_drops(held: Mapping[str, Any], told: Mapping[str, Mapping[str, int]]) -> Drops:
    """What is held, and what an item of health tells besides."""
    found = {stream: dict(counts) for stream, counts in _by_stream(held)}
    summed: list[str] = held.get(_SUMMED, [])
    reasons = {reason for counts in found.values() for reason in counts if reason != OTHER}
    now = [clip(stream, _STREAM) for stream in told]
    for stream, counts in zip(now, told.values(), strict=True):
        if stream == _SUM or stream in summed:
            continue
        for reason, count in _few(counts, reasons).items():
            known = found.setdefault(stream, {})
            known[reason] = max(count, known.get(reason, 0))
    last = {stream: place for place, stream in enumerate([*held.get(_HEARD, []), *now])}
    heard = sorted(found.keys() - {_SUM}, key=lambda stream: (last.get(stream, -1), stream))
    # Never one that is being told: it would be added each time.
    over = [stream for stream in heard[: max(0, len(heard) - MAX_STREAMS)] if stream not in now]
    for stream in over:
        total = found.setdefault(_SUM, {})
        for reason, count in found.pop(stream).items():
            total[reason] = total.get(reason, 0) + count
    drops: Drops = {**found}
    if len(found) > 1:
        drops[_HEARD] = [stream for stream in heard if stream in found]
    if summed or over:
        drops[_SUMMED] = [*summed, *over][-MOST_SUMMED:]
    return drops


def _few(counts: Mapping[str, int], reasons: set[str]) -> dict[str, int]:
    """What was lost, by reasons that are known or that there is room for: `reasons` gains those. Never fewer later on,
    so that the same told again has the same sum.
    """
    found: dict[str, int] = {}
    for reason, count in counts.items():
        if count > 0:
            name = clip(reason, 64)
            if name not in reasons and len(reasons) >= MAX_REASONS:
                name = OTHER
            elif name != OTHER:
                reasons.add(name)
            found[name] = found.get(name, 0) + count
    return found


def by_reason(held: Mapping[str, Any]) -> dict[str, int]:
    """All that was lost, by reason."""
    found = _summed(held)
    found.pop(THINNED, None)
    return found


def thinned(held: Mapping[str, Any]) -> int:
    """How many readings were left out for the budget of a metered link, as its operator chose."""
    return _summed(held).get(THINNED, 0)


def _summed(held: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, counts in _by_stream(held):
        for reason, count in counts.items():
            found[reason] = found.get(reason, 0) + count
    return found


def _by_stream(held: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, int]]]:
    """What was held before it was judged may be anything: left out, since one row must not stop who looks at all.

    A row of before counts were told by stream holds plain numbers by reason: the agent tells those again.
    """
    for stream, counts in held.items():
        if isinstance(counts, dict):
            yield stream, {reason: count for reason, count in counts.items() if _can_be(count)}


def _can_be(count: object) -> bool:
    return isinstance(count, int) and 0 < count < COUNTS_BELOW
