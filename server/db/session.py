"""The unit of work. `Database.write` is the only place in the server that commits.

On SQLite there is one writer connection (BEGIN IMMEDIATE, behind an asyncio lock) and a pool of readers that see the
last committed state and never wait for the writer: WAL, switched on by `server.db.migrate`. On PostgreSQL both come
from one pool, reads being READ ONLY transactions.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, NewType

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

log = logging.getLogger(__name__)

# A ReadSession cannot be handed to a function that wants to write; a WriteSession can be handed to one that reads.
ReadSession = NewType("ReadSession", AsyncSession)
WriteSession = NewType("WriteSession", ReadSession)

SQLITE_READERS = 4
# How long a statement waits for another process' lock, such as the CLI making a token beside a running server.
SQLITE_BUSY_MS = 5000
POSTGRES_POOL = 10
_HOOKS = "coldaisle_after_commit"


def async_url(text: str) -> URL:
    """The URL with our drivers filled in; raises ValueError, saying what is allowed, for any other database."""
    url = make_url(text)
    backend = url.get_backend_name()
    if backend == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValueError("sqlite in memory is not supported: readers and the writer need one file")
        return url.set(drivername="sqlite+aiosqlite")
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    raise ValueError(f"database {backend!r} is not supported: use sqlite:///FILE or postgresql://USER@HOST/NAME")


def locks_rows(session: ReadSession) -> bool:
    """False where a writer holds the whole database (SQLite), and asking for the lock of a row says nothing."""
    return session.get_bind().dialect.name != "sqlite"


def after_commit(session: WriteSession, call: Callable[[], None]) -> None:
    """Run `call` once the transaction is committed, never if it is not. For quick wake-ups: it must not block."""
    session.info.setdefault(_HOOKS, []).append(call)


@asynccontextmanager
async def piece(session: WriteSession) -> AsyncIterator[None]:
    """A part of a transaction that may fail without the rest: if it raises, it and what was to follow it are undone."""
    hooks: list[Callable[[], None]] = session.info.setdefault(_HOOKS, [])
    before = len(hooks)
    try:
        async with session.begin_nested():
            yield
    except BaseException:
        del hooks[before:]
        raise


def _prepare_sqlite(engine: AsyncEngine, *, begin: str, read_only: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # None hands transaction control to us: the driver's own BEGIN comes too late (only before the first write).
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_MS}")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)


def _doubt_postgresql(engine: AsyncEngine) -> None:
    """Warn, once, of a PostgreSQL that says "committed" of what a power cut can still take."""

    @event.listens_for(engine.sync_engine, "first_connect")
    def on_first_connect(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'off'"
            " ORDER BY name"
        )
        off = ", ".join(row[0] for row in cursor.fetchall())
        cursor.close()
        connection.rollback()
        if off:
            log.warning(
                "PostgreSQL does not wait for the disk: a power cut takes readings and alarms that agents were told are"
                " kept, and they do not send them again; switch these settings on",
                extra={"settings": off},
            )


class Database:
    """One database and its transactions. Close it; create the schema with `server.db.migrate.upgrade` first."""

    def __init__(self, url: str, *, readers: int = SQLITE_READERS, pool: int = POSTGRES_POOL) -> None:
        self.url = async_url(url)
        self.dialect = self.url.get_backend_name()
        self._lock: asyncio.Lock | nullcontext[None] = nullcontext()
        if self.dialect == "sqlite":
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
            self._lock = asyncio.Lock()
            self.writer = create_async_engine(self.url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0)
            self.reader = create_async_engine(
                self.url, poolclass=AsyncAdaptedQueuePool, pool_size=readers, max_overflow=0
            )
            _prepare_sqlite(self.writer, begin="BEGIN IMMEDIATE", read_only=False)
            _prepare_sqlite(self.reader, begin="BEGIN", read_only=True)
        else:
            self.writer = create_async_engine(self.url, pool_size=pool, max_overflow=0, pool_pre_ping=True)
            _doubt_postgresql(self.writer)
            self.reader = self.writer.execution_options(postgresql_readonly=True)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """One transaction: committed when the block ends, rolled back when it raises.

        On SQLite it holds the only writer: do nothing slow inside (no network, no password hashing).
        """
        async with self._lock, AsyncSession(self.writer, expire_on_commit=False) as session:
            yield WriteSession(ReadSession(session))
            await session.commit()
            hooks: list[Callable[[], None]] = session.info.pop(_HOOKS, [])
        for call in hooks:
            call()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """One read-only transaction; the database itself refuses a write in it."""
        async with AsyncSession(self.reader, expire_on_commit=False, autoflush=False) as session:
            yield ReadSession(session)

    async def close(self) -> None:
        """Give all connections back; the object cannot be used afterwards."""
        await self.reader.dispose()
        await self.writer.dispose()
