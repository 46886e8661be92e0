"""A value that swings around its limit for a day: few notices, one ticket, every occurrence on record. Virtual time."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from facility.clock import to_ms
from facility.ids import new_id
from facility.reading import PointKey, Reading
from rules.engine import Engine
from rules.facts import DeviceFacts
from rules.model import Rule, RuleSet
from server.alarms import repository
from server.kit.paging import PageRequest
from server.kit.principal import Role
from server.kit.scope import Scope
from server.notify.models import NotifySetting
from server.notify.recipients import Wanted
from server.tickets import repository as tickets
from tests.server.alarms.making import alarms, deliver, item
from tests.server.factories import World, make_user
from tests.server.notify.sink import Sink

DAY, HOUR = 24 * 3600, 3600
MOST_NOTICES = 3
MOST_EVENTS = 20
METRIC = "room.temperature"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


async def listener(world: World, sink: Sink) -> None:
    """Somebody who wants to be told everything."""
    user = await make_user(world.server, Role.NOC, notify_url=sink.url)
    async with world.server.db.write() as session:
        session.add(NotifySetting(user_id=user.id, wanted=Wanted.INFO, updated_at=world.clock.now()))


def watching(world: World, levels: dict[str, Any], **more: Any) -> Engine:
    rule = Rule.model_validate({
        "id": "room-hot", "title": {"en": "Room hot", "zh": "机房高温"}, "metric": METRIC, "source": "a test",
        "levels": levels, **more,
    })  # fmt: skip
    device = DeviceFacts("th-01", "sensor", points=(PointKey("th-01", METRIC),))
    return Engine(RuleSet((rule,)), (device,), origin="edge1", new_id=new_id, started_ms=to_ms(world.clock.now()))


async def live(
    world: World, engine: Engine, seconds: int, *values: float, step: int = 1, most_events: int = MOST_EVENTS
) -> None:
    """One reading each `step` seconds, these values in turn; the centre hears of events at once and does its jobs."""
    told = 0
    for second in range(seconds // step):
        at = to_ms(world.clock.now())
        events = engine.advance(at) + engine.sample(Reading("th-01", METRIC, "", values[second % len(values)], at))
        told += len(events)
        assert told < most_events, "the centre hears of every swing"
        for event in events:
            assert await deliver(world, item(event)) == []
        if events or second * step % (HOUR // 4) == 0:
            await world.server.jobs.run_due()
            await world.server.outbox.run_due()
        world.clock.advance(step)


async def ticket_numbers(world: World) -> Sequence[str]:
    async with world.server.db.read() as session:
        rows, _ = await tickets.list_tickets(session, Scope.system(), PageRequest(limit=50))
        return [row.number for row in rows]


async def test_a_day_at_1_hz_around_a_limit_is_three_notices_and_one_ticket(world: World, sink: Sink) -> None:
    await listener(world, sink)
    engine = watching(world, {"hi": {"limit": 27, "severity": "minor"}})
    await live(world, engine, DAY, 28.0, 26.0)
    heads = ["new ticket", "keeps coming and going, stands until calm"]
    assert [message["title"] for message in sink.messages] == [f"[Minor] {head}: th-01: room-hot" for head in heads]
    assert len(await ticket_numbers(world)) == 1
    rows = await alarms(world)
    assert [row.active for row in rows] == [True, False, False], "each occurrence is on record"
    await live(world, engine, HOUR, 25.0)
    assert len(sink.messages) == MOST_NOTICES
    assert sink.messages[-1]["title"].startswith("[Minor] recovered, ticket resolved")
    assert not any(row.active for row in await alarms(world))
    assert len(await ticket_numbers(world)) == 1
    async with world.server.db.read() as session:
        log = await repository.events_of(session, Scope.system(), rows[0].id)
    # Down and up every two seconds, since it came for the third time at the fourth second.
    assert [entry.payload.get("swings", 0) for entry in log if entry.kind in ("raised", "ended")] == [0, (DAY - 6) // 2]


async def test_a_day_at_1_hz_between_two_levels_is_three_notices_and_one_ticket(world: World, sink: Sink) -> None:
    await listener(world, sink)
    levels = {"hi": {"limit": 27, "severity": "minor"}, "hihi": {"limit": 30, "severity": "major"}}
    await live(world, watching(world, levels), DAY, 28.0, 31.0)
    assert len(sink.messages) == MOST_NOTICES
    assert len(await ticket_numbers(world)) == 1
    (row,) = await alarms(world)
    assert (row.active, row.severity, row.revision < 10) == (True, "major", True)


async def test_an_alarm_without_a_ticket_is_told_when_it_came_and_when_it_flaps(world: World, sink: Sink) -> None:
    await listener(world, sink)
    await live(world, watching(world, {"hi": {"limit": 27, "severity": "info"}}), DAY, 28.0, 26.0)
    heads = ["alarm", "keeps coming and going, stands until calm"]
    assert [message["title"] for message in sink.messages] == [f"[Info] {head}: th-01: room-hot" for head in heads]
    assert await ticket_numbers(world) == []


@pytest.mark.parametrize("severity", ["info", "minor"])
async def test_a_rule_that_calls_nothing_flapping_tells_no_more(world: World, sink: Sink, severity: str) -> None:
    await listener(world, sink)
    engine = watching(world, {"hi": {"limit": 27, "severity": severity}}, flap="off")
    swing, most = 5 * 60, 2 * DAY
    await live(world, engine, DAY, 28.0, 26.0, step=swing, most_events=most)
    assert len(sink.messages) == 1, "what comes back within ten minutes is known"
    assert len(await ticket_numbers(world)) == (severity == "minor")
    await live(world, engine, HOUR, 26.0, step=swing)
    await live(world, engine, 2 * swing, 28.0, step=swing)
    assert len(sink.messages) == (2 if severity == "info" else MOST_NOTICES), "what comes back after an hour is news"


async def test_what_comes_back_worse_is_told(world: World, sink: Sink) -> None:
    await listener(world, sink)
    levels = {"hi": {"limit": 27, "severity": "info"}, "lo": {"limit": 10, "severity": "minor"}}
    engine = watching(world, levels, flap="off")
    await live(world, engine, 4, 28.0, 26.0, 8.0, 26.0)
    assert [message["title"] for message in sink.messages] == [
        "[Info] alarm: th-01: room-hot",
        "[Minor] new ticket: th-01: room-hot",
    ]
