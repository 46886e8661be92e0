"""Disks in virtual time: SQLite without threads, that dies where it is told to, refuses, and tears what was not synced.

A commit of the server takes a moment before and after, so that a kill can fall on either side of it; so does one of
an agent's journal when a kill is armed.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import aiosqlite.core

from agent.journal.sql import StoreFull

P = ParamSpec("P")
T = TypeVar("T")

COMMIT_S = (0.0, 0.02)


class Disk:
    """One machine's disk. full: it takes no more; armed: `before` or `after` the next commit, `die` is called."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.full = False
        self.armed = ""
        self.die: Callable[[], None] = lambda: None
        self.connections: list[InlineQueue] = []
        self.commits = 0
        self.hanging: asyncio.Future[None] | None = None

    def commit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        """The two halves of a commit, each a moment apart."""
        loop = asyncio.get_running_loop()
        self.commits += 1

        def second() -> None:
            run()
            if self._dies("after"):
                return
            loop.call_later(self.dice.uniform(*COMMIT_S), done)

        if self._dies("before"):
            return
        loop.call_later(self.dice.uniform(*COMMIT_S), second)

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


class InlineQueue:
    """Stands where aiosqlite's queue to its thread does, and does the work at once."""

    disk: Disk | None = None  # of the program that runs now

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.dead = False
        assert InlineQueue.disk is not None, "SQLite is opened outside a simulated machine"
        self._disk = InlineQueue.disk
        self._disk.connections.append(self)

    def put_nowait(self, job: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, call = job
        if getattr(getattr(call, "func", None), "__name__", "") == "commit" and not self.dead and self._writes():
            if self._disk.full:
                _set(future, None, sqlite3.OperationalError("database or disk is full"))
                return
            self._disk.commit(lambda: self._run(None, call), lambda: _set(future, None, None))
            return
        self._run(future, call)

    def _writes(self) -> bool:
        connection = self.owner._connection
        return connection is not None and connection.in_transaction

    def _run(self, future: asyncio.Future[Any] | None, call: Callable[[], Any]) -> None:
        if self.dead:
            _set(future, None, sqlite3.OperationalError("the machine is off"))
            return
        try:
            result = call()
        except Exception as error:  # noqa: BLE001  # whatever it was, it goes to whoever waits for it
            _set(future, None, error)
        else:
            _set(future, result, None)

    def kill(self) -> None:
        self.dead = True
        connection = self.owner._connection
        if connection is not None:
            connection.close()  # rolls back what is open
        self.owner._connection = None


def _set(future: asyncio.Future[Any] | None, result: Any, error: BaseException | None) -> None:
    if future is None or future.done():
        if error is not None and future is None:
            raise error
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class _NoThread:
    daemon = True

    def start(self) -> None:
        """Nothing runs elsewhere."""


def inline_connection(connector: Callable[[], sqlite3.Connection], iter_chunk_size: int = 64) -> Any:
    """An aiosqlite connection without a thread."""
    connection = aiosqlite.core.Connection.__new__(aiosqlite.core.Connection)
    vars(connection).update(
        _running=True, _connection=None, _connector=connector, _iter_chunk_size=iter_chunk_size, _thread=_NoThread()
    )
    connection._tx = InlineQueue(connection)  # type: ignore[assignment]
    return connection


def connect(database: Any, *, iter_chunk_size: int = 64, loop: Any = None, **options: Any) -> Any:
    """In the place of `aiosqlite.connect`."""
    return inline_connection(lambda: sqlite3.connect(str(database), **options), iter_chunk_size)


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
        if self._disk._dies("before"):
            await self._disk.hang()
        result = call(*args, **kwargs)
        self._disk.commits += 1
        self.done(name, args)
        if self._disk._dies("after"):
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
