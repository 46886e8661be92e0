"""An agent cut off from the centre tells people, whatever its clock and its disk do meanwhile. Virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from agent.app import Agent, build
from agent.journal import InlineOffload, Offload
from agent.notify.policy import Fate
from agent.site import read_site
from collectors.exchange import PollOutcome
from facility.clock import EPOCH, SystemClock, to_ms
from facility.reading import Reading
from tests.agent.journals import START
from tests.agent.running import ENVIRON
from tests.agent.test_clock_guard import METRIC, configured
from tests.server.notify.sink import Sink
from tests.support.virtual_loop import run_virtual

P = ParamSpec("P")
T = TypeVar("T")
AFTER_S = 60
BOOT = EPOCH + timedelta(seconds=20)
SLOW_DISK_S = 20.0


class SlowDisk(InlineOffload):
    """Takes long over everything once it is slow."""

    def __init__(self, takes_s: float = SLOW_DISK_S) -> None:
        self.slow = False
        self._takes_s = takes_s

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.slow:
            await asyncio.sleep(self._takes_s)
        return call(*args, **kwargs)


class Place:
    """The agent with a broker that is not there, and a machine whose clock the test sets."""

    def __init__(self, agent: Agent, clock: SystemClock, wall: list[datetime]) -> None:
        self.agent = agent
        self._clock = clock
        self._wall = wall

    def poll(self, value: float) -> None:
        at = to_ms(self._clock.now())
        self.agent._pipeline.take(PollOutcome("unit-1", at, 0.1, 1, (Reading("unit-1", METRIC, "", value, at),)))

    def set_clock(self, now: datetime) -> None:
        self._wall[0] = now - timedelta(seconds=asyncio.get_running_loop().time())
        self.agent.clock_set(self._clock.resync())

    @property
    def fates(self) -> dict[str, int]:
        return dict(self.agent.figures.notices)


@asynccontextmanager
async def place(
    folder: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch, *, wall: datetime, offload: Offload | None = None
) -> AsyncIterator[Place]:
    monkeypatch.setitem(ENVIRON, "SINK", sink.url)
    config = configured(
        folder,
        hold="0s",
        uplink={"broker": "mqtt://127.0.0.1:1"},
        notify={"channels": [{"name": "oncall", "url": {"env": "SINK"}}], "after": f"{AFTER_S}s"},
    )
    loop = asyncio.get_running_loop()
    anchor = [wall - timedelta(seconds=loop.time())]
    clock = SystemClock(asyncio.sleep, monotonic=loop.time, wall=lambda: anchor[0] + timedelta(seconds=loop.time()))
    agent = build(read_site(config, environ=ENVIRON), clock=clock, offload=offload or InlineOffload())
    async with agent:
        assert agent.local is not None
        tasks = [asyncio.create_task(each) for each in (agent.journal.run(), agent.local.run())]
        try:
            yield Place(agent, clock, anchor)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def test_what_is_raised_without_a_clock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(sink: Sink) -> None:
        async with place(tmp_path, sink, monkeypatch, wall=BOOT) as it:
            it.poll(60.0)
            await asyncio.sleep(AFTER_S + 5)
            assert it.fates == {Fate.NOTED: 1, Fate.TOLD: 1}
        assert [message["title"] for message in sink.messages] == ["[Major] alarm: unit-1: Hot"]

    with Sink() as sink:
        run_virtual(main(sink))


def test_what_waits_for_the_clock_is_told_though_the_centre_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(sink: Sink) -> None:
        async with place(tmp_path, sink, monkeypatch, wall=BOOT) as it:
            uplink = it.agent.uplink
            assert uplink is not None
            it.poll(60.0)
            for _ in range(AFTER_S + 5):
                await asyncio.sleep(1)
                uplink.taken_at = asyncio.get_running_loop().time()  # as when everything there was has been taken
            assert it.fates == {Fate.NOTED: 1, Fate.TOLD: 1}
        (message,) = sink.messages
        assert "no contact" not in message["message"]

    with Sink() as sink:
        run_virtual(main(sink))


def test_what_the_disk_has_not_taken_yet_is_not_taken_for_the_centres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(sink: Sink) -> None:
        disk = SlowDisk()
        async with place(tmp_path, sink, monkeypatch, wall=START, offload=disk) as it:
            await asyncio.sleep(2)
            disk.slow = True
            it.poll(60.0)
            await asyncio.sleep(AFTER_S + 2 * SLOW_DISK_S)
            assert it.fates == {Fate.NOTED: 1, Fate.TOLD: 1}
            disk.slow = False
        assert len(sink.messages) == 1

    with Sink() as sink:
        run_virtual(main(sink))


def test_what_hangs_on_its_way_to_the_disk_is_told_though_the_centre_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(sink: Sink) -> None:
        disk = SlowDisk(takes_s=600.0)
        async with place(tmp_path, sink, monkeypatch, wall=START, offload=disk) as it:
            uplink = it.agent.uplink
            assert uplink is not None
            await asyncio.sleep(2)
            disk.slow = True
            it.poll(60.0)
            for second in range(AFTER_S + 5):
                if second == 30:
                    it.poll(61.0)  # and a commit behind that one
                assert not sink.messages or second > AFTER_S
                await asyncio.sleep(1)
                uplink.taken_at = asyncio.get_running_loop().time()  # as when there is nothing for the centre to take
            assert it.fates == {Fate.NOTED: 1, Fate.TOLD: 1}
            disk.slow = False
        (message,) = sink.messages
        assert "no contact" not in message["message"]

    with Sink() as sink:
        run_virtual(main(sink))


@pytest.mark.parametrize("boot", [BOOT, START + timedelta(days=2), START - timedelta(days=2)])
def test_notices_go_with_the_clock_when_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: datetime
) -> None:
    async def main(sink: Sink) -> None:
        async with place(tmp_path, sink, monkeypatch, wall=boot) as it:
            it.poll(60.0)
            await asyncio.sleep(30)
            it.set_clock(START)
            await asyncio.sleep(AFTER_S)
            assert it.fates == {Fate.NOTED: 1, Fate.TOLD: 1}
            assert it.agent.local is not None
            (mark,) = it.agent.local.marks()
            assert 0 <= mark.at - to_ms(START) < AFTER_S * 1000
        (message,) = sink.messages
        # Raised 30 s before the clock was set: 16:00 in Shanghai.
        assert "Time: 2026-11-23 15:59:30 Asia/Shanghai" in message["message"]

    with Sink() as sink:
        run_virtual(main(sink))


def test_a_mark_of_what_was_told_goes_with_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(sink: Sink) -> None:
        async with place(tmp_path, sink, monkeypatch, wall=BOOT) as it:
            it.poll(60.0)
            await asyncio.sleep(AFTER_S + 5)
            assert len(sink.messages) == 1
            it.set_clock(START)
            await asyncio.sleep(5)
            assert it.agent.local is not None
            (mark,) = it.agent.local.marks()
            assert -10_000 < mark.at - to_ms(START) < 0

    with Sink() as sink:
        run_virtual(main(sink))
