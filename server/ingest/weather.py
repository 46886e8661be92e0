"""The weather of a database: one that refuses is left alone for a moment, who asks meanwhile is told to wait."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import sqlalchemy as sa

T = TypeVar("T")

log = logging.getLogger(__name__)

# Of what a database says, these blame the content; everything else is its own trouble and passes.
BLAMES_CONTENT = (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.NotSupportedError)
# The same by PostgreSQL's classes of errors (data, constraint, statement, limit), as which a session of asyncio gets
# most of them: a NUL in a text and a number too large are plain errors by their Python class.
_CONTENT_CLASSES = ("22", "23", "42", "54")
# PostgreSQL's words for a deadlock and for a transaction that cannot be put in order with another.
_CLASHES = ("40P01", "40001")
# A failover passes within a second; a full disk stays for hours and is asked no more often than an agent
# sends again, so that the pause adds at most one more round to what an alarm waits.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
# A clash costs PostgreSQL a second to notice, and who lost it waits for the winner at once: a third in a row is rare.
CLASH_TRIES = 3


def is_weather(error: Exception) -> bool:
    """Whether a failure is the database's own and no block is to blame."""
    if isinstance(error, sa.exc.DBAPIError):
        blames_content = isinstance(error, BLAMES_CONTENT) or _sqlstate(error).startswith(_CONTENT_CLASSES)
        return not blames_content
    return isinstance(error, sa.exc.TimeoutError | OSError)


def is_clash(error: Exception) -> bool:
    """Whether two transactions were in each other's way: the database works, and the next try has its turn."""
    return isinstance(error, sa.exc.DBAPIError) and _sqlstate(error) in _CLASHES


async def past_clashes(transaction: Callable[[], Awaitable[T]], *, clashed: Callable[[], None]) -> T:
    """Do the transaction, at once again where another was in its way, a few times.

    clashed: called each time another was in its way.
    """
    tried = 0
    while True:
        try:
            return await transaction()
        except Exception as error:
            if not is_clash(error):
                raise
            clashed()
            tried += 1
            if tried == CLASH_TRIES:
                raise


def _sqlstate(error: sa.exc.DBAPIError) -> str:
    """PostgreSQL's word for it; "" of SQLite, and of a connection that broke."""
    return getattr(error.orig, "sqlstate", None) or ""


class Weather:
    """Of one database: without it every message of every agent costs a failing transaction, just while it suffers.

    Times are monotonic seconds handed in by the caller.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._until = 0.0

    def wait_s(self, now: float) -> float:
        """How long the database is still to be left alone; 0 when it may be asked."""
        return max(0.0, self._until - now) if self._pause else 0.0

    def refused(self, now: float) -> bool:
        """It was asked and refused: each time in a row it is left alone for twice as long. True for the first time."""
        first = not self._pause
        self._pause = min(max(self._pause * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._until = now + self._pause
        return first

    def took(self) -> None:
        """It took what it was given."""
        self._pause = 0.0


def suffers(weather: Weather, database: str, error: Exception, *, now: float) -> None:
    """A database refused: leave it alone for a while, and say so when that is new. now: monotonic seconds."""
    # Workers that are given blocks of one alarm clash now and then; nothing is out of order.
    news = not is_clash(error) and weather.refused(now)
    log.log(
        logging.ERROR if news else logging.DEBUG,
        "a database refuses, blocks are asked for again",
        extra={"db": database, "error": str(error)},
    )
