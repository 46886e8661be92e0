"""Since when the centre hears the broker: what it did not listen to proves no agent silent.

Ingest workers write it, the job that judges silence reads it; they may be different processes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Base, table_of
from server.db.session import ReadSession, WriteSession
from server.fleet.texts import clip

# Workers write every 5 s while they are connected: three may be missed.
LIVE = timedelta(seconds=20)
# A broker that is started anew is back by then, and nobody needs to hear of it.
DEAF_AFTER = timedelta(seconds=60)
KEEP = timedelta(days=1)
_MAX_WORKER = 120


class IngestListener(Base):
    """A worker with a session on the broker `since`, as of `heard_at`."""

    __tablename__ = "ingest_listeners"

    worker: Mapped[str] = mapped_column(sa.String(_MAX_WORKER), primary_key=True)
    since: Mapped[datetime]
    heard_at: Mapped[datetime]


class Hearing(StrEnum):
    """What the centre can say of its own ears."""

    NO_INGEST = "no_ingest"  # no worker ever wrote: blocks come another way, or none
    LISTENING = "listening"
    JUST_LOST = "just_lost"
    DEAF = "deaf"


@dataclass(frozen=True, slots=True)
class Ears:
    """hearing, and since when: of the oldest session that still is, or of the last word of the last one."""

    hearing: Hearing
    since: datetime


_LISTENERS = table_of(IngestListener)
# Each 5 s of every worker: made once, and of the table alone.
_HEARD = (
    sa.update(_LISTENERS)
    .where(_LISTENERS.c.worker == sa.bindparam("name"))
    .values(since=sa.bindparam("since"), heard_at=sa.bindparam("heard_at"))
    .returning(_LISTENERS.c.worker)
)
_SPANS = sa.select(IngestListener.since, IngestListener.heard_at)


async def note(session: WriteSession, worker: str, *, since: datetime, now: datetime) -> None:
    """A worker is connected."""
    worker = clip(worker, _MAX_WORKER)
    if await session.scalar(_HEARD, {"name": worker, "since": since, "heard_at": now}) is None:
        session.add(IngestListener(worker=worker, since=since, heard_at=now))
        await session.execute(sa.delete(IngestListener).where(IngestListener.heard_at < now - KEEP))
        await session.flush()


async def spans(session: ReadSession) -> list[tuple[datetime, datetime]]:
    """(since, heard_at) of every worker remembered."""
    return [(since, heard_at) for since, heard_at in await session.execute(_SPANS)]


def ears(known: Collection[tuple[datetime, datetime]], *, first_look: datetime, now: datetime) -> Ears:
    """What workers wrote, judged. first_look: when this process began to look; before that it excuses nobody. Pure."""
    if not known:
        return Ears(Hearing.NO_INGEST, first_look)
    live = [since for since, heard_at in known if now - heard_at <= LIVE]
    if live:
        return Ears(Hearing.LISTENING, min(live))
    last = max(heard_at for _, heard_at in known)
    deaf = now - max(last, first_look) > DEAF_AFTER
    return Ears(Hearing.DEAF if deaf else Hearing.JUST_LOST, last)
