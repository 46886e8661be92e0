"""Notices over restarts, failing channels and storms, to a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from agent.figures import Figures
from agent.journal import ThreadOffload
from agent.notify.local import Channel, LocalNotices
from agent.notify.policy import Limits, Link, Notice
from agent.notify.send import Sender
from agent.notify.store import NoticeStore
from agent.notify.texts import Named
from facility.alarms import AlarmEventKind
from facility.clock import SystemClock
from facility.severity import Severity
from tests.agent.notify.making import event
from tests.server.notify.sink import Sink
from tests.support.peers import until_async


@dataclass
class World:
    state: Link
    telling: int = 0

    def link(self) -> Link:
        return self.state

    def cut_since(self) -> datetime | None:
        return None

    def named(self, notice: Notice, *, zh: bool) -> Named:
        return Named(notice.device, notice.rule)

    def told(self) -> None:
        self.telling += 1


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
def world() -> World:
    return World(Link(60_000, has_all=False))


@asynccontextmanager
async def local(folder: Path, sink: Sink, world: World, *, at_most: int = 10) -> AsyncIterator[LocalNotices]:
    offload, sender = ThreadOffload("test notices"), Sender()
    notices = LocalNotices(
        [Channel("oncall", sink.url, frozenset({Severity.CRITICAL, Severity.MAJOR}), zh=False)],
        limits=Limits(60_000, at_most, 600_000),
        site="s1",
        zone="Asia/Shanghai",
        store=NoticeStore(folder / "journal-notices.db"),
        offload=offload,
        send=sender,
        world=world,
        figures=Figures(),
        clock=SystemClock(asyncio.sleep),
    )
    await notices.open()
    task = asyncio.create_task(notices.run())
    try:
        yield notices
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await notices.close()
        sender.close()
        offload.close()


async def test_what_no_channel_took_is_told_after_a_restart_and_once(tmp_path: Path, sink: Sink, world: World) -> None:
    sink.stop()
    async with local(tmp_path, sink, world) as notices:
        notices.note([event()])
        await until_async(lambda: notices._figures.notices["failed"] == 1, timeout=10)
    sink.start()
    async with local(tmp_path, sink, world) as notices:
        await until_async(lambda: len(sink.messages) == 1, timeout=10)
        await until_async(lambda: world.telling == 1, timeout=5)
        assert len(notices.marks()) == 1
    async with local(tmp_path, sink, world) as notices:
        assert len(notices.marks()) == 1, "what was told is remembered over a restart"
        assert notices.waiting == 0
    assert [message["title"] for message in sink.messages] == ["[Major] alarm: ups-1: ups-on-battery"]


async def test_a_storm_ends_in_one_summary(tmp_path: Path, sink: Sink, world: World) -> None:
    async with local(tmp_path, sink, world, at_most=3) as notices:
        notices.note([event() for _ in range(50)])
        await until_async(lambda: notices.waiting == 0, timeout=10)
        assert notices._figures.notices == {"noted": 50, "told": 2, "summed": 48}
    assert [message["title"] for message in sink.messages][2:] == ["s1: 48 more alarm messages"]
    assert "Major, alarm: 48" in sink.messages[2]["message"]


async def test_a_centre_that_has_it_leaves_nothing_to_tell(tmp_path: Path, sink: Sink, world: World) -> None:
    world.state = Link(0, has_all=True)
    async with local(tmp_path, sink, world) as notices:
        notices.note([event()])
        await until_async(lambda: notices._figures.notices["centre_has_it"] == 1, timeout=10)
        world.state = Link(60_000, has_all=False)
        notices.note([event(AlarmEventKind.UPDATED, reason="limits_changed")])
        assert notices.waiting == 0
    assert sink.messages == []


async def test_a_file_that_is_none_is_put_aside(tmp_path: Path, sink: Sink, world: World) -> None:
    (tmp_path / "journal-notices.db").write_bytes(b"not a database, but long enough to be one" * 100)
    async with local(tmp_path, sink, world) as notices:
        notices.note([event()])
        await until_async(lambda: len(sink.messages) == 1, timeout=10)
    assert (tmp_path / "journal-notices.db.corrupt").exists()
