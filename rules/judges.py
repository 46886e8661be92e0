"""One judge per rule and point: the small serial state machine that turns samples and timers into alarm events.

What holds here, and is tested by these names:

- *Strictly before*: a timer acts only when time has passed it (`due < now`). A sample at the very instant of a timer
  is therefore seen first, whichever of the two calls comes first.
- *Timers belong to the sample that set them*: a sample first lets the timers before it act. So how often `advance` is
  called changes when events are handed out, never which events there are or their times.
- *A value holds for a while*: until the next reading of any quality, at most `gap`. Beyond that no `for` or
  `clear_for` runs out; the next good sample goes on counting if it comes within `gap` of the last, else it starts anew.
- *No data never clears*: only a good sample inside the clear value starts `clear_for`.
- *Closed is closed*: outside its hours nothing is raised, and what was pending at the closing instant begins anew.
- *Flapping is one alarm*: the change that makes it too many within a while stands at its worst until it was calm for
  long. Changes are raises, and coming back to what it had eased from. What goes and comes back while it stands is
  counted (`swings`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.ids import NewId
from facility.severity import Severity
from rules.model import Rule
from rules.parts import Side
from rules.records import JudgeRecord, OccurrenceRecord
from rules.runs import Run

# "No timer": later than any time there is (a year far beyond datetime's 9999).
NEVER = 1 << 62

Value = float | str | None


class Reason(StrEnum):
    """Why an occurrence was raised or updated; ended ones carry `facility.alarms.EndReason`."""

    LIMIT_EXCEEDED = "limit_exceeded"
    STATE_MATCHED = "state_matched"
    RATE_EXCEEDED = "rate_exceeded"
    DATA_ABSENT = "data_absent"
    ESCALATED = "escalated"
    DEESCALATED = "deescalated"
    STATE_CHANGED = "state_changed"
    LIMITS_CHANGED = "limits_changed"
    FLAPPING = "flapping"
    FORECAST = "forecast"


@dataclass(frozen=True, slots=True)
class Target:
    """What is broken now: the level, its severity and limit, and its side (high and low are two problems)."""

    level: str
    severity: Severity
    limit: Value
    side: Side


class Judge(ABC):
    """What every kind shares: identity, the occurrence and how events are made of it.

    seen: the last sample that judged; due: when the next timer may act, NEVER if none.
    carried: the limits moved under an active occurrence, and no sample has confirmed it yet.
    raises: when it lately came (back), as many as make it flap; flapping: what stands now came once too often.
    eased: what stands now was worse, or something else, before.
    closes: where the hours it is within end; whatever is pending then is cut.
    """

    __slots__ = (
        "carried", "clear_for", "closes", "device", "due", "eased", "flap", "flapping", "gap", "hours", "metric",
        "new_id", "occurrence", "origin", "page", "raises", "revision", "rule", "scheduled", "seen", "subject", "value",
    )  # fmt: skip
    raise_reason: Reason

    def __init__(self, rule: Rule, *, origin: str, device: str, subject: str, gap_ms: int, new_id: NewId) -> None:
        self.rule = rule.id
        self.revision = rule.revision
        self.metric = rule.metric
        self.origin = origin
        self.device = device
        self.subject = subject
        self.gap = gap_ms
        self.clear_for = rule.clear_for
        self.flap = rule.flap
        self.hours = rule.hours
        self.closes = NEVER if rule.hours is None else 0
        self.flapping = False
        self.eased = False
        self.raises: tuple[int, ...] = ()
        self.new_id = new_id
        self.occurrence: OccurrenceRecord | None = None
        self.carried = False
        self.seen: int | None = None
        self.value: Value = None
        self.page: msgspec.Raw | None = None  # `rules.pages`: its window as last written
        self.due = NEVER
        self.scheduled = NEVER  # the engine's: where its heap will look again

    @abstractmethod
    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        """Judge one good sample newer than the last; None when nothing happened."""

    def absorb(self, run: Run) -> bool:
        """Take a run within its hours as a whole, if nothing can happen in it; else False and nothing is changed."""
        return False

    @abstractmethod
    def run(self, before: int) -> list[AlarmEvent]:
        """Let the timers strictly before `before` act, in their order."""

    @property
    def calm(self) -> bool:
        """Nothing going on that a restart must remember."""
        return self.occurrence is None and not self.raises

    @property
    def only_window(self) -> bool:
        """Not calm, but a window of samples is all there is to remember."""
        return False

    def rest(self) -> None:
        """Its hours ended with no occurrence: what was about to be raised is not."""
        raise NotImplementedError("a judge without hours has no closing")

    def watch(self, at: int, value: float | str) -> None:  # noqa: B027  # most have nothing to look back on
        """A good sample outside its hours: remember what judging at the opening will look back on."""

    def within_hours(self, at: int) -> tuple[bool, list[AlarmEvent]]:
        """Whether it may judge at `at`, and what its timers did up to the closing, if that was since."""
        if self.hours is None or at < self.closes:
            return True, []
        events: list[AlarmEvent] = []
        if self.occurrence is None:
            events = self.run(self.closes)
        if self.occurrence is None:
            self.rest()
        opened = self.hours.open(at)
        if opened:
            self._open(at)
        return opened or self.occurrence is not None, events

    def _open(self, at: int) -> None:
        assert self.hours is not None
        closing = self.hours.closing(at)
        self.closes = NEVER if closing is None else closing

    def _shut(self, at: int) -> bool:
        """It may not raise: `at` is outside its hours."""
        return self.hours is not None and at >= self.closes and not self.hours.open(at)

    @abstractmethod
    def clears_after(self, ms: int) -> None:
        """From now on it must be calm for so long before it ends."""

    def break_hold(self) -> None:
        """The point was read and gave no good value: what it last said is not known to hold any longer."""
        self.due = NEVER

    def save(self) -> JudgeRecord:
        return JudgeRecord(
            rule=self.rule,
            revision=self.revision,
            device=self.device,
            metric=self.metric,
            subject=self.subject,
            seen=self.seen,
            value=self.value,
            held=self.due != NEVER,
            carried=self.carried,
            occurrence=None if self.occurrence is None else self.occurrence.copy(),
            raises=self.raises,
            flapping=self.flapping,
            eased=self.eased,
        )

    def load(self, record: JudgeRecord) -> None:
        """Take over the state of a judge of the same revision."""
        self.seen = record.seen
        if self.hours is not None and self.seen is not None and self.hours.open(self.seen):
            self._open(self.seen)
        self.value = record.value
        self.carried = record.carried
        self.occurrence = None if record.occurrence is None else record.occurrence.copy()
        self.raises = record.raises
        self.eased = record.eased
        self._set_flapping(record.flapping)

    @abstractmethod
    def carry(self, record: JudgeRecord) -> bool:
        """Keep the occurrence of an older revision, timers restarted; False when this kind cannot go on with it."""

    def end(self, at: int, reason: EndReason) -> list[AlarmEvent]:
        """End the occurrence, if any."""
        if self.occurrence is None:
            return []
        event = self._event(AlarmEventKind.ENDED, self.occurrence, at, reason.value)
        self.occurrence = None
        self.carried = self.eased = False
        self._set_flapping(False)
        return [event]

    def _become(self, target: Target | None, at: int) -> list[AlarmEvent]:
        """Move the occurrence to what is broken now: raise, update, end, or nothing."""
        occurrence = self.occurrence
        if target is None:
            return self.end(at, EndReason.RULE_CHANGED if self.carried else EndReason.RECOVERED)
        if occurrence is None:
            return [] if self._shut(at) else [self._raise(target, at)]
        if occurrence.side != target.side and not self.flapping:
            return [*self.end(at, EndReason.RECOVERED), *self._become(target, at)]
        reason = self._difference(occurrence, target)
        if reason is None:
            return []
        moved = reason is Reason.STATE_CHANGED or (reason is Reason.LIMITS_CHANGED and occurrence.level != target.level)
        back = self.eased and (moved or reason is Reason.ESCALATED)
        self.eased = moved or reason is Reason.DEESCALATED
        if back and self._flaps(at):
            reason = Reason.FLAPPING
        occurrence.revision += 1
        occurrence.level, occurrence.severity = target.level, target.severity
        occurrence.limit, occurrence.side = target.limit, target.side
        return [self._event(AlarmEventKind.UPDATED, occurrence, at, reason.value)]

    def _difference(self, occurrence: OccurrenceRecord, target: Target) -> Reason | None:
        if target.severity.worse_than(occurrence.severity):
            return Reason.ESCALATED
        if occurrence.severity.worse_than(target.severity):
            return Reason.DEESCALATED
        if occurrence.level != target.level or occurrence.limit != target.limit:
            return Reason.LIMITS_CHANGED
        return None

    def _raise(self, target: Target, at: int) -> AlarmEvent:
        reason = Reason.FLAPPING if self._flaps(at) else self.raise_reason
        self.occurrence = OccurrenceRecord(
            id=self.new_id(at),
            revision=1,
            level=target.level,
            severity=target.severity,
            limit=target.limit,
            side=target.side,
        )
        return self._event(AlarmEventKind.RAISED, self.occurrence, at, reason.value)

    def _flaps(self, at: int) -> bool:
        """It came, or came back: whether that is once too often."""
        if self.flap is None or self.flapping:
            return False
        self.raises = (*(when for when in self.raises if at - when < self.flap.within), at)
        if len(self.raises) < self.flap.changes:
            return False
        # Counting begins anew once this one has ended.
        self.raises = ()
        self._set_flapping(True)
        return True

    def _set_flapping(self, flapping: bool) -> None:
        self.flapping = flapping
        hold = self.flap.hold if flapping and self.flap is not None else 0
        self.clears_after(max(self.clear_for, hold))

    def _event(self, kind: AlarmEventKind, occurrence: OccurrenceRecord, at: int, reason: str) -> AlarmEvent:
        if kind is AlarmEventKind.ENDED:
            occurrence.revision += 1
        return AlarmEvent(
            occurrence=occurrence.id,
            revision=occurrence.revision,
            kind=kind,
            origin=self.origin,
            device=self.device,
            rule=self.rule,
            subject=self.subject,
            metric=self.metric,
            level=occurrence.level,
            severity=occurrence.severity,
            at=at,
            value=self.value,
            limit=occurrence.limit,
            reason=reason,
            rule_revision=self.revision,
            swings=occurrence.swings or msgspec.UNSET,
        )


class LatchedJudge(Judge):
    """A judge whose conditions are latches: its timer is the first of them to flip."""

    __slots__ = ()

    def run(self, before: int) -> list[AlarmEvent]:
        events: list[AlarmEvent] = []
        while self.due < before:
            if self.occurrence is None and self.due >= self.closes:
                self.rest()
                break
            events += self._flip(self.due)
        return events

    @abstractmethod
    def _flip(self, at: int) -> list[AlarmEvent]:
        """Flip every latch whose time has come, and say what that means for the occurrence."""


class Latch:
    """On once its condition held for `for_ms`, off once the clear condition held for `clear_ms`.

    since: when the condition that would flip it began to hold, None when it does not.
    """

    __slots__ = ("clear_ms", "for_ms", "on", "since")

    def __init__(self, for_ms: int, clear_ms: int) -> None:
        self.for_ms = for_ms
        self.clear_ms = clear_ms
        self.on = False
        self.since: int | None = None

    @property
    def flips_at(self) -> int:
        if self.since is None:
            return NEVER
        return self.since + (self.clear_ms if self.on else self.for_ms)

    def feel(self, at: int, flipping: bool, broken: bool) -> None:
        """The condition that would flip it holds or not at `at`; `broken` when a gap came before."""
        if not flipping:
            self.since = None
        elif self.since is None or broken:
            self.since = at

    def set(self, on: bool) -> None:
        self.on = on
        self.since = None
