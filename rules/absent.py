"""Absent data: an expected point of an answering device that gives no good sample."""

from facility.alarms import AlarmEvent, EndReason
from facility.ids import NewId
from facility.severity import Severity
from rules.judges import NEVER, Judge, Reason, Target
from rules.model import Rule
from rules.parts import ABSENT_LEVEL, Side
from rules.records import JudgeRecord
from rules.runs import Run


class AbsentJudge(Judge):
    """No good sample of an expected point for `after` ms, counted only while its device answers.

    seen doubles as where the count starts: the start of the engine, the last good sample, or the device's return.
    """

    __slots__ = ("after", "severity", "silent")
    raise_reason = Reason.DATA_ABSENT

    def __init__(
        self, rule: Rule, *, after_ms: int, severity: Severity, started_ms: int,
        origin: str, device: str, subject: str, gap_ms: int, new_id: NewId,
    ) -> None:  # fmt: skip
        super().__init__(rule, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
        self.after = after_ms
        self.severity = severity
        self.silent = False  # the device itself is known lost: its own alarm says so
        self.restart(started_ms)

    def restart(self, at: int) -> None:
        """Count from `at`, unless the alarm already stands."""
        self.seen = at if self.seen is None else max(self.seen, at)
        self.schedule()

    def set_silent(self, silent: bool, at: int) -> None:
        self.silent = silent
        if not silent and self.occurrence is None:
            self.restart(at)
        self.schedule()

    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        if self.occurrence is None and self.due >= at:
            self.seen = at
            self.value = value
            if not self.silent:
                self.due = at + self.after
            return None
        events = self.run(at)
        self.seen = at
        self.value = value
        if self.occurrence is not None:
            events += self.end(at, EndReason.RECOVERED)
        self.schedule()
        return events

    def absorb(self, run: Run) -> bool:
        if self.occurrence is not None or self.due < run.times[0] or run.widest > self.after:
            return False
        self.seen = run.times[-1]
        self.value = run.values[-1]
        if not self.silent:
            self.due = self.seen + self.after
        return True

    def run(self, before: int) -> list[AlarmEvent]:
        if self.due >= before:
            return []
        at = self.due
        self.value = None
        events = self._become(Target(ABSENT_LEVEL, self.severity, self.after / 1000, Side.ABSENT), at)
        self.schedule()
        return events

    @property
    def calm(self) -> bool:
        return False  # since when it counts is worth knowing

    @property
    def only_window(self) -> bool:
        return self.occurrence is None and not self.silent

    def young(self, now: int) -> bool:
        """A good sample came lately: counting afresh after a restart would say nothing else for a good while."""
        return self.seen is not None and 2 * (now - self.seen) < self.after

    def clears_after(self, ms: int) -> None:
        """Data that is there again ends it, whenever."""

    def break_hold(self) -> None:
        """Absence is what this judge waits for."""

    def schedule(self) -> None:
        """Work out `due` anew."""
        idle = self.occurrence is not None or self.silent or self.seen is None
        self.due = NEVER if idle or self.seen is None else self.seen + self.after

    def save(self) -> JudgeRecord:
        record = super().save()
        record.silent = self.silent
        return record

    def load(self, record: JudgeRecord) -> None:
        super().load(record)
        self.silent = record.silent
        self.schedule()

    def carry(self, record: JudgeRecord) -> bool:
        if record.occurrence is not None and record.occurrence.side != Side.ABSENT:
            return False
        self.silent = record.silent
        if record.occurrence is not None:
            self.occurrence = record.occurrence.copy()
            self.value = record.value
        self.schedule()
        return True
