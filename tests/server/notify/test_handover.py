"""What an agent told people while it was cut off: the centre's part. On both databases."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from facility.clock import to_ms
from facility.items import AlarmItem, Told, target_of
from facility.severity import Severity
from server.alarms.service import AlarmService
from server.kit.principal import Role
from server.notify.handover import LATE, WAIT, HandOver, Mark, due_at, hand_over
from server.notify.notices import NoticeKind
from tests.server.alarms.making import deliver, item, raised
from tests.server.conftest import START
from tests.server.factories import World, make_user
from tests.server.finding import service_of
from tests.server.fleet.making import make_agent
from tests.server.notify.sink import Sink

SAME, OTHER = target_of("json://same"), target_of("json://other")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.mark.parametrize(
    ("kind", "severity", "told", "target", "verdict"),
    [
        (NoticeKind.TICKET_OPENED, Severity.MAJOR, Severity.MAJOR, SAME, HandOver.ALREADY_TOLD),
        (NoticeKind.TICKET_OPENED, Severity.MAJOR, Severity.CRITICAL, SAME, HandOver.ALREADY_TOLD),
        (NoticeKind.TICKET_WORSENED, Severity.CRITICAL, Severity.MAJOR, SAME, HandOver.TELL),
        (NoticeKind.ALARM_WAS_OVER, Severity.MAJOR, Severity.MAJOR, OTHER, HandOver.TELL_AS_KNOWN),
        (NoticeKind.TICKET_ASSIGNED, Severity.MAJOR, Severity.MAJOR, SAME, HandOver.TELL),
        (NoticeKind.TICKET_AUTO_RESOLVED, Severity.MAJOR, Severity.MAJOR, SAME, HandOver.TELL),
    ],
)
def test_who_is_told_again(
    kind: NoticeKind, severity: Severity, told: Severity, target: str, verdict: HandOver
) -> None:
    assert hand_over(kind, severity, SAME, [Mark("oncall", target, told, START)])[0] is verdict
    assert hand_over(kind, severity, SAME, []) == (HandOver.TELL, None)


def test_only_late_news_waits_for_the_agent() -> None:
    assert due_at(NoticeKind.TICKET_OPENED, START - LATE, START) == START
    assert due_at(NoticeKind.TICKET_OPENED, START - LATE - timedelta(seconds=1), START) == START + WAIT
    assert due_at(NoticeKind.TICKET_ASSIGNED, START - timedelta(days=1), START) == START
    assert due_at(NoticeKind.ALARM_CAME, None, START) == START


@pytest.mark.parametrize("mark_first", [True, False])
async def test_marks_count_in_either_order_and_a_strangers_not_at_all(
    world: World, sink: Sink, mark_first: bool
) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    at = to_ms(world.clock.now())
    ours, theirs = raised(world.clock.now()), raised(world.clock.now(), device="th-02")
    world.clock.advance(120)
    target = target_of(sink.url)
    mark = AlarmItem(snapshot=(), at=at - 1, told=(Told(ours.occurrence, Severity.MAJOR, "oncall", target, at),))
    both = [mark, item(ours), item(theirs)] if mark_first else [item(ours), item(theirs), mark]
    for one in both:
        assert await deliver(world, one) == []
    foreign = await make_agent(world, world.foreign)
    async with world.server.db.write() as session:
        stolen = AlarmItem(snapshot=(), at=at - 1, told=(Told(theirs.occurrence, Severity.MAJOR, "x", target, at),))
        now = world.clock.now()
        await service_of(world.server, AlarmService).apply(
            session, site=foreign.site, agent=foreign, items=[stolen], now=now
        )
    await world.server.outbox.run_due()
    assert sink.messages == [], "it waits for the agent's word"
    world.clock.advance(WAIT.total_seconds())
    await world.server.outbox.run_due()
    assert [message["title"].rpartition(" ")[0] for message in sink.messages] == ["[Major] new ticket: th-02:"]


async def test_a_mark_that_is_none_is_refused_alone(world: World) -> None:
    at = to_ms(world.clock.now())
    good = Told(raised(world.clock.now()).occurrence, Severity.MAJOR, "oncall", SAME, at)
    bad = (good, replace(good, occurrence="x"), replace(good, target="json://secret"), replace(good, at=5))
    refused = await deliver(world, AlarmItem(snapshot=(), at=at, told=bad))
    assert [one.path for one in refused] == ["[0].told[1]", "[0].told[2]", "[0].told[3]"]
