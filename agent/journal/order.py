"""Blocks in the order of their times. After the clock was set back some lie inside of others; merged ones are wide."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from facility.items import Series, series_of
from facility.reading import Reading


@dataclass(frozen=True, slots=True)
class Stretch:
    """Series of a block, or of what lies in the same time in several; from when to when in ms UTC."""

    first_at: int
    last_at: int
    series: list[Series]


def in_order(blocks: Iterable[Stretch], *, slack_ms: int = 0) -> Iterator[Stretch]:
    """Blocks, sorted by when they begin, as stretches that follow one another in time; the series of each in order.

    slack_ms: blocks that overlap by no more, and in no point, are left as they are.
    """
    whole: Stretch | None = None
    mixed: list[Reading] = []  # of blocks that overlap, in order
    for block in blocks:
        if _overlap(whole, mixed, block, slack_ms):
            mixed = _sorted(mixed, whole)
            whole = None
            cut = bisect_left(mixed, block.first_at, key=_taken_at)
            yield from _laid(mixed[:cut])
            mixed = _sorted(mixed[cut:], block)
            continue
        if whole is not None:
            yield whole
        yield from _laid(mixed)
        whole, mixed = (block, []) if _is_in_order(block) else (None, _sorted([], block))
    if whole is not None:
        yield whole
    yield from _laid(mixed)


def _overlap(whole: Stretch | None, mixed: list[Reading], block: Stretch, slack_ms: int) -> bool:
    last_at = whole.last_at if whole is not None else mixed[-1].taken_at if mixed else block.first_at
    if last_at <= block.first_at or last_at > block.first_at + slack_ms:
        return last_at > block.first_at
    ends = {each.point: each.taken_at for each in mixed}
    if whole is not None:
        ends = {series.point: series.at[-1] for series in whole.series if series.at}
    return any(series.at[0] <= ends.get(series.point, 0) for series in block.series if series.at)


_taken_at = attrgetter("taken_at")


def _sorted(held: list[Reading], more: Stretch | None) -> list[Reading]:
    found = held + ([] if more is None else [each for series in more.series for each in series.readings()])
    return sorted(found, key=_taken_at)


def _laid(readings: list[Reading]) -> Iterator[Stretch]:
    if readings:
        yield Stretch(readings[0].taken_at, readings[-1].taken_at, series_of(readings))


def _is_in_order(block: Stretch) -> bool:
    return all(series.at == sorted(series.at) for series in block.series)
