"""What agents lost, as they tell it: a count by stream and reason that only grows. Pure.

Told again, late or in any order it comes to the same: the greatest of each (stream, reason) is kept, and the loss is
the sum over streams. A restart of the agent is a new stream, so a count that begins at 0 again takes nothing back.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from server.fleet.texts import clip

# Streams that lost something, kept one by one; an agent tells of its last 16. Older ones are one sum, under "".
MAX_STREAMS = 64
_SUMMED = ""
# Reasons of an agent in all, each an alarm of its own; an agent has 6. More are one sum under `OTHER`.
MAX_REASONS = 32
OTHER = "other"

Drops = dict[str, dict[str, int]]


def with_drops(held: Mapping[str, Any], told: Mapping[str, Mapping[str, int]]) -> Drops:
    """What is held, and what an item of health tells besides."""
    found = {stream: dict(counts) for stream, counts in _by_stream(held)}
    reasons = {reason for counts in found.values() for reason in counts if reason != OTHER}
    for stream, counts in told.items():
        for reason, count in _few(counts, reasons).items():
            known = found.setdefault(clip(stream, 36), {})
            known[reason] = max(count, known.get(reason, 0))
    streams = sorted(stream for stream in found if stream != _SUMMED)
    for stream in streams[: max(0, len(streams) - MAX_STREAMS)]:
        summed = found.setdefault(_SUMMED, {})
        for reason, count in found.pop(stream).items():
            summed[reason] = summed.get(reason, 0) + count
    return found


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
    found: dict[str, int] = {}
    for _, counts in _by_stream(held):
        for reason, count in counts.items():
            found[reason] = found.get(reason, 0) + count
    return found


def _by_stream(held: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, int]]]:
    """A row of before counts were told by stream holds plain numbers by reason: the agent tells those again."""
    return ((stream, counts) for stream, counts in held.items() if isinstance(counts, dict))
