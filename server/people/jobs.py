"""What people's tables need from time to time."""

from datetime import datetime, timedelta

from server.db.session import WriteSession
from server.kit.jobs import Job
from server.people import repository
from server.people.throttle import FORGET_AFTER


async def _forget_expired(session: WriteSession, now: datetime) -> None:
    await repository.forget_expired(session, now=now, failures_before=now - FORGET_AFTER)


JOBS = (Job("people.forget_expired", timedelta(minutes=10), _forget_expired),)
