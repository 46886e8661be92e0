"""A value that swings around its limit while the agent is cut off: few messages on site. Virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from agent.figures import Figures
from agent.journal import InlineOffload
from agent.notify.local import Channel, LocalNotices
from agent.notify.policy import END_HOLD_MS, Fate, Limits, Link, Notice
from agent.notify.send import Sender
from agent.notify.store import NoticeStore
from agent.notify.texts import Named
from facility.clock import Clock, SystemClock, from_ms, now_ms
from facility.ids import new_id
from facility.reading import Reading
from facility.severity import Severity
from rules.engine import Engine
from rules.model import RuleSet
from tests.agent.notify.making import AT
from tests.rules.support import TEMPERATURE, facts, high
from tests.server.notify.sink import Sink
from tests.support.virtual_loop import run_virtual

DAY, HOUR = 24 * 3600, 3600
MOST_NOTICES = 3


class CutOff:
    """The agent has no contact with the centre."""

    def link(self) -> Link:
        return Link(60_000, has_all=False)

    def cut_since(self) -> datetime | None:
        return None

    def named(self, notice: Notice, *, zh: bool) -> Named:
        return Named(notice.device, notice.rule)

    def told(self) -> None:
        """There is nobody to hand it over to."""


class Room:
    """A sensor read each second, its rule, and the notices of its alarms."""

    def __init__(self, clock: Clock, notices: LocalNotices, figures: Figures) -> None:
        self.clock, self.notices, self.figures = clock, notices, figures
        self.engine = Engine(RuleSet((high(),)), (facts(),), origin="edge-1", new_id=new_id, started_ms=AT)

    async def live(self, seconds: int, *values: float) -> None:
        for second in range(seconds):
            at = now_ms(self.clock)
            events = self.engine.advance(at)
            events += self.engine.sample(Reading("d1", TEMPERATURE, "", values[second % len(values)], at))
            self.notices.note(events)
            await self.clock.sleep(1)


@asynccontextmanager
async def room(folder: Path, sink: Sink) -> AsyncIterator[Room]:
    loop, offload, sender, figures = asyncio.get_running_loop(), InlineOffload(), Sender(), Figures()
    clock = SystemClock(asyncio.sleep, monotonic=loop.time, wall=lambda: from_ms(AT))
    notices = LocalNotices(
        [Channel("oncall", sink.url, frozenset(Severity), zh=False)],
        limits=Limits(60_000, 100, 600_000), site="s1", zone="Asia/Shanghai",
        store=NoticeStore(folder / "notices.db"), offload=offload, send=sender, world=CutOff(), figures=figures,
        clock=clock,
    )  # fmt: skip
    await notices.open()
    task = asyncio.create_task(notices.run())
    try:
        yield Room(clock, notices, figures)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await notices.close()
        sender.close()


def heads(sink: Sink) -> list[str]:
    return [message["title"].split(": ")[0] for message in sink.messages]


def test_a_day_at_1_hz_around_a_limit_is_three_messages_its_end_included(tmp_path: Path) -> None:
    async def main(sink: Sink) -> None:
        async with room(tmp_path, sink) as it:
            await it.live(DAY, 28.0, 26.0)
            assert heads(sink) == ["[Minor] alarm", "[Minor] alarm keeps coming and going, stands until calm"]
            await it.live(HOUR, 25.0)
        assert heads(sink)[2:] == ["[Minor] alarm ended"]
        assert len(sink.messages) == MOST_NOTICES

    with Sink() as sink:
        run_virtual(main(sink))


def test_what_comes_back_before_its_end_was_told_is_not_told_again_and_known_to_be_told(tmp_path: Path) -> None:
    async def main(sink: Sink) -> None:
        async with room(tmp_path, sink) as it:
            await it.live(10, 28.0)
            await it.live(END_HOLD_MS // 1000 - 60, 26.0)
            await it.live(60, 28.0)
            assert heads(sink) == ["[Minor] alarm"]
            assert len({mark.occurrence for mark in it.notices.marks()}) == 2, "the centre need not tell either"
            assert it.figures.notices[Fate.CAME_BACK] == 1
            await it.live(2 * END_HOLD_MS // 1000, 26.0)
        assert heads(sink) == ["[Minor] alarm", "[Minor] alarm ended"]

    with Sink() as sink:
        run_virtual(main(sink))


def test_what_comes_back_after_its_end_was_told_is_told_anew(tmp_path: Path) -> None:
    async def main(sink: Sink) -> None:
        async with room(tmp_path, sink) as it:
            await it.live(10, 28.0)
            await it.live(END_HOLD_MS // 1000 + 60, 26.0)
            await it.live(10, 28.0)
        assert heads(sink) == ["[Minor] alarm", "[Minor] alarm ended", "[Minor] alarm"]

    with Sink() as sink:
        run_virtual(main(sink))
