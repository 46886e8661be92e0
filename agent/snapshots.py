"""What the rules hold active, said to the centre as a whole: whatever was lost between the two is mended by it."""

from dataclasses import replace

from msgspec import UNSET

from agent.guard import ClockGuard
from agent.journal import Journal
from agent.notify.local import LocalNotices
from facility.clock import Clock, now_ms
from facility.items import AlarmItem
from facility.wire import Kind
from rules.engine import Engine


class Snapshots:
    """Writes them into the journal. local: what was told on site is said with them."""

    def __init__(
        self, *, engine: Engine, journal: Journal, guard: ClockGuard, clock: Clock, local: LocalNotices | None
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._guard = guard
        self._clock = clock
        self._local = local
        self._last: AlarmItem | None = None  # without its time

    def say(self, *, unless_it_waits: bool = False) -> None:
        """What is active now. unless_it_waits: not again where just that still waits to be sent."""
        at = now_ms(self._clock)
        if self._guard.is_unset(at):
            return  # the centre could not place it; the clock's being set is followed by one
        told = self._local.marks() if self._local is not None else ()
        item = AlarmItem(snapshot=tuple(self._engine.active()), told=told or UNSET)
        if unless_it_waits and item == self._last and self._waits():
            return
        self._last = item
        self._journal.append(Kind.ALARMS, [replace(item, at=at)], at=at)

    def _waits(self) -> bool:
        """Whether anything of alarms waits to be sent: in the file, on its way there, or in memory alone."""
        stats = self._journal.stats()
        unsent = stats.unsent_blocks.get(Kind.ALARMS, 0) or self._journal.held.get(Kind.ALARMS, 0)
        return unsent > 0 or stats.alarms_since is not None
