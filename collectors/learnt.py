"""What polling a device taught us, as plain data that outlives the program. Pure.

None of it is needed to poll: without it holes are found again, sizes shrink again, and the turns of a counter are
forgotten, so that its total falls once.
"""

import msgspec

from collectors.counts import Count
from collectors.exchange import Table
from collectors.plan import ADDRESSES, Holes
from collectors.snmp.pace import Pace

# Of one device. A unit that refuses all its 65,536 registers is no longer worth remembering, and a file is bounded.
MAX_CELLS = 5000


class LearntCount(msgspec.Struct, frozen=True):
    """One counter; at: ms UTC of `last`."""

    metric: str
    subject: str
    last: float
    turns: int
    at: int


class LearntPace(msgspec.Struct, frozen=True):
    """What an SNMP agent stands; shrunk_at: ms UTC, None where nothing had to shrink."""

    batch: int
    bulk: bool
    rows: int
    ceiling: int
    shrunk_at: int | None = None


class LearntCell(msgspec.Struct, frozen=True):
    """A cell that is not there, or an address no request may reach across; at: ms UTC when that was learnt."""

    table: Table
    address: int
    at: int


class Learnt(msgspec.Struct, frozen=True):
    """Of one device. place: where and how it was asked; holes, cuts and pace count only there."""

    profile: str
    place: str
    counts: tuple[LearntCount, ...] = ()
    holes: tuple[LearntCell, ...] = ()
    cuts: tuple[LearntCell, ...] = ()
    pace: LearntPace | None = None


def cells_of(holes: Holes) -> tuple[tuple[LearntCell, ...], tuple[LearntCell, ...]]:
    """Holes and cuts, as they are kept."""
    kept = [
        tuple(LearntCell(table, address, at) for (table, address), at in list(known.items())[:MAX_CELLS])
        for known in (holes.cells, holes.cuts)
    ]
    return kept[0], kept[1]


def holes_of(learnt: Learnt) -> Holes:
    """What was kept, as the planner knows it; their age is judged at each poll."""
    known = [
        {(each.table, each.address): each.at for each in cells[:MAX_CELLS] if 0 <= each.address < ADDRESSES}
        for cells in (learnt.holes, learnt.cuts)
    ]
    return Holes(cells=known[0], cuts=known[1])


def pace_of(pace: Pace, *, now: float, now_ms: int) -> LearntPace:
    """As it is kept: the agent's monotonic seconds mean nothing to the next program."""
    known = pace.known()
    shrunk_at = None if known.shrunk_at is None else now_ms - round((now - known.shrunk_at) * 1000)
    return LearntPace(known.batch, known.bulk, known.rows, known.ceiling, shrunk_at)


def recall_pace(pace: Pace, learnt: LearntPace, *, now: float, now_ms: int) -> None:
    """Take up what was kept; of the future it is as good as new, for a clock may have been set meanwhile."""
    if learnt.shrunk_at is not None:
        age_s = max(0, now_ms - learnt.shrunk_at) / 1000
        pace.recall(batch=learnt.batch, bulk=learnt.bulk, rows=learnt.rows, ceiling=learnt.ceiling, since=now - age_s)


def count_of(metric: str, subject: str, count: Count) -> LearntCount | None:
    if count.last is None:
        return None
    return LearntCount(metric, subject, count.last, count.turns, count.at)


def counted(learnt: LearntCount) -> Count:
    return Count(last=learnt.last, turns=max(0, learnt.turns), at=learnt.at)
