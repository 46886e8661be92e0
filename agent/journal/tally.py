"""What the journal counts and says: figures for health and metrics, drops by reason, notices for operators."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.journal.eviction import DropReason
from agent.journal.losses import Dropped, summed, together
from agent.journal.recovery import OpenReport
from agent.journal.sql import Evicted
from facility.wire import Kind

log = logging.getLogger(__name__)

Notice = Callable[[str, dict[str, str]], None]


@dataclass(frozen=True, slots=True)
class JournalStats:
    """Figures for health, metrics and `coldaisle agent journal`.

    drops: readings and items lost since this opening, by reason; dropped: those of openings before, by their stream.
    alarms_since: when (monotonic) the oldest alarm was taken that a disk which is slow, or hangs, keeps from everybody.
    """

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
    dropped: Dropped
    alarms_since: float | None


def _silent(what: str, detail: dict[str, str]) -> None:
    """Nobody listens yet."""


@dataclass(slots=True)
class Tally:
    """Counts since this opening. notice: told what operators hear.

    drops: what was lost before the file had it (what is evicted from it, it counts itself); saved: what of it the file
    has heard of. Totals, so that a commit that is made twice counts nothing twice. dropped: of openings before.
    """

    readings: int = 0
    blocks: int = 0
    used: int = 0
    oldest: int | None = None
    unsent: dict[Kind, int] = field(default_factory=dict)
    unsent_bytes: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    saved: dict[str, int] = field(default_factory=dict)
    dropped: Dropped = field(default_factory=dict)
    degraded: str = ""
    alarms_since: float | None = None
    notice: Notice = _silent

    # --- drops -----------------------------------------------------------------------------------------------------

    def count(self, reason: DropReason, count: int) -> None:
        """Count what was lost before the file had it; the next commit tells the file."""
        if count:
            self.drops[reason] = self.drops.get(reason, 0) + count

    def forgotten(self, evicted: Evicted) -> None:
        """This went from memory."""
        for (reason, _), count in evicted.count.items():
            self.count(DropReason(reason), count)
        self.evicted(evicted)

    def evicted(self, evicted: Evicted) -> None:
        for (reason, kind), count in evicted.count.items():
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

    def given_up(self, lost: Mapping[Kind, int]) -> None:
        """At a stop the disk took not even then what was in memory; and perhaps not how much was lost."""
        if lost:
            log.error(
                "the disk refuses at the stop: what was in memory only is lost",
                extra={"cause": self.degraded, **{f"lost_{kind}": str(count) for kind, count in lost.items()}},
            )
        if self.drops != self.saved:
            log.error("the journal's file does not know what was lost", extra={"drops": dict(self.drops)})

    def opened(self, report: OpenReport, *, now_ms: int, group_commit_s: float) -> None:
        """Say what opening found, if it is not as it should be."""
        self.dropped = together(report.dropped, self.dropped)
        if report.quarantined is not None:
            self.count(DropReason.CORRUPT, report.lost_unsent)
            detail = {
                "cause": report.cause,
                "kept_as": report.quarantined.name,
                "salvaged_blocks": str(report.salvaged),
                "lost_blocks": str(report.lost),
                "lost_unsent": str(report.lost_unsent),
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

    def stats(self, *, stream: str, memory_bytes: int, evicted: Mapping[str, int]) -> JournalStats:
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
            drops=summed(self.drops, evicted),
            dropped={each: counts for each, counts in self.dropped.items() if counts and each != stream},
            alarms_since=self.alarms_since,
        )
