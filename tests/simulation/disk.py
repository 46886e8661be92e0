"""Disks in virtual time: SQLite without threads; they die where told to, refuse, fail, and tear what was not synced.

A commit of the server takes a moment before and after, so that a kill can fall on either side of it; so does one of
an agent's journal when a kill is armed.
"""

import asyncio
import math
import random
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.util import await_only

from agent.journal.sql import StoreFull
from tests.simulation.plan import AFTER_COMMIT, BEFORE_COMMIT

P = ParamSpec("P")
T = TypeVar("T")

COMMIT_S = (0.0, 0.02)
# The chance that other tasks run before a statement: in between statements anything may happen, as with a thread.
OTHERS_FIRST = 0.1
# What no program asked to be synced the system writes by itself, so late (vm.dirty_expire_centisecs).
WRITTEN_BACK_S = 30.0
SYNCED = 2  # `PRAGMA synchronous`: with FULL, or more, a commit is on the disk when it is done


class Disk:
    """One machine's disk. full: it takes no more; failing: the chance that a statement meets an I/O error; armed:
    before or after the next commit `die` is called.
    """

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.full = False
        self.failing = 0.0
        self.armed = ""
        self.die: Callable[[], None] = lambda: None
        self.connections: list[Drive] = []
        self.commits = 0
        self.hanging: asyncio.Future[None] | None = None
        # Of a file with commits that nobody synced: as the disk has it, and since when.
        self._behind: dict[Path, tuple[float, dict[str, bytes]]] = {}

    def before_commit(self, db: sqlite3.Connection, path: Path) -> None:
        """A power cut takes a commit that the connection does not sync, and those before it that wait with it."""
        ((level,),) = sqlite3.Connection.execute(db, "PRAGMA synchronous").fetchall()
        if level >= SYNCED:
            self._behind.pop(path, None)
            return
        now = asyncio.get_running_loop().time()
        since, _ = self._behind.get(path, (-math.inf, {}))
        if now - since > WRITTEN_BACK_S:
            self._behind[path] = now, image(path)

    def left_of(self, path: Path) -> dict[str, bytes]:
        """A file and its log as a power cut leaves them."""
        _, kept = self._behind.pop(path, (0.0, {}))
        return kept or image(path)

    async def commit(self, run: Callable[[], None]) -> None:
        """A commit, with a moment on either side of it. Who is cancelled meanwhile has committed all the same."""
        loop = asyncio.get_running_loop()
        committed = loop.create_future()
        self.commits += 1

        def first() -> None:
            try:
                run()
            except sqlite3.Error as error:
                _set(committed, error)
                return
            if not self._dies(AFTER_COMMIT):
                loop.call_later(self.dice.uniform(*COMMIT_S), _set, committed, None)

        if not self._dies(BEFORE_COMMIT):
            loop.call_later(self.dice.uniform(*COMMIT_S), first)
        await committed

    def meet_error(self, db: sqlite3.Connection) -> None:
        """An I/O error, if it is to be; SQLite may or may not take the transaction back by itself then."""
        if not self.failing or self.dice.random() >= self.failing:
            return
        if db.in_transaction and self.dice.random() < 0.5:
            sqlite3.Connection.rollback(db)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    async def hang(self) -> None:
        """The program stands here when it dies."""
        self.hanging = asyncio.get_running_loop().create_future()
        await self.hanging

    def _dies(self, where: str) -> bool:
        if self.armed != where:
            return False
        self.armed = ""
        self.die()
        return True

    def pull_the_plug(self) -> None:
        """Every connection of the program is gone with what it had not committed."""
        for each in self.connections:
            each.kill()
        self.connections.clear()


def _set(committed: asyncio.Future[None], error: Exception | None) -> None:
    if committed.done():
        return
    if error is None:
        committed.set_result(None)
    else:
        committed.set_exception(error)


class _AtOnce:
    """What is awaited where there is nothing to wait for: SQLAlchemy insists on something in each of its calls."""

    def __await__(self) -> Any:
        return iter(())


class Cursor(sqlite3.Cursor):
    """A cursor that asks nobody to wait, but now and then lets others go first."""

    connection: "Drive"

    def execute(self, sql: str, parameters: Any = ()) -> "Cursor":
        self.connection.turn()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> "Cursor":
        self.connection.turn()
        return super().executemany(sql, parameters)

    async def _async_soft_close(self) -> None:
        """SQLAlchemy's word to a driver that waits for its cursors; here the rows are read from it as it goes."""


