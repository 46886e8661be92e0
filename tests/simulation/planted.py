"""Bugs that are put in on purpose, to see that the simulation finds what it is for."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

from facility.alarms import AlarmEvent
from facility.wire import Answer, Verdict
from rules.levels import LevelJudge
from server.alarms import folding, lifecycle
from server.ingest.component import Ingest
from server.ingest.intake import Entry, read
from server.ingest.jobs import Reply


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


Plant = Callable[[], contextlib.AbstractContextManager[None]]

BUGS: dict[str, Plant] = {
    "none": no_bug,
    "acknowledge-before-commit": acknowledge_before_commit,
    "no-revision-check": no_revision_check,
    "timers-on-arrival-time": timers_on_arrival_time,
}
