"""Many small blocks of readings made one, and thinned where the link cannot carry all. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.journal.block import Draft, Sealed, Stored, seal_drafts, seal_series
from facility.items import decode_series, joined
from facility.reading import PointKey, Reading
from facility.wire import Kind, WireError, decode, inflate

# Values in one packed block: some 25 KB, ten times below the wire's cap.
MAX_PACKED = 5_000
# Blocks looked at in one packing: ten minutes of one a second, where these are small.
MAX_BLOCKS = 600
# Values decoded in one packing: those of an outage wait in merged blocks, and an alarm's commit waits for this step.
# Thinning them costs some 0.3 s of CPU.
MAX_VALUES = 20 * MAX_PACKED
# Points whose last kept sample is remembered; beyond it some samples more are kept.
_MAX_POINTS = 20_000


class Thinner:
    """Remembers, over packings, what was last kept of each point."""

    def __init__(self) -> None:
        self._last: dict[PointKey, Reading] = {}

    def thin(self, readings: Iterable[Reading], spacing_ms: int) -> list[Reading]:
        """The readings to send: one of a point each `spacing_ms`, and each change of a state or of quality."""
        kept = []
        if len(self._last) > _MAX_POINTS:
            self._last.clear()
        for reading in readings:
            last = self._last.get(reading.point)
            if last is None or _matters(last, reading, spacing_ms):
                self._last[reading.point] = reading
                kept.append(reading)
        return kept


def _matters(last: Reading, reading: Reading, spacing_ms: int) -> bool:
    if not 0 <= reading.taken_at - last.taken_at < spacing_ms or reading.quality is not last.quality:
        return True
    return isinstance(reading.value, str) and reading.value != last.value


@dataclass(frozen=True, slots=True)
class Packed:
    """What stands in the place of a group. block: None when nothing of it is left; number: the last one given."""

    block: Sealed | None
    thinned: int
    number: int


def groups(blocks: Sequence[Stored], *, leave: Callable[[Sealed], bool]) -> list[list[Stored]]:
    """Neighbours that may become one block: of one catalog, together not too large, with none to be left between."""
    found: list[list[Stored]] = [[]]
    size = 0
    for each in blocks:
        if leave(each.block):
            found.append([])
            continue
        group = found[-1]
        if group and (group[0].block.catalog != each.block.catalog or size + each.block.count > MAX_PACKED):
            group = []
            found.append(group)
        size = each.block.count + (size if group else 0)
        group.append(each)
    return [group for group in found if group]


def pack(
    group: Sequence[Stored], *, stream: str, after: int, thinner: Thinner | None = None, spacing_ms: int = 0
) -> Packed | None:
    """One block of a group's readings, numbered after `after`; None when it has to stay as it is.

    thinner: leaves out what is closer to its neighbour than `spacing_ms`.
    """
    if thinner is not None and spacing_ms:
        return _thinned(group, stream=stream, after=after, thinner=thinner, spacing_ms=spacing_ms)
    if len(group) == 1:
        return None
    try:
        series = joined(inflate(each.block.body) for each in group)
    except WireError:
        return None
    if series is None:
        return None
    count = sum(each.block.count for each in group)
    block = seal_series(
        series, _like(group), count, stream=stream, number=lambda: after + 1, now_ms=group[0].block.born_at
    )
    return None if block is None else Packed(block, 0, after + 1)  # None: long texts beside the values


def _like(group: Sequence[Stored], readings: Sequence[Reading] = ()) -> Draft:
    """A draft of a group's span and catalog."""
    first_at, last_at = min(each.block.first_at for each in group), max(each.block.last_at for each in group)
    return Draft(Kind.READINGS, readings, first_at, last_at, group[0].block.catalog)


def _thinned(group: Sequence[Stored], *, stream: str, after: int, thinner: Thinner, spacing_ms: int) -> Packed | None:
    found: list[Reading] = []
    for each in group:
        try:
            taken, refused = decode_series(decode(each.block.payload()).items, now_ms=1 << 60)
        except WireError:
            return None
        if refused:
            return None  # whoever takes the block has the last word on what stands in it
        found += (reading for series in taken for reading in series.readings())
    kept = thinner.thin(found, spacing_ms)
    if not kept:
        return Packed(None, len(found), after)
    blocks, number, oversize = seal_drafts([_like(group, kept)], stream, after, group[0].block.born_at)
    if len(blocks) != 1 or oversize:
        return None  # long texts beside the values
    return Packed(blocks[0], len(found) - len(kept), number)
