"""The unit of work on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from server.app import Server
from server.customers.models import Customer
from server.db.session import Database, after_commit, async_url

AT = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)


def a_customer(code: str, at: datetime = AT) -> Customer:
    return Customer(id=f"id-{code}", code=code, name=code, active=True, created_at=at, updated_at=at)


async def codes(db: Database) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(sa.select(Customer.code).order_by(Customer.code)))


async def add_and_fail(server: Server, ran: list[str]) -> None:
    async with server.db.write() as session:
        session.add(a_customer("lost"))
        await session.flush()
        after_commit(session, lambda: ran.append("lost"))
        raise RuntimeError("midway")


async def test_a_block_that_ends_is_committed_and_one_that_raises_is_not(server: Server) -> None:
    async with server.db.write() as session:
        session.add(a_customer("kept"))
    with pytest.raises(RuntimeError, match="midway"):
        await add_and_fail(server, [])
    assert await codes(server.db) == ["kept"]


async def test_hooks_run_after_the_commit_and_never_without_one(server: Server) -> None:
    ran: list[str] = []
    async with server.db.write() as session:
        session.add(a_customer("kept"))
        after_commit(session, lambda: ran.append("kept"))
        assert ran == []
    assert ran == ["kept"]
    with pytest.raises(RuntimeError, match="midway"):
        await add_and_fail(server, ran)
    assert ran == ["kept"]


async def test_the_database_itself_refuses_a_write_in_a_reading_transaction(server: Server) -> None:
    async with server.db.read() as session:
        with pytest.raises(sa.exc.DBAPIError, match=r"readonly|read-only"):
            await session.execute(sa.text("DELETE FROM customers"))
    async with server.db.write() as session:
        session.add(a_customer("still-writable"))
    assert await codes(server.db) == ["still-writable"]


async def test_a_reader_neither_waits_for_the_writer_nor_sees_what_is_not_committed(server: Server) -> None:
    async with server.db.write() as session:
        session.add(a_customer("pending"))
        await session.flush()
        async with asyncio.timeout(5):
            assert await codes(server.db) == []
    assert await codes(server.db) == ["pending"]


async def test_writers_that_read_before_they_write_lose_nothing(server: Server) -> None:
    lock = sa.select(Customer).with_for_update()  # SQLite has no such clause and needs none: it has one writer
    async with server.db.write() as session:
        session.add(a_customer("counter"))

    async def add_one() -> None:
        async with server.db.write() as session:
            row = (await session.scalars(lock)).one()
            row.name = f"{row.name}+"

    await asyncio.gather(*(add_one() for _ in range(20)))
    async with server.db.read() as reading:
        row = (await reading.scalars(sa.select(Customer))).one()
    assert (row.name, row.version) == ("counter" + "+" * 20, 21)


async def test_a_cancelled_writer_leaves_the_next_one_free(server: Server) -> None:
    inside = asyncio.Event()

    async def stuck() -> None:
        async with server.db.write() as session:
            session.add(a_customer("cancelled"))
            await session.flush()
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5), server.db.write() as session:
        session.add(a_customer("next"))
    assert await codes(server.db) == ["next"]


async def test_times_come_back_in_utc_and_sort_as_times(server: Server) -> None:
    shanghai = timezone(timedelta(hours=8))
    times = {
        "a": datetime(2026, 3, 10, 10, 0, tzinfo=shanghai),
        "b": AT + timedelta(microseconds=1),
        "c": AT - timedelta(microseconds=1),
        "d": AT + timedelta(seconds=1),
    }
    async with server.db.write() as session:
        session.add_all(a_customer(code, at) for code, at in times.items())
    async with server.db.read() as session:
        rows = (await session.scalars(sa.select(Customer).order_by(Customer.created_at))).all()
        later = await session.scalars(sa.select(Customer.code).where(Customer.created_at > AT))
        assert sorted(later) == ["b", "d"]
    assert [row.code for row in rows] == ["c", "a", "b", "d"]
    assert rows[1].created_at == AT
    assert rows[1].created_at.utcoffset() == timedelta()


async def test_a_naive_time_is_refused(server: Server) -> None:
    with pytest.raises(sa.exc.StatementError, match="naive"):
        async with server.db.write() as session:
            session.add(a_customer("naive", AT.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("url", "why"),
    [("sqlite://", "in memory"), ("sqlite:///:memory:", "in memory"), ("mysql://x@y/z", "not supported")],
)
def test_a_database_we_do_not_speak_is_refused_in_words(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        async_url(url)
