"""What the journal counts and says: figures for health and metrics, drops by reason, notices for operators."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.journal.eviction import DropReason
from agent.journal.recovery import OpenReport
from agent.journal.sql import Evicted
from facility.wire import Kind

log = logging.getLogger(__name__)

Notice = Callable[[str, dict[str, str]], None]


@dataclass(frozen=True, slots=True)
class JournalStats:
    """Figures for health, metrics and `coldaisle agent journal`. drops: since this opening, readings and items."""

    stream: str
    degraded: str
    unsent_blocks: Mapping[Kind, int]
    unsent_bytes: int
    oldest_unsent_ms: int | None
    used_bytes: int
    memory_bytes: int
    readings: int
    blocks: int
    drops: Mapping[str, int]


def _silent(what: str, detail: dict[str, str]) -> None:
    """Nobody listens yet."""


@dataclass(slots=True)
class Tally:
    """Counts since this opening. unsaved: drops that the file has not counted yet; notice: told what operators hear."""

    readings: int = 0
    blocks: int = 0
    used: int = 0
    oldest: int | None = None
    unsent: dict[Kind, int] = field(default_factory=dict)
    unsent_bytes: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    unsaved: dict[str, int] = field(default_factory=dict)
    degraded: str = ""
    notice: Notice = _silent

    # --- drops -----------------------------------------------------------------------------------------------------

    def count(self, reason: DropReason, count: int, *, save: bool = True) -> None:
        """Count what was lost; save: the file is to count it too, with the next commit."""
        if count:
            self.drops[reason] = self.drops.get(reason, 0) + count
            if save:
                self.unsaved[reason] = self.unsaved.get(reason, 0) + count

    def saved(self, drops: Mapping[str, int]) -> None:
        """The file has counted these."""
        for reason, count in drops.items():
            self.unsaved[reason] -= count
            if not self.unsaved[reason]:
                del self.unsaved[reason]

    def evicted(self, evicted: Evicted, *, in_memory: bool = False) -> None:
        for (reason, kind), count in evicted.count.items():
            # Those of the file are already in its own counters, by the transaction that evicted them.
            self.count(DropReason(reason), count, save=in_memory)
            self.notice("evicted", {"reason": reason, "kind": kind, "count": str(count)})

    def corrupt_block(self, kind: Kind, count: int) -> None:
        self.count(DropReason.CORRUPT, count)
        self.notice("corrupt_block", {"kind": kind, "count": str(count)})

    # --- what became of the file -----------------------------------------------------------------------------------

    def refused(self, cause: str) -> None:
        """The disk refuses; said once until it heals."""
        if not self.degraded:
            log.error("journal cannot write; working from bounded memory", extra={"cause": cause})
            self.notice("degraded", {"cause": cause})
        self.degraded = cause

    def healed(self) -> None:
        log.info("journal writes again")
        cause, self.degraded = self.degraded, ""
        self.notice("healed", {"cause": cause})

    def opened(self, report: OpenReport, *, now_ms: int, group_commit_s: float) -> None:
        """Say what opening found, if it is not as it should be."""
        if report.quarantined is not None:
            self.count(DropReason.CORRUPT, report.lost)
            detail = {
                "cause": report.cause,
                "kept_as": report.quarantined.name,
                "salvaged_blocks": str(report.salvaged),
                "lost_blocks": str(report.lost),
            }
            log.error("journal file was corrupt; set aside and replayed", extra=detail)
            self.notice("quarantined", detail)
        if report.unclean is not None:
            # Killed, or the power went: what was not yet committed is lost, and nobody can count it.
            detail = {
                "last_commit_at": str(report.unclean),
                "down_s": f"{max(0, now_ms - report.unclean) / 1000:.1f}",
                "lost_at_most_s": f"{group_commit_s:g}",
            }
            log.warning("the agent was not stopped in order; readings not yet committed are lost", extra=detail)
            self.notice("unclean_stop", detail)

    def stats(self, *, stream: str, memory_bytes: int) -> JournalStats:
        return JournalStats(
            stream=stream,
            degraded=self.degraded,
            unsent_blocks=dict(self.unsent),
            unsent_bytes=self.unsent_bytes,
            oldest_unsent_ms=self.oldest,
            used_bytes=self.used,
            memory_bytes=memory_bytes,
            readings=self.readings,
            blocks=self.blocks,
            drops=dict(self.drops),
        )
