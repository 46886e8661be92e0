"""Letting go of agent events that are older than they are to be kept."""

import logging
from datetime import datetime, timedelta

from server.db.session import WriteSession
from server.fleet import repository
from server.kit.jobs import Job

log = logging.getLogger(__name__)

# One run is one transaction, and on SQLite ingest waits for it meanwhile; 2,000 a minute are 2.9 million a day.
AT_ONCE = 2000


def expiry_job(keep: timedelta) -> Job:
    """Deletes events older than `keep`, a bounded portion at a time; what is left waits for the next run."""

    async def run(session: WriteSession, now: datetime) -> None:
        gone = await repository.forget_events(session, now - keep, limit=AT_ONCE)
        if gone:
            log.debug("agent events out of retention", extra={"deleted": gone})

    return Job("fleet.expire_events", timedelta(minutes=1), run)
