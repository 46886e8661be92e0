"""Which blocks go first when the journal is full: one table, oldest first within a row.

What the centre already has goes before what it has not; within that, readings before alarms. The order of the whole
table keeps the invariant that no alarm is evicted while a reading is left.
"""

from dataclasses import dataclass
from enum import StrEnum

from agent.journal.block import BlockState
from facility.wire import Kind


class DropReason(StrEnum):
    """Why something was lost before the centre had it; a metric label and a word on the screen."""

    TOO_OLD = "too_old"  # older than max_age
    JOURNAL_FULL = "journal_full"  # evicted for max_bytes
    MEMORY_FULL = "memory_full"  # evicted from memory while the disk refused
    OVERSIZE = "oversize"  # one item over the wire's cap
    CORRUPT = "corrupt"  # lost with a corrupt file or block
    CLOCK = "clock"  # held for a believable clock until there was no room


@dataclass(frozen=True, slots=True)
class Class:
    """Blocks that go together. lost: evicting them loses what the centre never got, so it is counted."""

    kind: Kind
    states: tuple[BlockState, ...]
    lost: bool


_KEPT = (BlockState.COMMITTED,)
_LOST = (BlockState.UNSENT, BlockState.REJECTED, BlockState.CORRUPT)

ORDER = (
    Class(Kind.HEALTH, _KEPT, lost=False),
    Class(Kind.READINGS, _KEPT, lost=False),
    Class(Kind.HEALTH, _LOST, lost=True),
    Class(Kind.READINGS, _LOST, lost=True),
    Class(Kind.EVENTS, _KEPT, lost=False),
    Class(Kind.EVENTS, _LOST, lost=True),
    Class(Kind.ALARMS, _KEPT, lost=False),
    Class(Kind.ALARMS, _LOST, lost=True),
)

# By age nothing of an alarm that was not delivered goes: it is small, and it is what the agent is for.
AGED = tuple(each for each in ORDER if not (each.kind is Kind.ALARMS and each.lost))

# Evicting to a little under the bound, so that the next commit does not evict again.
TARGET = 0.95
