"""What of a journal is in flight: what is there goes, once, and the disk is asked only where there may be more."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.journal import BlockState, Journal
from agent.journal.block import Stored
from agent.journal.sql import StoreFull
from agent.journal.store import Store
from agent.outbox import Outbox
from agent.outbox_policy import Readings
from facility.wire import Kind
from tests.agent.journals import event, manual_clock, opened, reading


class Asking:
    """Counts the questions to a journal's disk, and lets something happen in the middle of one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.questions = 0
        self.meanwhile: dict[Kind, Callable[[], None]] = {}
        offer = Store.offer

        def counted(store: Store, kind: Kind, **bounds: Any) -> list[Stored]:
            self.questions += 1
            found = offer(store, kind, **bounds)
            self.meanwhile.pop(kind, lambda: None)()
            return found

        monkeypatch.setattr(Store, "offer", counted)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Asking:
    return Asking(monkeypatch)


async def taken(journal: Journal, outbox: Outbox, sent: Sequence[Any]) -> None:
    for block in sent:
        outbox.flying.pop(block.key)
        journal.settle(block.key, BlockState.COMMITTED)


async def test_answers_and_their_marks_ask_the_disk_for_nothing(tmp_path: Path, asking: Asking) -> None:
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    outbox = Outbox(journal, clock=clock, backlog_rate=30)
    for value in (1.0, 2.0):
        journal.take([reading(clock, value)])
        await journal.commit()
    sent = await outbox.next(Readings.ALL)
    assert len(sent) == 2
    asked = asking.questions
    await taken(journal, outbox, sent[:1])
    assert await outbox.next(Readings.ALL) == []
    await journal.commit()
    await taken(journal, outbox, sent[1:])
    assert await outbox.next(Readings.ALL) == []
    assert asking.questions == asked
    journal.take([reading(clock, 3.0)])
    await journal.commit()
    assert len(await outbox.next(Readings.ALL)) == 1


async def test_what_lands_while_the_disk_is_asked_is_offered_again(
    tmp_path: Path, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The centre wants a new number for it, and the disk refuses that just then: under its old one it is still due."""
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock)
    outbox = Outbox(journal, clock=clock, backlog_rate=30)
    journal.append(Kind.EVENTS, [event(clock, "first")], at=0)
    await journal.commit()
    (first,) = await outbox.next(Readings.ALL)
    journal.take([reading(clock, 1.0)])
    await journal.commit()

    def refused(*_: Any) -> None:
        raise StoreFull("no room")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "replace", refused)
        assert await journal.resequence(first.key) is None
        # While readings are asked for: it was passed over before, as being in flight.
        asking.meanwhile[Kind.READINGS] = lambda: outbox.land(first.key)
        assert len(await outbox.next(Readings.ALL)) == 1
    assert [block.key for block in await outbox.next(Readings.ALL)] == [first.key]
