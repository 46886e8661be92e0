"""A database that refuses: asked again later, left alone meanwhile, and nobody is called unknown for it."""

from typing import Any

import pytest
import sqlalchemy as sa

from facility.clock import from_ms
from facility.wire import RetryReason, Verdict
from server.fleet import catalogs
from server.fleet import repository as fleet_repository
from server.ingest import repository
from server.ingest.failing import POISON_TRIES
from server.ingest.models import LedgerBlock
from server.ingest.weather import CLASH_TRIES, FIRST_PAUSE_S, LONGEST_PAUSE_S
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, event, health, reading
from tests.server.ingest.wire_by_hand import Sender


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
    assert station.counted("coldaisle_server_ingest_clashes_total", db="main") == CLASH_TRIES
    async with station.server.db.write() as session:
        await session.execute(sa.text("DROP TRIGGER clash ON ingest_blocks"))
    (answer,) = await station.take(alarm)
    assert answer.verdict is Verdict.COMMITTED, "at once, without a pause"


@pytest.mark.parametrize("figures", [{"drops": {"a\x00b": 1}}, {"rejected": {"a\x00b": 1}}, {"version": "1\x00"}])
async def test_health_is_kept_without_the_characters_no_database_keeps(
    station: Station, figures: dict[str, Any]
) -> None:
    sender, known = await station.catalogued()
    told, alarm = sender.next("health", [health(AT, **figures)], catalog=known), sender.next("alarms", [event()])
    answers = await station.take(told, alarm)
    assert [(answer.verdict, answer.detail) for answer in answers] == [(Verdict.COMMITTED, "")] * 2
    kept = (await station.agent()).health
    assert kept is not None
    (name,) = figures
    assert kept[name] == ("1" if name == "version" else {"ab": 1})


@pytest.mark.parametrize("sqlstate", ["22P05", "22021", "22000", "23514", "42804", "54000"])
async def test_a_block_the_database_blames_is_put_aside_and_stops_nobody(station: Station, sqlstate: str) -> None:
    """Most of PostgreSQL's errors come as plain ones by their Python class; what they blame stands in their words."""
    sender, _ = await station.catalogued()
    if station.server.db.dialect != "postgresql":
        return  # SQLite's errors are told apart by their class
    bad = sender.next("alarms", [event()])
    async with station.server.db.write() as session:
        for statement in (
            (
                "CREATE FUNCTION blame() RETURNS trigger LANGUAGE plpgsql"
                f" AS $$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '{sqlstate}'; END $$"
            ),
            (
                f"CREATE TRIGGER blame BEFORE INSERT ON ingest_blocks FOR EACH ROW WHEN (NEW.seq = {bad[2]})"
                " EXECUTE FUNCTION blame()"
            ),
        ):
            await session.execute(sa.text(statement))
    for tried in range(1, POISON_TRIES + 1):
        answers = await station.take(bad, sender.next("alarms", [event()]))
        wanted = Verdict.RETRY if tried < POISON_TRIES else Verdict.REJECTED
        assert [answer.verdict for answer in answers] == [wanted, Verdict.COMMITTED], tried
    assert [row.seq for row in await station.quarantined()] == [bad[2]]


