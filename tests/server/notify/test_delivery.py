"""From an alarm to a message in a real channel, with the channel down and back. On both databases."""

from collections.abc import Iterator, Sequence

import pytest

from facility.clock import to_ms
from facility.ids import new_id
from facility.severity import Severity
from server.kit.outbox import MAX_ATTEMPTS, backoff
from server.kit.paging import PageRequest
from server.kit.principal import Role
from server.kit.scope import Scope
from server.notify import repository
from server.notify.delivery import ALARM_AFTER
from server.notify.models import Notification
from server.notify.notices import Notice, NoticeKind
from server.notify.recipients import MOST_A_MINUTE
from server.notify.service import Notifier
from server.people.models import User
from server.tickets import repository as tickets
from tests.server.alarms.making import alarms, deliver, ended, item, minutes, raised, updated
from tests.server.conftest import ClientAs
from tests.server.factories import World, make_user
from tests.server.finding import service_of
from tests.server.notify.sink import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


async def told(world: World) -> Sequence[Notification]:
    """Every notification, youngest first."""
    async with world.server.db.read() as session:
        rows, _ = await repository.list_notifications(session, Scope.system(), PageRequest(limit=500))
        return rows


async def announce(
    world: World, severity: Severity = Severity.MAJOR, *, event: str | None = None, fails: Exception | None = None
) -> int:
    notice = Notice(
        event=event or new_id(to_ms(world.clock.now())),
        kind=NoticeKind.ALARM_CAME,
        customer_id=world.home.customer.id,
        site_id=world.home.site.id,
        severity=severity,
        title_en="Room hot",
        title_zh="机房高温",
        path="/alarms",
    )
    async with world.server.db.write() as session:
        count = await service_of(world.server, Notifier).announce(session, notice, now=world.clock.now())
        if fails is not None:
            raise fails
        return count


async def try_again(world: World, attempt: int) -> None:
    """What the outbox does after the wait that follows the failed attempt."""
    world.clock.advance(backoff(attempt).total_seconds())
    await world.server.outbox.run_due()


async def test_an_alarm_tells_who_wants_to_know_in_their_language(world: World, sink: Sink) -> None:
    await make_user(world.server, Role.NOC, language="zh_CN", notify_url=sink.url)
    await make_user(world.server, Role.NOC, customers=[world.foreign.customer.id], notify_url=sink.url)
    await make_user(world.server, Role.CUSTOMER, customers=[world.home.customer.id], notify_url=sink.url)
    await make_user(world.server, Role.NOC)
    event = raised(world.clock.now())
    await deliver(world, item(event))
    await deliver(world, item(event))
    await world.server.outbox.run_due()
    (message,) = sink.messages
    assert message["title"] == "【二级 重要】新工单:th-01:room-hot"
    assert "当前值:28.4 ℃" in message["message"]
    assert "T-2026-000001" in message["message"]
    assert [row.state for row in await told(world)] == ["sent"]


async def test_a_ticket_tells_when_it_gets_worse_and_when_it_resolves_itself(world: World, sink: Sink) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    event = raised(world.clock.now())
    await deliver(world, item(event))
    await deliver(world, item(worse := updated(event, Severity.CRITICAL)))
    await deliver(world, item(ended(worse)))
    world.clock.advance(minutes(11).total_seconds())
    await world.server.jobs.run_due()
    await world.server.outbox.run_due()
    heads = {message["title"].split(": ")[0] for message in sink.messages}
    assert heads == {
        "[Major] new ticket",
        "[Critical] ticket got worse",
        "[Critical] recovered, ticket resolved",
    }


async def test_an_alarm_without_a_ticket_is_told_to_who_wants_that_much(
    world: World, sink: Sink, client_as: ClientAs
) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    client = await client_as(Role.NOC)
    me = (await client.get("/api/v1/me")).json()["id"]
    profile = await client.patch("/api/v1/me/profile", json={"notify_url": sink.url}, headers={"If-Match": "*"})
    assert profile.status_code == 200
    assert (await client.get("/api/v1/me/notify")).json() == {"wanted": "major", "set": None, "channel": True}
    changed = await client.put("/api/v1/me/notify", json={"wanted": "info"})
    assert changed.json() == {"wanted": "info", "set": "info", "channel": True}
    await deliver(world, item(raised(world.clock.now(), severity=Severity.INFO)))
    await world.server.outbox.run_due()
    assert [row.user_id for row in await told(world)] == [me]
    assert [message["title"] for message in sink.messages] == ["[Info] alarm: th-01: room-hot"]


async def test_a_channel_that_was_down_gets_every_message(world: World, sink: Sink) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    sink.stop()
    for number in range(5):
        await deliver(world, item(raised(world.clock.now(), device=f"th-{number}")))
    await world.server.outbox.run_due()
    assert {row.state for row in await told(world)} == {"pending"}
    sink.start()
    sink.answer = 503
    await try_again(world, 1)
    sink.answer = 200
    await try_again(world, 2)
    assert {row.state for row in await told(world)} == {"sent"}
    titles = sorted(message["title"] for message in sink.messages)
    assert titles == [f"[Major] new ticket: th-{number}: room-hot" for number in range(5)]


