"""Runs migrations from code, without alembic.ini or env.py: a set of migrations is a folder and a version table."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from server.db.base import NAMING
from server.db.session import async_url

# Two servers starting at once must not both migrate. The number is arbitrary and only has to be ours.
_ADVISORY_LOCK = 0x636F6C64
WAL_TRIES, WAL_PAUSE = 100, 0.05  # 5 seconds, as long as any statement waits for a lock
SQLITE_MIGRATION_BUSY_MS = 60_000  # the other process may be migrating a large table


@dataclass(frozen=True, slots=True)
class Migrations:
    """A folder with `versions/*.py` and the table that says which of them ran."""

    location: Path
    version_table: str = "alembic_version"


MAIN = Migrations(Path(__file__).parent.parent / "migrations")


class MigrationError(Exception):
    """The database cannot be brought to the wanted revision; the message says what to do."""


def _script(migrations: Migrations) -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(migrations.location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def heads(migrations: Migrations = MAIN) -> Sequence[str]:
    """The newest revision ids in the folder: exactly one in a linear chain."""
    return _script(migrations)[1].get_heads()


def _run(connection: sa.Connection, migrations: Migrations, revision: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    config, script = _script(migrations)

    def step(current: Any, _context: MigrationContext) -> Any:
        known = {item.revision for item in script.walk_revisions()}
        for one in current if isinstance(current, tuple) else (current,):
            if one and one not in known:
                raise MigrationError(f"the database is at revision {one}, unknown to this version: install a newer one")
        if revision == "base":
            return script._downgrade_revs(revision, current)
        return script._upgrade_revs(revision, current)

    with EnvironmentContext(config, script, fn=step, destination_rev=revision) as env:
        env.configure(
            connection=connection,
            target_metadata=sa.MetaData(naming_convention=NAMING),
            version_table=migrations.version_table,
            transactional_ddl=True,
            render_as_batch=True,
        )
        with Operations.context(env.get_context()):
            env.run_migrations()
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise MigrationError(f"migration left rows that point nowhere: {broken[:3]}")


async def _enable_wal(url: URL) -> None:
    """Switch a SQLite file to WAL, once for its life. It needs the file alone, and SQLite does not wait for that."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        for attempt in range(WAL_TRIES):
            try:
                async with engine.connect() as connection:
                    if (await connection.exec_driver_sql("PRAGMA journal_mode=WAL")).scalar() == "wal":
                        return
            except sa.exc.OperationalError:
                if attempt == WAL_TRIES - 1:
                    raise
            await asyncio.sleep(WAL_PAUSE)
        raise MigrationError(f"{url.database}: this file system cannot hold a SQLite database in WAL mode")
    finally:
        await engine.dispose()


async def upgrade(url: str, migrations: Migrations = MAIN, revision: str = "head") -> None:
    """Bring the database to `revision` ("head", a revision id, or "base" to take all down) in one transaction."""
    target = async_url(url)
    if target.get_backend_name() == "sqlite":
        Path(str(target.database)).parent.mkdir(parents=True, exist_ok=True)
        await _enable_wal(target)
    engine = create_async_engine(target, poolclass=NullPool)
    if target.get_backend_name() == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def on_connect(connection: Any, _record: object) -> None:
            # Foreign keys stay off: SQLite changes a table by copying and dropping it, which would cascade.
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout={SQLITE_MIGRATION_BUSY_MS}")

        @event.listens_for(engine.sync_engine, "begin")
        def on_begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run, migrations, revision)
    finally:
        await engine.dispose()


async def current(url: str, migrations: Migrations = MAIN) -> str | None:
    """The revision the database is at; None when it was never migrated."""
    engine = create_async_engine(async_url(url), poolclass=NullPool)

    def ask(connection: sa.Connection) -> str | None:
        return MigrationContext.configure(
            connection, opts={"version_table": migrations.version_table}
        ).get_current_revision()

    try:
        async with engine.connect() as connection:
            return await connection.run_sync(ask)
    finally:
        await engine.dispose()
