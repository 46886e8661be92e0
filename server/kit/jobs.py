"""Jobs at a fixed pace. `UNIQUE(job, due_at)` in the effect's own transaction makes a second run impossible; the lease
only saves several processes from trying.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from facility.clock import EPOCH, Clock
from server.db.base import Base
from server.db.session import Database, WriteSession
from server.kit.metrics import Metrics
from server.kit.tasks import unbroken

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
LEASE = timedelta(seconds=30)
RETRY_AFTER = timedelta(seconds=30)
# A slot's row must outlive the slot, or a restart would run it again: hence the bound on `every`.
MOST_EVERY = timedelta(days=1)
KEEP_RUNS = 2 * MOST_EVERY


@dataclass(frozen=True, slots=True)
class Job:
    """`run(session, now)` every `every`, in one transaction. A slot missed while the server was down is skipped.

    `now` is the clock's time, at or a little after the slot. A job that fails is rolled back and tried again.
    """

    name: str
    every: timedelta
    run: Callable[[WriteSession, datetime], Awaitable[None]]


class JobRun(Base):
    """A slot that ran."""

    __tablename__ = "job_runs"

    job: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    ran_at: Mapped[datetime]


class Lease(Base):
    """Who may do a thing until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(sa.String(64))
    until: Mapped[datetime]


async def acquire(session: WriteSession, *, name: str, holder: str, now: datetime, hold: timedelta) -> bool:
    """Take or prolong a lease; False while somebody else holds it. Saves work only: never correctness."""
    row = await session.get(Lease, name, with_for_update=True)
    if row is None:
        session.add(Lease(name=name, holder=holder, until=now + hold))
        return True
    if row.holder != holder and row.until > now:
        return False
    row.holder, row.until = holder, now + hold
    return True


def slot(now: datetime, every: timedelta) -> datetime:
    """The newest multiple of `every` since the epoch that is not after `now`."""
    return EPOCH + (now - EPOCH) // every * every


class JobRunner:
    """The component that runs due jobs, one after the other."""

    name = "jobs"

    def __init__(self, db: Database, clock: Clock, metrics: Metrics, *, holder: str) -> None:
        self._db = db
        self._clock = clock
        self._metrics = metrics
        self._holder = holder
        self._jobs: dict[str, Job] = {}
        self._done: dict[str, datetime] = {}
        self._not_before: dict[str, datetime] = {}
        self._lease_until = EPOCH

    def register(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.name in self._jobs:
                raise ValueError(f"two jobs are called {job.name!r}")
            if not timedelta() < job.every <= MOST_EVERY:
                raise ValueError(f"job {job.name!r}: every is more than 0 and at most {MOST_EVERY}")
            self._jobs[job.name] = job

    async def run_due(self) -> list[str]:
        """Run every job whose slot has come; returns the names of those that ran here."""
        now = self._clock.now()
        due = [job for job in self._jobs.values() if self._is_due(job, now)]
        if not due or not await self._hold_lease(now):
            return []
        return [job.name for job in due if await self._run_one(job, now)]

    def _is_due(self, job: Job, now: datetime) -> bool:
        last = self._done.get(job.name)
        return (last is None or slot(now, job.every) > last) and now >= self._not_before.get(job.name, now)

    async def _hold_lease(self, now: datetime) -> bool:
        if now + LEASE / 2 < self._lease_until:
            return True
        async with self._db.write() as session:
            held = await acquire(session, name="jobs", holder=self._holder, now=now, hold=LEASE)
        self._lease_until = now + LEASE if held else EPOCH
        return held

    async def _run_one(self, job: Job, now: datetime) -> bool:
        due_at = slot(now, job.every)
        try:
            async with self._db.write() as session:
                if await session.get(JobRun, (job.name, due_at)) is not None:
                    self._done[job.name] = due_at
                    return False
                session.add(JobRun(job=job.name, due_at=due_at, ran_at=now))
                await session.flush()
                await job.run(session, now)
        except Exception:
            self._not_before[job.name] = now + RETRY_AFTER
            self._metrics.job_runs.labels(job.name, "failed").inc()
            log.exception("job failed, tried again in %s", RETRY_AFTER, extra={"job": job.name})
            return False
        self._done[job.name] = due_at
        self._metrics.job_runs.labels(job.name, "done").inc()
        return True

    async def run(self) -> None:
        while True:
            await unbroken(self.run_due())
            await self._clock.sleep(TICK_SECONDS)


async def forget_runs(session: WriteSession, now: datetime) -> None:
    """Job: old slots cannot come again, their rows can go."""
    await session.execute(sa.delete(JobRun).where(JobRun.due_at < now - KEEP_RUNS))