async def test_a_channel_that_keeps_failing_is_an_alarm_until_it_works(world: World, sink: Sink) -> None:
    user = await make_user(world.server, Role.NOC, notify_url=sink.url)
    sink.answer = 500
    await announce(world)
    await world.server.outbox.run_due()
    for attempt in range(1, ALARM_AFTER):
        assert await alarms(world) == []
        await try_again(world, attempt)
    (alarm,) = await alarms(world, active=True)
    assert (alarm.rule, alarm.subject, alarm.severity) == ("notify-channel-failed", user.login, "minor")
    sink.answer = 200
    await try_again(world, ALARM_AFTER)
    assert await alarms(world, active=True) == []
    assert [row.attempts for row in await told(world)] == [ALARM_AFTER + 1]


async def test_a_message_that_never_gets_through_is_dead_and_kept(world: World, sink: Sink) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    sink.answer = 500
    await announce(world)
    await world.server.outbox.run_due()
    for attempt in range(1, MAX_ATTEMPTS):
        await try_again(world, attempt)
    (row,) = await told(world)
    assert (row.state, row.attempts) == ("dead", MAX_ATTEMPTS)
    assert row.last_error == "the json channel did not take the message"
    assert len(await alarms(world, active=True)) == 1


async def test_an_address_apprise_does_not_understand_is_dead_at_once_and_shows_no_secret(world: World) -> None:
    await make_user(world.server, Role.NOC, notify_url="nonsense://token-1234@somewhere")
    await announce(world)
    await world.server.outbox.run_due()
    (row,) = await told(world)
    assert row.state == "dead"
    assert "token-1234" not in str(row.last_error)


async def test_a_channel_taken_away_meanwhile_is_skipped(world: World, sink: Sink) -> None:
    user = await make_user(world.server, Role.NOC, notify_url=sink.url)
    await announce(world)
    async with world.server.db.write() as session:
        (await session.get_one(User, user.id)).notify_url = None
    await world.server.outbox.run_due()
    assert ([row.state for row in await told(world)], sink.messages) == (["skipped"], [])


async def test_the_same_event_is_told_once(world: World, sink: Sink) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    assert [await announce(world, event="one"), await announce(world, event="one")] == [1, 0]


async def test_nothing_is_told_when_the_transaction_fails(world: World, sink: Sink) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)

    with pytest.raises(RuntimeError, match="later in the transaction"):
        await announce(world, fails=RuntimeError("later in the transaction"))
    await world.server.outbox.run_due()
    assert (sink.messages, await told(world)) == ([], [])


async def test_a_storm_is_rolled_up_and_critical_ones_come_through(world: World, sink: Sink) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    for _ in range(MOST_A_MINUTE + 7):
        await announce(world)
    await announce(world, Severity.CRITICAL)
    await world.server.outbox.run_due()
    assert len(sink.messages) == MOST_A_MINUTE + 1
    world.clock.advance(60)
    await world.server.outbox.run_due()
    assert len(sink.messages) == MOST_A_MINUTE + 2
    assert (sink.messages[-1]["title"], sink.messages[-1]["message"]) == ("7 more messages", "Major: 7")
    states = [row.state.value for row in await told(world)]
    assert (states.count("rolled_up"), states.count("sent")) == (7, MOST_A_MINUTE + 2)


async def test_whom_a_ticket_is_given_to_is_told(world: World, sink: Sink, client_as: ClientAs) -> None:
    engineer = await make_user(world.server, Role.ENGINEER, notify_url=sink.url)
    await deliver(world, item(raised(world.clock.now(), severity=Severity.MINOR)))
    dispatcher = await client_as(Role.DISPATCHER)
    (ticket,) = (await dispatcher.get("/api/v1/tickets")).json()["items"]
    assigned = await dispatcher.post(f"/api/v1/tickets/{ticket['id']}/assign", json={"owner": engineer.id})
    assert assigned.json()["owner"] == engineer.id
    await world.server.outbox.run_due()
    assert [message["title"] for message in sink.messages] == ["[Minor] ticket assigned to you: th-01: room-hot"]


async def test_notifications_over_the_api(world: World, sink: Sink, client_as: ClientAs) -> None:
    await make_user(world.server, Role.NOC, notify_url=sink.url)
    await deliver(world, item(raised(world.clock.now())))
    noc = await client_as(Role.NOC)
    (shown,) = (await noc.get("/api/v1/notifications", params={"state": "pending", "site": "home"})).json()["items"]
    assert (shown["site"], shown["kind"], shown["attempts"]) == ("home", "ticket_opened", 0)
    async with world.server.db.read() as session:
        assert (await tickets.get_ticket(session, Scope.system(), shown["ticket_id"])).device == "th-01"
    assert sink.url not in str(shown)
    assert (await (await client_as(Role.ENGINEER)).get("/api/v1/notifications")).status_code == 403
    elsewhere = await client_as(Role.NOC, customers=[world.foreign.customer.id])
    assert (await elsewhere.get("/api/v1/notifications")).json()["items"] == []
