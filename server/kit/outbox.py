"""Side effects (mail, webhook, publication) wait in a table and happen after the commit, at least once.

A handler may be called twice for one item (a crash between the effect and `done`), so it passes the item's id on as
the other side's duplicate key where that side has one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from facility.clock import Clock, to_ms
from facility.ids import new_id
from server.db.base import Base, Json, PrimaryId
from server.db.session import Database, ReadSession, WriteSession
from server.db.types import str_enum
from server.kit.metrics import Metrics
from server.kit.tasks import unbroken

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 12  # with the back-off below: the last attempt is about 20 hours after the first
BACKOFF_FIRST = timedelta(seconds=10)
BACKOFF_MOST = timedelta(hours=4)
LEASE = timedelta(minutes=2)
HANDLER_TIMEOUT = 60.0  # seconds; below the lease, so that a slow effect is not taken by a second worker
BATCH = 20
KEEP_DONE = timedelta(days=7)
IDLE_SECONDS = 2.0


class OutboxState(StrEnum):
    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"


class OutboxRow(Base):
    """One side effect. `key` makes `enqueue` idempotent."""

    __tablename__ = "outbox"

    id: Mapped[PrimaryId]
    topic: Mapped[str] = mapped_column(sa.String(64))
    key: Mapped[str | None] = mapped_column(sa.String(200), unique=True)
    payload: Mapped[Json]
    state: Mapped[OutboxState] = mapped_column(str_enum(OutboxState, "state"))
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int]
    leased_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(sa.String(500))

    __table_args__ = (sa.Index(None, "state", "due_at"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """What a handler gets. `attempt` counts from 1."""

    id: str
    topic: str
    payload: Any
    attempt: int


class PermanentError(Exception):
    """Raised by a handler when trying again cannot help: the item goes to the dead letters at once."""


# Does the effect within HANDLER_TIMEOUT; any exception means "try again later".
Handler = Callable[[OutboxItem], Awaitable[None]]


async def enqueue(
    session: WriteSession,
    *,
    topic: str,
    payload: Any,
    now: datetime,
    due_at: datetime | None = None,
    key: str | None = None,
) -> bool:
    """Queue an effect in this transaction; False when `key` was queued before (then nothing changes)."""
    if key is not None and await session.scalar(sa.select(OutboxRow.id).where(OutboxRow.key == key)) is not None:
        return False
    session.add(
        OutboxRow(
            id=new_id(to_ms(now)),
            topic=topic,
            key=key,
            payload=payload,
            state=OutboxState.PENDING,
            created_at=now,
            due_at=due_at or now,
            attempts=0,
        )
    )
    return True


def backoff(attempt: int) -> timedelta:
    """The wait after the failed attempt number `attempt` (from 1): doubling, at most four hours."""
    doublings: int = 2 ** min(attempt - 1, 20)
    return min(BACKOFF_FIRST * doublings, BACKOFF_MOST)


async def claim(session: WriteSession, *, topics: Sequence[str], now: datetime, limit: int = BATCH) -> list[OutboxItem]:
    """Take due items under a lease; other workers skip them until it ends."""
    query = (
        sa.select(OutboxRow)
        .where(
            OutboxRow.state == OutboxState.PENDING,
            OutboxRow.due_at <= now,
            OutboxRow.topic.in_(topics),
            sa.or_(OutboxRow.leased_until.is_(None), OutboxRow.leased_until <= now),
        )
        .order_by(OutboxRow.due_at, OutboxRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    items = []
    for row in await session.scalars(query):
        row.leased_until = now + LEASE
        row.attempts += 1
        items.append(OutboxItem(id=row.id, topic=row.topic, payload=row.payload, attempt=row.attempts))
    return items


async def settle(
    session: WriteSession, item: OutboxItem, *, now: datetime, error: str | None, retry: bool
) -> OutboxState:
    """Record the outcome of one attempt; the state tells whether it is done, waits again, or is dead."""
    row = await session.get_one(OutboxRow, item.id)
    row.leased_until = None
    if error is None:
        row.state, row.done_at, row.last_error = OutboxState.DONE, now, None
    elif not retry or row.attempts >= MAX_ATTEMPTS:
        row.state, row.done_at, row.last_error = OutboxState.DEAD, now, error[:500]
    else:
        row.due_at, row.last_error = now + backoff(row.attempts), error[:500]
    return row.state


async def waiting(session: ReadSession) -> int:
    """How many effects are not yet done."""
    query = sa.select(sa.func.count()).select_from(OutboxRow).where(OutboxRow.state == OutboxState.PENDING)
    return await session.scalar(query) or 0


async def forget_done(session: WriteSession, now: datetime) -> None:
    """Job: done items are kept for a week, dead ones until a person removes them."""
    await session.execute(
        sa.delete(OutboxRow).where(OutboxRow.state == OutboxState.DONE, OutboxRow.done_at < now - KEEP_DONE)
    )


class OutboxRunner:
    """The component that empties the outbox. `wake` makes it look at once."""

    name = "outbox"

    def __init__(self, db: Database, clock: Clock, metrics: Metrics) -> None:
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._handlers: dict[str, Handler] = {}
        self._wake = asyncio.Event()

    def register(self, handlers: Mapping[str, Handler]) -> None:
        for topic, handler in handlers.items():
            if topic in self._handlers:
                raise ValueError(f"two handlers for outbox topic {topic!r}")
            self._handlers[topic] = handler

    def wake(self) -> None:
        self._wake.set()

    async def run_due(self) -> int:
        """Try every due item once; returns how many were tried."""
        tried = 0
        while True:
            async with self._db.write() as session:
                items = await claim(session, topics=sorted(self._handlers), now=self._clock.now())
            if not items:
                return tried
            async with asyncio.TaskGroup() as group:
                for item in items:
                    group.create_task(self._attempt(item), name=f"outbox/{item.topic}")
            tried += len(items)

    async def _attempt(self, item: OutboxItem) -> None:
        error, retry = None, True
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT):
                await self._handlers[item.topic](item)
        except PermanentError as exc:
            error, retry = str(exc), False
        except Exception as exc:  # noqa: BLE001 - a handler's failure is recorded on the item and tried again
            error = f"{type(exc).__name__}: {exc}"
        async with self._db.write() as session:
            state = await settle(session, item, now=self._clock.now(), error=error, retry=retry)
        self._metrics.outbox.labels(item.topic, "retry" if state is OutboxState.PENDING else state.value).inc()
        if error is not None and (item.attempt == 1 or state is OutboxState.DEAD):
            level = logging.ERROR if state is OutboxState.DEAD else logging.WARNING
            log.log(level, "outbox item failed", extra={"topic": item.topic, "id": item.id, "error": error})

    async def _round(self) -> None:
        await self.run_due()
        async with self._db.read() as session:
            self._metrics.outbox_waiting.set(await waiting(session))

    async def run(self) -> None:
        while True:
            self._wake.clear()
            await unbroken(self._round())
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue
