"""Judges of what a window of samples says: a slope, a time left. They are judged like a measured number."""

from facility.alarms import AlarmEvent
from facility.ids import NewId
from rules.judges import NEVER
from rules.levels import LevelJudge
from rules.model import Rule
from rules.records import JudgeRecord
from rules.window import Window


class WindowJudge(LevelJudge):
    """What rate and forecast share: the window, and remembering it."""

    __slots__ = ("window",)

    def __init__(
        self, rule: Rule, span_ms: int, *, origin: str, device: str, subject: str, gap_ms: int, new_id: NewId
    ) -> None:
        super().__init__(rule, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
        self.window = Window(span_ms)

    def judge(self, at: int, number: float) -> list[AlarmEvent] | None:
        """Judge the number the window gave, as a level judges a sample."""
        return LevelJudge.sample(self, at, number)

    def calm_so_far(self, at: int) -> list[AlarmEvent] | None:
        """A calm sample in a young window: too little is known to clear, but what was about to be raised is not."""
        events = self.run(at)
        for _, latch in self._latches:
            if not latch.on and latch.since is not None:
                if self.due == latch.flips_at:
                    self.due = NEVER
                latch.since = None
        self.quiet = not any(latch.on or latch.since is not None for _, latch in self._latches)
        return events or None

    def watch(self, at: int, value: float | str) -> None:
        if isinstance(value, float):
            self.window.add(at, value)

    @property
    def calm(self) -> bool:
        return not self.window.times and self.only_window

    @property
    def only_window(self) -> bool:
        return self.quiet and self.occurrence is None and not self.raises

    def save(self) -> JudgeRecord:
        record = super().save()
        record.ring = self.window.rows()
        return record

    def load(self, record: JudgeRecord) -> None:
        super().load(record)
        self.window.extend(record.ring)

    def carry(self, record: JudgeRecord) -> bool:
        self.window.extend(record.ring)
        return super().carry(record)
