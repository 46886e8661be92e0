"""Limits on a number: hi, hihi, lo, lolo with clear values and delays."""

from math import inf

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.judges import NEVER, Latch, LatchedJudge, Reason, Target
from rules.model import Rule
from rules.parts import Side, Threshold
from rules.records import JudgeRecord
from rules.runs import Run

_BOTTOMLESS = -inf


class LevelJudge(LatchedJudge):
    """hi, hihi, lo, lolo on one number. Each level is a latch; the occurrence stands at the strongest one that is on.

    A stronger level brings the milder ones of its side on with it, so easing from it is an update, not an end.
    The latches are made when a value first leaves the limits: nearly all of a site's numbers never do, and a latch
    for each level of each of them is an eighth of an agent's memory.
    """

    __slots__ = ("_latches", "calm_high", "calm_low", "levels", "quiet")
    raise_reason = Reason.LIMIT_EXCEEDED

    def __init__(self, rule: Rule, *, origin: str, device: str, subject: str, gap_ms: int, new_id: NewId) -> None:
        super().__init__(rule, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
        self.levels = rule.thresholds
        self._latches: tuple[tuple[Threshold, Latch], ...] = ()
        self.calm_high = min((t.limit for t in rule.thresholds if t.sign > 0), default=inf)
        self.calm_low = max((t.limit for t in rule.thresholds if t.sign < 0), default=_BOTTOMLESS)
        self.quiet = True  # no latch is on or about to be: a value between the limits changes nothing

    @property
    def latches(self) -> tuple[tuple[Threshold, Latch], ...]:
        """Each level with its latch."""
        if not self._latches:
            self._latches = tuple((level, Latch(level.for_ms, self.clear_for)) for level in self.levels)
        return self._latches

    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        if not isinstance(value, float):
            return None
        if self.quiet and self.calm_low <= value <= self.calm_high:
            self.seen = at
            self.value = value
            return None
        events = self.run(at)
        broken = self.seen is not None and at - self.seen > self.gap
        self.seen = at
        self.value = value
        easing = self.flapping and self._eases()
        for level, latch in self.latches:
            excess = level.sign * value
            flipping = excess <= level.sign * level.clear if latch.on else excess > level.sign * level.limit
            latch.feel(at, flipping, broken)
        if easing and self.occurrence is not None and not self._eases():
            self.occurrence.swings += 1
        events += self._flip(at)
        if self.carried and self.occurrence is not None and not self._easing():
            self.carried = False
        return events

    def absorb(self, run: Run) -> bool:
        if not self.quiet or run.low < self.calm_low or run.high > self.calm_high:
            return False
        self.seen = run.times[-1]
        self.value = run.values[-1]
        return True

    @property
    def calm(self) -> bool:
        return self.quiet and self.occurrence is None and not self.raises  # asked of every judge at each snapshot

    def rest(self) -> None:
        for _, latch in self._latches:
            latch.set(False)
        self._schedule()

    def clears_after(self, ms: int) -> None:
        # Those not made yet are made with what is usual.
        for _, latch in self._latches if ms == self.clear_for else self.latches:
            latch.clear_ms = ms

    def _flip(self, at: int) -> list[AlarmEvent]:
        """Flip every latch whose time has come, then say what that means for the occurrence."""
        tripped: Threshold | None = None
        for level, latch in self.latches:
            if latch.flips_at <= at:
                latch.set(not latch.on)
                if latch.on:
                    tripped = level
        if tripped is not None:
            for level, latch in self.latches:
                if level.sign != tripped.sign and latch.on:
                    if not self.flapping:  # what swings from side to side stands as one
                        latch.set(False)
                elif level.sign == tripped.sign and level.rank < tripped.rank and not latch.on:
                    latch.set(True)
        strongest = self._strongest()
        events = self._become(None if strongest is None else self._target(strongest[0]), at)
        self._schedule()
        return events

    def _strongest(self) -> tuple[Threshold, Latch] | None:
        """The strongest level that is on, with its latch; of two sides the first."""
        return max((each for each in self.latches if each[1].on), key=lambda each: each[0].rank, default=None)

    def _eases(self) -> bool:
        """Whether the level it stands at is on its way off."""
        strongest = self._strongest()
        return strongest is not None and strongest[1].since is not None

    def _schedule(self) -> None:
        holds_until = NEVER if self.seen is None else self.seen + self.gap
        flips = min((latch.flips_at for _, latch in self._latches), default=NEVER)
        self.due = flips if flips <= holds_until else NEVER
        self.quiet = not any(latch.on or latch.since is not None for _, latch in self._latches)

    def _easing(self) -> bool:
        """Whether the occurrence's own level is on its way off."""
        return all(latch.since is not None for _, latch in self.latches if latch.on)

    def _target(self, level: Threshold) -> Target:
        return Target(level.id, level.severity, level.limit, Side.HIGH if level.sign > 0 else Side.LOW)

    def save(self) -> JudgeRecord:
        record = super().save()
        if self._latches:
            record.latches = [(_name(level), latch.on, latch.since) for level, latch in self._latches]
        else:
            record.latches = [(_name(level), False, None) for level in self.levels]
        return record

    def load(self, record: JudgeRecord) -> None:
        super().load(record)
        saved = {name: (on, since) for name, on, since in record.latches if on or since is not None}
        for level, latch in self.latches if saved else self._latches:
            latch.on, latch.since = saved.get(_name(level), (False, None))
        self._schedule()
        if not record.held:
            self.due = NEVER

    def carry(self, record: JudgeRecord) -> bool:
        was_on = {name for name, on, _ in record.latches if on}
        if record.occurrence is None:
            return True
        side = [(level, latch) for level, latch in self.latches if _side(level) == record.occurrence.side]
        if not side:
            return False
        self.occurrence = record.occurrence.copy()
        self.value = record.value
        self.carried = True
        strongest = max((level.rank for level, _ in side if _name(level) in was_on), default=0)
        for level, latch in side:
            latch.set(level.rank <= strongest)
        self._schedule()
        return True


def _side(level: Threshold) -> Side:
    return Side.HIGH if level.sign > 0 else Side.LOW


def _name(level: Threshold) -> str:
    """A latch's name in a snapshot: a rate's two limits share the level id `rate`."""
    return f"{level.id}{'+' if level.sign > 0 else '-'}"
