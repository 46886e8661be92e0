"""Which blocks go first when the journal is full: one table, oldest first within a row.

What the centre already has goes before what it has not; within that, readings before alarms. The order of the whole
table keeps the invariant that no alarm is evicted while a reading is left. Catalogs are in no class: those that nothing
waiting speaks of go before all others, and the rest is needed by what waits.
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
    STOPPED = "stopped"  # only in memory when the agent was stopped while the disk refused


@dataclass(frozen=True, slots=True)
class Class:
    """Blocks that go together."""

    kind: Kind
    states: tuple[BlockState, ...]


_KEPT = (BlockState.COMMITTED,)
# What the centre can never take, and what the disk has changed: nobody waits for it.
ASIDE = (BlockState.REJECTED, BlockState.CORRUPT)
# Evicting these loses what the centre never got, so it is counted.
_UNSENT = (BlockState.UNSENT,)

ORDER = (
    Class(Kind.HEALTH, _KEPT),
    Class(Kind.READINGS, _KEPT),
    Class(Kind.HEALTH, ASIDE),
    Class(Kind.READINGS, ASIDE),
    Class(Kind.HEALTH, _UNSENT),
    Class(Kind.READINGS, _UNSENT),
    Class(Kind.EVENTS, _KEPT),
    Class(Kind.EVENTS, ASIDE),
    Class(Kind.EVENTS, _UNSENT),
    Class(Kind.ALARMS, _KEPT),
    Class(Kind.ALARMS, ASIDE),
    Class(Kind.ALARMS, _UNSENT),
)

# Evicting to a little under the bound, so that the next commit does not evict again.
TARGET = 0.95

# Blocks set aside are kept to be looked at, as they are kept at the centre: so many, and bytes of bodies, at most. A
# centre that refuses everything would else leave no room for history.
MOST_ASIDE = 1000
MOST_ASIDE_BYTES = 16 * 1024 * 1024
