"""Bugs that are put in on purpose, to see that the simulation finds what it is for."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest import mock

from facility.alarms import AlarmEvent, EndReason
from facility.wire import Answer, Verdict
from rules.levels import LevelJudge
from server.alarms import folding, lifecycle
from server.ingest.component import Ingest
from server.ingest.intake import Entry, read
from server.ingest.jobs import Reply
from server.tickets import alarms, policy
from server.tickets.policy import TicketDecision
from tests.simulation.disk import Cursor, JournalDrive


@contextlib.contextmanager
def no_bug() -> Iterator[None]:
    yield


@contextlib.contextmanager
def acknowledge_before_commit() -> Iterator[None]:
    """The centre says `committed` first and commits then."""

    async def work(self: Ingest) -> None:
        while True:
            batch = await self._inbox.take()
            entries = [found for message in batch if isinstance(found := read(message), Entry)]
            await self._answer(
                [
                    Reply(
                        entry.topic.site,
                        entry.topic.agent,
                        Answer(entry.header.stream, entry.header.seq, Verdict.COMMITTED),
                    )
                    for entry in entries
                ]
            )
            await self._processor.take(batch)

    with mock.patch.object(Ingest, "_work", work):
        yield


@contextlib.contextmanager
def no_revision_check() -> Iterator[None]:
    """The last revision to arrive counts, whatever its number: what is folded is taken in order of arrival."""
    fold = lifecycle.fold

    def by_arrival(revisions: Any, **options: Any) -> Any:
        arrived = list(revisions)
        folded = fold(arrived, **options)
        last = arrived[-1]
        if last.kind == "ended":
            return folded
        return replace(
            folded, active=True, ended_at=None, end_reason=None, severity=last.severity, ended_by_itself=False
        )

    with mock.patch.object(folding, "fold", by_arrival):
        yield


@contextlib.contextmanager
def timers_on_arrival_time() -> Iterator[None]:
    """A timer acts at the time somebody looked, not at its own."""

    def run(self: LevelJudge, before: int) -> list[AlarmEvent]:
        events: list[AlarmEvent] = []
        while self.due < before:
            events += self._flip(before)
        return events

    with mock.patch.object(LevelJudge, "run", run):
        yield


@contextlib.contextmanager
def unsynced_journal() -> Iterator[None]:
    """An agent's commits are on the disk when the system gets to it."""
    execute = JournalDrive.execute

    def unsynced(self: JournalDrive, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        return execute(self, sql.replace("synchronous = FULL", "synchronous = OFF"), parameters)

    with mock.patch.object(JournalDrive, "execute", unsynced):
        yield


@contextlib.contextmanager
def unsynced_centre() -> Iterator[None]:
    """The server's commits are on the disk when its log is carried over into the database."""
    execute = Cursor.execute

    def unsynced(self: Cursor, sql: str, parameters: Any = ()) -> Cursor:
        return execute(self, sql.replace("synchronous=FULL", "synchronous=NORMAL"), parameters)

    with mock.patch.object(Cursor, "execute", unsynced):
        yield


@contextlib.contextmanager
def unrecovered_resolves() -> Iterator[None]:
    """A ticket resolves itself however its alarm ended."""

    def end(key_end: EndReason | None, *, covered: bool, taken: bool) -> TicketDecision:
        if not covered:
            return TicketDecision.NO_TICKET
        return TicketDecision.UNCHANGED if key_end is None else TicketDecision.HELD

    with mock.patch.object(policy, "_end", end):
        yield


@contextlib.contextmanager
def resolves_under_an_alarm() -> Iterator[None]:
    """A ticket resolves itself though an alarm of its key stands."""
    decide = policy.decide_hold

    def careless(*, taken: bool, auto_resolve_at: datetime | None, key_active: bool, now: datetime) -> TicketDecision:
        return decide(taken=taken, auto_resolve_at=auto_resolve_at, key_active=False, now=now)

    with mock.patch.object(alarms, "decide_hold", careless):
        yield


Plant = Callable[[], contextlib.AbstractContextManager[None]]

BUGS: dict[str, Plant] = {
    "none": no_bug,
    "acknowledge-before-commit": acknowledge_before_commit,
    "no-revision-check": no_revision_check,
    "resolves-under-an-alarm": resolves_under_an_alarm,
    "timers-on-arrival-time": timers_on_arrival_time,
    "unrecovered-resolves": unrecovered_resolves,
    "unsynced-centre": unsynced_centre,
    "unsynced-journal": unsynced_journal,
}
