"""An answered block is not sent again: what is committed is on the disk, in both databases."""

import logging
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from server.config import load_config
from server.db import migrate
from server.db.session import Database
from server.history.domain import open_database
from tests.support.postgresql import Postgresql

FULL = 2


@pytest.fixture
async def databases(database_url: str) -> AsyncIterator[tuple[Database, Database]]:
    """The main one and that of history."""
    config = load_config(overrides={"database_url": database_url}, environment={})
    await migrate.upgrade(config.url)
    main = Database(config.url)
    try:
        async with open_database(config, main) as history:
            yield main, history
    finally:
        await main.close()


async def _told(db: Database, statement: str) -> object:
    async with db.write() as session:
        return await session.scalar(sa.text(statement))


async def test_sqlite_waits_for_the_disk_at_every_commit(databases: tuple[Database, Database]) -> None:
    main, history = databases
    if main.dialect != "sqlite":
        return
    assert main.url != history.url
    for db in databases:
        assert await _told(db, "PRAGMA synchronous") == FULL
        assert await _told(db, "PRAGMA journal_mode") == "wal"


async def test_sqlite_waits_for_the_disk_on_every_connection_made_anew(databases: tuple[Database, Database]) -> None:
    if databases[0].dialect != "sqlite":
        return
    for db in databases:
        await db.writer.dispose()
        assert await _told(db, "PRAGMA synchronous") == FULL


@pytest.mark.peer("postgresql")
@pytest.mark.parametrize("sure", [True, False])
async def test_a_postgresql_that_does_not_wait_for_the_disk_is_warned_of_once(
    postgresql: Postgresql, caplog: pytest.LogCaptureFixture, sure: bool
) -> None:
    url = postgresql.new_database()
    name = url.rpartition("/")[2]
    postgresql.sql(f"ALTER DATABASE {name} SET synchronous_commit = {'on' if sure else 'off'}")
    db = Database(url)
    try:
        with caplog.at_level(logging.WARNING, logger="server.db.session"):
            for _ in range(2):
                assert await _told(db, "SHOW synchronous_commit") == ("on" if sure else "off")
    finally:
        await db.close()
        postgresql.drop_database(url)
    # The cluster of the tests has fsync off.
    assert [getattr(record, "settings", None) for record in caplog.records] == [
        "fsync" if sure else "fsync, synchronous_commit"
    ]
