"""A database that refuses: asked again later, left alone meanwhile, and nobody is called unknown for it."""

from typing import Any

import pytest
import sqlalchemy as sa

from facility.wire import RetryReason, Verdict
from server.fleet import repository as fleet_repository
from server.ingest import repository
from server.ingest.models import LedgerBlock
from server.ingest.weather import FIRST_PAUSE_S, LONGEST_PAUSE_S
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, event, reading


async def test_database_in_trouble_is_a_retry_and_never_an_acknowledgement(station: Station) -> None:
    sender, known = await station.catalogued()
    sent = sender.next("readings", [reading(21.5)], catalog=known)
    alarm = sender.next("alarms", [event()])
    async with station.store.db.write() as session:
        await session.execute(sa.text("ALTER TABLE history_series RENAME TO hidden"))
    broken = await station.take(sent)
    async with station.store.db.write() as session:
        await session.execute(sa.text("ALTER TABLE hidden RENAME TO history_series"))
    async with station.server.db.write() as session:
        await session.execute(sa.text("ALTER TABLE ingest_blocks RENAME TO hidden"))
    broken += await station.take(alarm)
    async with station.server.db.write() as session:
        await session.execute(sa.text("ALTER TABLE hidden RENAME TO ingest_blocks"))
    assert [(answer.verdict, answer.reason) for answer in broken] == [(Verdict.RETRY, RetryReason.STORAGE)] * 2
    assert await station.values("th1") == []
    assert station.sink.taken == []
    station.world.clock.advance(FIRST_PAUSE_S)
    mended = await station.take(sent, alarm)
    assert [answer.verdict for answer in mended] == [Verdict.COMMITTED] * 2
    assert await station.values("th1") == [(AT, 21.5)]


async def test_refusing_database_is_left_alone_for_a_growing_pause_and_the_other_is_not(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, known = await station.catalogued()
    asked, full, enter = 0, True, repository.enter

    async def counted(*args: Any) -> LedgerBlock | None:
        nonlocal asked
        asked += 1
        if full:
            raise sa.exc.OperationalError("INSERT", {}, OSError("disk is full"))
        return await enter(*args)

    monkeypatch.setattr(repository, "enter", counted)
    asked_at = []
    for second in range(60):
        before = asked
        answers = await station.take(
            sender.next("alarms", [event()]), sender.next("readings", [reading(20.0, AT + second)], catalog=known)
        )
        assert [(answer.verdict, answer.reason) for answer in answers] == [
            (Verdict.RETRY, RetryReason.STORAGE), (Verdict.COMMITTED, ""),
        ]  # fmt: skip
        if asked > before:
            asked_at.append(second)
        station.world.clock.advance(1.0)
    # After 1, 2, 4 and 8 seconds, then every 10.
    assert asked_at == [0, 1, 3, 7, 15, 25, 35, 45, 55]
    assert len(await station.values("th1")) == 60
    full = False
    station.world.clock.advance(LONGEST_PAUSE_S)
    answers = await station.take(sender.next("alarms", [event()]), sender.next("alarms", [event()]))
    assert [answer.verdict for answer in answers] == [Verdict.COMMITTED] * 2


async def test_stranger_is_not_called_unknown_because_the_database_refuses(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, _ = await station.catalogued()
    station.processor = station.another()

    async def full(*_: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, OSError("disk is full"))

    with monkeypatch.context() as during:
        during.setattr(fleet_repository, "find_agent", full)
        for _ in range(2):
            (answer,) = await station.take(sender.next("alarms", [event()]))
            assert (answer.verdict, answer.reason) == (Verdict.RETRY, RetryReason.STORAGE)
    station.world.clock.advance(FIRST_PAUSE_S)
    (answer,) = await station.take(sender.next("alarms", [event()]))
    assert answer.verdict is Verdict.COMMITTED


async def test_a_deadlock_is_no_refusal(station: Station) -> None:
    """Two workers that are given the same blocks get into each other's way again and again; nothing is out of order."""
    sender, _ = await station.catalogued()
    if station.server.db.dialect != "postgresql":
        return  # SQLite has one writer
    async with station.server.db.write() as session:
        for statement in (
            (
                "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql"
                " AS $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '40P01'; END $$"
            ),
            "CREATE TRIGGER clash BEFORE INSERT ON ingest_blocks EXECUTE FUNCTION clash()",
        ):
            await session.execute(sa.text(statement))
    alarm = sender.next("alarms", [event()])
    (answer,) = await station.take(alarm)
    assert (answer.verdict, answer.reason) == (Verdict.RETRY, RetryReason.STORAGE)
    async with station.server.db.write() as session:
        await session.execute(sa.text("DROP TRIGGER clash ON ingest_blocks"))
    (answer,) = await station.take(alarm)
    assert answer.verdict is Verdict.COMMITTED, "at once, without a pause"
