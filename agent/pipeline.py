"""The row every poll walks through: judge quality, remember for metrics, evaluate rules, journal.

Conversion is behind it already: an outcome carries readings in base units with their quality. Nothing here waits but
`run`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from agent.figures import Figures
from agent.guard import ClockGuard
from agent.journal import Journal
from agent.live import LiveTable
from collectors.convert import MAX_POINTS
from collectors.exchange import PollOutcome, Restart
from facility.alarms import AlarmEvent
from facility.clock import Clock, now_ms
from facility.ids import NewId
from facility.items import AlarmItem, EventItem, EventKind
from facility.reading import Reading
from facility.wire import Kind
from rules.engine import Engine

log = logging.getLogger(__name__)

# A timer of the rules acts so long after it ran out at most; and where nothing else is read meanwhile, so long: what
# was read in its instant is judged before.
LATE_S = 1.0
# The rules hear what time it is about this often at least: what is saved of them says up to when they watched.
LOOK_S = 10.0

Seen = Callable[[Sequence[Reading]], None]
Alarmed = Callable[[Sequence[AlarmEvent]], None]


class Pipeline:
    """seen: told of the readings that passed, before they are judged (the catalog learns new points from it).

    alarmed: told of alarm events once the journal has them; believed: told that a doubted clock is taken as it is.
    """

    def __init__(
        self,
        *,
        guard: ClockGuard,
        live: LiveTable,
        engine: Engine,
        journal: Journal,
        figures: Figures,
        clock: Clock,
        seen: Seen,
        alarmed: Alarmed,
        believed: Callable[[], None],
        ids: NewId,
    ) -> None:
        self._guard = guard
        self._live = live
        self._engine = engine
        self._journal = journal
        self._figures = figures
        self._clock = clock
        self._seen = seen
        self._alarmed = alarmed
        self._believed = believed
        self._ids = ids
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Let the rules' timers act, until cancelled."""
        while True:
            await self._clock.sleep(LATE_S)
            self.advance()
            self._asked.clear()
            left = (self._engine.due - now_ms(self._clock)) / 1000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_S)):
                    await self._asked.wait()

    def take(self, outcome: PollOutcome) -> None:
        """One poll, all the way."""
        self._figures.polled(outcome)
        if outcome.left_out:
            self._left_out(outcome.device, outcome.left_out)
        self.believe(kept=False, coming=len(outcome.readings))
        found = self._guard.judge(outcome.readings, now_ms(self._clock))
        self._live.keep(outcome, found.judged)
        if outcome.restart is not None:
            self._restarted(outcome.device, outcome.restart)
        self._seen(found.judged)
        events = self._engine.samples(found.judged)
        self._journal.take(found.stored)
        self.journal_alarms(events)

    def advance(self) -> None:
        """Let those of the rules' timers act that have run out."""
        self.journal_alarms(self._engine.advance(now_ms(self._clock)))

    def stepped(self, step_ms: int) -> None:
        """The clock was set, on or back: the rules' timers go with it, and what waited for it gets its true time."""
        self._engine.clock_stepped(step_ms)
        self._asked.set()
        # Judged when they were taken: to history, and no more to the rules.
        self._journal.take(self._guard.stepped(step_ms, now_ms(self._clock)))
        self._keep(self._guard.dated(step_ms))

    def believe(self, *, kept: bool, coming: int = 0) -> bool:
        """Take a doubted clock as it is, if it is time for it; see `ClockGuard.believe`."""
        released = self._guard.believe(now_ms(self._clock), kept=kept, coming=coming)
        if released is None:
            return False
        log.warning("the clock is taken as it is", extra={"kept": kept, "held": len(released)})
        self._journal.take(released)
        self._keep(self._guard.dated(0))
        self._believed()
        return True

    def end(self) -> None:
        """The last of what waited for the clock, before the journal is closed."""
        self._journal.take(self._guard.close(now_ms(self._clock)))

    def rule_state(self) -> bytes | None:
        """The rules' state to be saved; None while it knows of events that the journal cannot have yet."""
        # What a doubted clock is behind of is known by the state that was saved before.
        return None if self._guard.undated or self._guard.doubts else self._engine.snapshot()

    def journal_alarms(self, events: Sequence[AlarmEvent]) -> None:
        """What the rules said when they were asked, into the journal: it saves events and rule state in one
        transaction."""
        self._asked.set()  # their timers may be others now
        if events:
            self._keep(self._guard.date(events))
            self._figures.judged(events)
            self._alarmed(events)

    def _keep(self, events: Sequence[AlarmEvent]) -> None:
        if events:
            self._journal.append(Kind.ALARMS, [AlarmItem(event=event) for event in events], at=events[-1].at)

    def _restarted(self, device: str, restart: Restart) -> None:
        at = now_ms(self._clock)
        detail = {"uptime_s": f"{restart.uptime_s:.2f}", "uptime_before_s": f"{restart.before_s:.2f}"}
        log.info("device restarted", extra={"device": device, **detail})
        self._journal.append(
            Kind.EVENTS, [EventItem(self._ids(at), at, EventKind.DEVICE_REBOOT, device, detail)], at=at
        )

    def _left_out(self, device: str, count: int) -> None:
        """A device has more points than are read of one: told at the device's first, and every ten minutes after."""
        log.debug("a device has too many points", extra={"device": device, "left_out": count})
        self._journal.notice("too_many_points", {"reason": device, "left_out": str(count), "most": str(MAX_POINTS)})
