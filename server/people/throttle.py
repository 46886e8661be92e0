"""When to make somebody wait who signs in wrongly. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

FREE_TRIES = 10
FREE_TRIES_PER_ADDRESS = 50  # an office behind one address
FIRST_WAIT = timedelta(seconds=5)
# Bounded, so that a stranger cannot lock somebody out for good.
MOST_WAIT = timedelta(minutes=5)
FORGET_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong tries so far of one key."""

    count: int
    last_at: datetime
    blocked_until: datetime | None


def after_failure(before: Failures | None, now: datetime, *, free: int) -> Failures:
    """The state after one more wrong try: the first `free` cost nothing, then the wait doubles."""
    count = 1 if before is None or now - before.last_at > FORGET_AFTER else before.count + 1
    if count < free:
        return Failures(count, now, None)
    wait = min(FIRST_WAIT * 2 ** min(count - free, 20), MOST_WAIT)
    return Failures(count, now, now + wait)


def wait_left(failures: Failures | None, now: datetime) -> timedelta:
    """How long the next try must wait; zero when it may go ahead."""
    if failures is None or failures.blocked_until is None:
        return timedelta()
    return max(failures.blocked_until - now, timedelta())