class Drive(sqlite3.Connection):
    """Stands where SQLAlchemy's wrapper of an aiosqlite connection does: statements at once, commits in their time."""

    disk: Disk | None = None  # of the program that runs now

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        assert Drive.disk is not None, "SQLite is opened outside a simulated machine"
        self._path = Path(args[0])
        self._disk = Drive.disk
        self._disk.connections.append(self)
        self._dead = False

    @property
    def _connection(self) -> "Drive":
        """What SQLAlchemy calls the driver's own connection."""
        return self

    def turn(self) -> None:
        """Until it is a statement's turn."""
        await_only(asyncio.sleep(0) if self._disk.dice.random() < OTHERS_FIRST else _AtOnce())
        if self._dead:
            raise sqlite3.OperationalError("the machine is off")
        self._disk.meet_error(self)

    def cursor(self, factory: Any = Cursor) -> Any:
        if self._dead:
            raise sqlite3.OperationalError("the machine is off")
        return super().cursor(factory)

    def commit(self) -> None:
        if self._dead or not self.in_transaction:
            return
        if self._disk.full:
            # SQLite takes back by itself what it cannot commit.
            super().rollback()
            raise sqlite3.OperationalError("database or disk is full")
        if self._disk.failing:
            self._commit_in_doubt()
            return
        await_only(self._disk.commit(self._commit))
        if self._dead:
            raise sqlite3.OperationalError("the machine is off")

    def _commit(self) -> None:
        self._disk.before_commit(self, self._path)
        super().commit()

    def _commit_in_doubt(self) -> None:
        """Who is told of an error may have committed all the same, as over a connection that breaks meanwhile."""
        try:
            self._disk.meet_error(self)
        except sqlite3.OperationalError:
            super().rollback()
            raise
        await_only(self._disk.commit(self._commit))
        if self._dead:
            raise sqlite3.OperationalError("the machine is off")
        self._disk.meet_error(self)

    def rollback(self) -> None:
        if not self._dead:
            super().rollback()

    def kill(self) -> None:
        self._dead = True
        self.close()  # rolls back what is open

    def terminate(self) -> None:
        self.close()


def connect(_dbapi: Any, database: Any, **options: Any) -> Drive:
    """In the place of SQLAlchemy's way to aiosqlite, a thread of its own and four waits a statement."""
    return sqlite3.connect(str(database), factory=Drive, **options)


class JournalDrive(sqlite3.Connection):
    """An agent's journal on a disk that fails."""

    def __init__(self, *args: Any, disk: Disk, **options: Any) -> None:
        super().__init__(*args, **options)
        self._disk, self._path = disk, Path(args[0])

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql != "ROLLBACK":
            self._disk.meet_error(self)
        if sql == "COMMIT":
            self._disk.before_commit(self, self._path)
        return super().execute(sql, parameters)


def journal_drives(disks: dict[Path, Disk]) -> Callable[..., sqlite3.Connection]:
    """In the place of `sqlite3.connect`: a file in one of these folders lies on that disk."""
    plain: Callable[..., sqlite3.Connection] = sqlite3.connect

    def opened(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        disk = next((disk for folder, disk in disks.items() if str(folder) in str(database)), None)
        if disk is not None:
            options["factory"] = partial(JournalDrive, disk=disk)
        return plain(database, *args, **options)

    return opened


async def at_once(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """In the place of `asyncio.to_thread`: when a thread is done is nothing a seed decides."""
    return call(*args, **kwargs)


class DiskOffload:
    """The journal's way to its disk: inline, refused while the disk is full, cut off where a kill is armed."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        name = getattr(call, "__name__", "")
        if name not in ("commit", "replace"):
            return call(*args, **kwargs)
        if self._disk.full:
            raise StoreFull("database or disk is full")
        if self._disk._dies(BEFORE_COMMIT):
            await self._disk.hang()
        result = call(*args, **kwargs)
        self._disk.commits += 1
        self.done(name, args)
        if self._disk._dies(AFTER_COMMIT):
            await self._disk.hang()
        return result

    def done(self, name: str, args: tuple[object, ...]) -> None:
        """Told of what is on the disk now."""

    def close(self) -> None:
        """Nothing runs elsewhere."""


def tear(path: Path, dice: random.Random, keep: dict[str, bytes]) -> None:
    """What a power cut leaves: the files as they were, and a frame that was being written at the end of the log."""
    for name, content in keep.items():
        torn = dice.randbytes(dice.randrange(1, 4096)) if name.endswith("-wal") and content else b""
        path.with_name(name).write_bytes(content + torn)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def image(path: Path) -> dict[str, bytes]:
    """A database file and its log as they are on the disk."""
    found = {}
    for name in (path.name, f"{path.name}-wal"):
        part = path.with_name(name)
        if part.exists():
            found[name] = part.read_bytes()
    return found
