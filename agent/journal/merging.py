"""Which small neighbours of the journal become one block, to spare the disk. Pure.

A row costs some 250 bytes beside its body, and a body of few values compresses badly.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.journal.packing import MAX_PACKED
from facility.wire import MAX_BODY

# Bodies of long texts; made one they are no larger than their sum, and stay well below what the wire carries.
_MAX_BYTES = MAX_BODY // 2
# Eviction by age takes whole blocks, and history reads them: an hour is the grain of both.
_SPAN_MS = 3_600_000
# Blocks overlap by what a poll lasts. One that begins earlier was born after the clock was set back: not mixed.
OVERLAP_MS = 5_000


@dataclass(frozen=True, slots=True)
class Extent:
    """What is known of a block without its body.

    parted_at: position of the last block of readings before it that is in another state, 0 for none.
    """

    catalog: str
    position: int
    count: int
    size: int
    first_at: int
    last_at: int
    parted_at: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Neighbours to be merged, none if empty. upto: position up to which nothing is left to be looked at again."""

    group: tuple[Extent, ...]
    upto: int


class _Group:
    """Neighbours so far, with their sums."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows: list[Extent] = []
        self._count = self._size = self._largest = 0
        self._first_at = self._last_at = 0

    def has_room_for(self, row: Extent) -> bool:
        return not self.rows or (
            row.catalog == self.rows[0].catalog
            # A merged block that others lie inside of would be read after them, and its own beginning come late.
            and row.parted_at < self.rows[-1].position
            and self._count + row.count <= self._most
            and self._size + row.size <= _MAX_BYTES
            and row.last_at - self._first_at <= _SPAN_MS
            and row.first_at >= self._last_at - OVERLAP_MS
        )

    def add(self, row: Extent) -> None:
        self._first_at = min(self._first_at, row.first_at) if self.rows else row.first_at
        self._last_at = max(self._last_at, row.last_at) if self.rows else row.last_at
        self._count += row.count
        self._size += row.size
        self._largest = max(self._largest, row.count)
        self.rows.append(row)

    @property
    def is_worth_it(self) -> bool:
        """Every value comes to stand in a block at least twice as large."""
        return len(self.rows) > 1 and 2 * self._largest <= self._count


def choose(rows: Iterable[Extent], *, after: int, full: bool, most: int = MAX_PACKED) -> Choice:
    """The first group worth merging of blocks after a position, `most` values together.

    full: there may be more rows than these. Else the last group is waited for, until a block comes that it has no room
    for.
    """
    group = _Group(most)
    upto = after
    for row in rows:
        # Left as it is: so each rewriting doubles what a value stands in, and there are few.
        large = row.count > most // 2
        if group.rows and (large or not group.has_room_for(row)):
            if group.is_worth_it:
                return Choice(tuple(group.rows), group.rows[-1].position)
            upto = group.rows[-1].position
            group = _Group(most)
        if large:
            upto = row.position
        else:
            group.add(row)
    if full and group.rows:
        return Choice(tuple(group.rows) if group.is_worth_it else (), group.rows[-1].position)
    return Choice((), upto)