class Refusing:
    """In place of a query of the main database: counts who asks, and raises as a full disk does."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, *_: Any, **__: Any) -> None:
        self.asked += 1
        raise sa.exc.OperationalError("INSERT", {}, OSError("disk is full"))


def _broken(sender: Sender, known: str) -> tuple[str, bytes, int]:
    topic, payload, seq = sender.next("readings", [reading(20.0)], catalog=known)
    return topic, payload[:-3] + b"xyz", seq


def _with_refused(sender: Sender, known: str) -> tuple[str, bytes, int]:
    return sender.next("readings", [reading(20.0), reading(1.0, at=1000)], catalog=known)


def _with_unknown_device(sender: Sender, known: str) -> tuple[str, bytes, int]:
    return sender.next("readings", [reading(20.0), reading(1.0, device="nobody")], catalog=known)


def _with_unknown_point(sender: Sender, known: str) -> tuple[str, bytes, int]:
    return sender.next("readings", [reading(20.0), reading(40.0, metric="room.humidity")], catalog=known)


@pytest.mark.parametrize(
    ("make", "module", "query", "afterwards"),
    [
        (_broken, repository, "keep_block", (Verdict.REJECTED, [])),
        (_with_refused, repository, "keep_items", (Verdict.COMMITTED, ["[1].at[0]"])),
        (_with_unknown_device, fleet_repository, "devices_of_site", (Verdict.COMMITTED, ["[1]"])),
        (_with_unknown_point, catalogs, "add_point", (Verdict.COMMITTED, [])),
    ],
    ids=["broken", "with a refused item", "of an unknown device", "of an unknown point"],
)
async def test_while_the_main_database_refuses_only_the_readings_that_need_it_wait(
    station: Station, monkeypatch: pytest.MonkeyPatch, make: Any, module: Any, query: str, afterwards: Any
) -> None:
    sender, known = await station.catalogued()
    await station.take(sender.next("readings", [reading(19.0, AT - 1)], catalog=known))
    needs, refusing, asked_at = make(sender, known), Refusing(), []
    with monkeypatch.context() as during:
        during.setattr(module, query, refusing)
        # Nobody may be called a stranger, whom the main database would have to be asked about.
        during.setattr(fleet_repository, "find_agent", refusing)
        for second in range(8):
            before = refusing.asked
            neighbours = [sender.next("readings", [reading(20.0, AT + 2 * second + i)], catalog=known) for i in (1, 2)]
            answers = await station.take(neighbours[0], needs, neighbours[1])
            assert [(answer.verdict, answer.reason) for answer in answers] == [
                (Verdict.RETRY, RetryReason.STORAGE), (Verdict.COMMITTED, ""), (Verdict.COMMITTED, ""),
            ]  # fmt: skip
            if refusing.asked > before:
                asked_at.append(second)
            station.world.clock.advance(1.0)
        assert asked_at == [0, 1, 3, 7]
        assert len([at for at, _ in await station.values("th1") if at > AT]) == 2 * 8
    station.world.clock.advance(LONGEST_PAUSE_S)
    (answer,) = await station.take(needs)
    assert (answer.verdict, [item.path for item in answer.rejected]) == afterwards
    assert len(await station.quarantined()) == (0 if make is _with_unknown_point else 1)


async def test_a_value_refused_for_now_is_lost_neither_to_history_nor_to_quarantine(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quarantine cannot be written; when the block comes again nothing of it is refused any more."""
    sender, known = await station.catalogued()
    await station.take(sender.next("readings", [reading(19.0, AT - 1)], catalog=known))
    ahead = sender.next("readings", [reading(20.0), reading(21.0, AT + 3_600_000)], catalog=known)
    with monkeypatch.context() as during:
        during.setattr(repository, "keep_items", Refusing())
        (answer,) = await station.take(ahead)
    assert (answer.verdict, answer.reason) == (Verdict.RETRY, RetryReason.STORAGE)
    station.world.clock.advance(3600.0)
    (answer,) = await station.take(ahead)
    assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
    assert await station.values("th1") == [(AT - 1, 19.0), (AT, 20.0), (AT + 3_600_000, 21.0)]


async def test_what_a_new_block_says_of_its_devices_is_kept_though_an_old_one_cannot_be_asked_about(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, known = await station.catalogued()
    old = sender.next("readings", [reading(20.0)], catalog=known)
    await station.take(old)
    station.processor.seen_devices.clear()
    new = sender.next("readings", [reading(21.0, AT + 1)], catalog=known)
    with monkeypatch.context() as during:
        during.setattr(station.processor._history, "entered", Refusing())
        answers = await station.take(old, new)
    assert [answer.verdict for answer in answers] == [Verdict.RETRY, Verdict.COMMITTED]
    assert [seen.at for seen in station.processor.seen_devices.values()] == [from_ms(AT + 1)]
    station.world.clock.advance(FIRST_PAUSE_S)
    assert [answer.verdict for answer in await station.take(old, new)] == [Verdict.COMMITTED] * 2
    assert await station.values("th1") == [(AT, 20.0), (AT + 1, 21.0)]
