"""What a store of readings must do. `sql.py` does it in SQLite and PostgreSQL; another store would stand beside it.

Points are named by their id (UUID text). A block is stored whole and once: its ledger entry and its readings are
committed together, and a store that cannot do both in one transaction must write the readings, idempotent on (point,
taken_at), before the entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from facility.wire import RejectedItem
from server.history.rollup import Bucket, Sample

# (agent id, stream, sequence number)
BlockName = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class PointSamples:
    """Samples of one point in columns. values are numbers or state codes; reasons are sparse, by position.

    hold_ms: how long a value of this point stands for the time after it.
    """

    point: str
    hold_ms: int
    at: Sequence[int]
    value: Sequence[float | None]
    quality: Sequence[int]
    reasons: dict[int, int] = field(default_factory=dict)
    raws: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadingsBlock:
    """A block's readings under its name in the ledger. refused: the items the answer names, kept with the entry."""

    agent_id: str
    stream: str
    seq: int
    digest: str
    series: Sequence[PointSamples]
    refused: Sequence[RejectedItem] = ()

    @property
    def name(self) -> BlockName:
        return self.agent_id, self.stream, self.seq


@dataclass(frozen=True, slots=True)
class Entered:
    """What the ledger knows of a block that was stored."""

    digest: str
    refused: tuple[RejectedItem, ...]


class Stored(StrEnum):
    """What became of a block."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class RawReading:
    """A stored reading with what the device said, where that was kept."""

    at: int
    value: float | None
    quality: int
    reason: int | None
    raw: str | None


class History(Protocol):
    """Times are ms UTC, ranges half-open. Every call is its own transaction."""

    async def write(self, blocks: Sequence[ReadingsBlock], *, now_ms: int) -> list[Stored]:
        """Store blocks, all or none; the answer is in their order. Raises when nothing was stored."""

    async def entered(self, names: Sequence[BlockName]) -> dict[BlockName, Entered]:
        """What the ledger holds of these blocks; of one that was never stored, nothing."""

    async def raw(self, point: str, start: int, end: int, *, limit: int) -> list[RawReading]:
        """The readings taken in [start, end), oldest first, at most `limit`."""

    async def window(self, points: Sequence[str], start: int, end: int) -> dict[str, list[Sample]]:
        """The readings taken in [start, end) of each point that has some, oldest first."""

    async def buckets(self, point: str, start: int, end: int, *, step_ms: int) -> list[Bucket]:
        """Buckets aligned to the step since the epoch that begin in [start, end); gaps are left out."""

    async def latest(self, points: Sequence[str]) -> dict[str, Sample]:
        """The newest reading of each point that has one."""
