"""State words: alarmed words with their severity, calm words that clear, and those that say nothing."""

from collections.abc import Mapping

from facility.alarms import AlarmEvent
from facility.ids import NewId
from facility.severity import Severity
from rules.judges import NEVER, Latch, LatchedJudge, Reason, Target
from rules.model import Rule
from rules.parts import STATE_LEVEL, Side
from rules.records import JudgeRecord, OccurrenceRecord
from rules.runs import Run


class StateJudge(LatchedJudge):
    """A state word with a severity.

    Words the rule keeps, `unknown` unless the rule names it, and words outside the metric's set neither raise nor
    clear.

    stood: when the word the occurrence stands at was last read. Flapping, it stands at its worst until calm.
    """

    __slots__ = ("clearing", "latch", "stood", "words")
    raise_reason = Reason.STATE_MATCHED

    def __init__(
        self, rule: Rule, *, words: Mapping[str, Severity],
        origin: str, device: str, subject: str, gap_ms: int, new_id: NewId,
    ) -> None:  # fmt: skip
        super().__init__(rule, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
        self.words = dict(words)
        self.clearing = rule.calm_states
        self.latch = Latch(rule.for_, rule.clear_for)
        self.stood = 0

    def sample(self, at: int, value: float | str) -> list[AlarmEvent] | None:
        latch = self.latch
        if value in self.clearing:
            if not latch.on and latch.since is None:
                self.seen = at
                self.value = value
                return None
        elif value not in self.words:
            events = self.run(at)
            self.due = NEVER
            return events
        events = self.run(at)
        broken = self.seen is not None and at - self.seen > self.gap
        if self.flapping and self.occurrence is not None and self._is_back(value, self.occurrence.limit):
            self.occurrence.swings += 1
        self.seen = at
        self.value = value
        latch.feel(at, (value in self.clearing) if latch.on else (value in self.words), broken)
        events += self._flip(at)
        if value in self.words:
            self.carried = False
        return events

    def absorb(self, run: Run) -> bool:
        if self.latch.on or self.latch.since is not None or not self.clearing.issuperset(run.values):
            return False
        self.seen = run.times[-1]
        self.value = run.values[-1]
        return True

    @property
    def calm(self) -> bool:
        return not self.latch.on and self.latch.since is None and super().calm

    def rest(self) -> None:
        self.latch.set(False)
        self._schedule()

    def clears_after(self, ms: int) -> None:
        self.latch.clear_ms = ms

    def _flip(self, at: int) -> list[AlarmEvent]:
        latch = self.latch
        if latch.flips_at <= at:
            latch.set(not latch.on)
        events: list[AlarmEvent] = []
        if not latch.on:
            events = self._become(None, at)
        elif isinstance(self.value, str) and self.value in self.words and not self._stands(self.value, at):
            events = self._become(Target(STATE_LEVEL, self.words[self.value], self.value, Side.STATE), at)
            self.stood = at
        self._schedule()
        return events

    def _stands(self, word: str, at: int) -> bool:
        """Flapping between alarmed words: this one is not worse, and the other was there lately."""
        occurrence, flap = self.occurrence, self.flap
        if not self.flapping or flap is None or occurrence is None or word == occurrence.limit:
            return False
        return not self.words[word].worse_than(occurrence.severity) and at - self.stood < flap.hold

    def _is_back(self, word: float | str, stands_at: float | str | None) -> bool:
        """An alarmed word after a calm one, or the one it stands at after another."""
        return word in self.words and word != self.value and (self.value not in self.words or word == stands_at)

    def _schedule(self) -> None:
        flips = self.latch.flips_at
        self.due = flips if self.seen is not None and flips <= self.seen + self.gap else NEVER

    def _difference(self, occurrence: OccurrenceRecord, target: Target) -> Reason | None:
        reason = super()._difference(occurrence, target)
        return Reason.STATE_CHANGED if reason is Reason.LIMITS_CHANGED else reason

    def save(self) -> JudgeRecord:
        record = super().save()
        record.latches = [(STATE_LEVEL, self.latch.on, self.latch.since)]
        if self.flapping:
            record.stood = self.stood
        return record

    def load(self, record: JudgeRecord) -> None:
        super().load(record)
        self.stood = record.stood or 0
        for _, self.latch.on, self.latch.since in record.latches:
            self._schedule()
        if not record.held:
            self.due = NEVER

    def carry(self, record: JudgeRecord) -> bool:
        if record.occurrence is None:
            return True
        if record.occurrence.side != Side.STATE:
            return False
        self.occurrence = record.occurrence.copy()
        self.value = record.value
        self.carried = True
        self.latch.set(True)
        return True
