"""Answers no good agent sends: nothing wrong is believed, nothing right is lost, nothing lasts for ever."""

import time
from collections.abc import Sequence

import pytest

from collectors.device import DevicePoller, SnmpTarget
from collectors.exchange import PollProblem, SnmpAnswer, SnmpNeeds
from collectors.snmp.client import SnmpClient
from collectors.snmp.collect import MAX_ROWS, MISSING_S, SnmpCollector
from collectors.snmp.pace import REGROW_S
from facility.clock import SystemClock
from facility.reading import QualityReason
from tests.collectors.speaking.awkward_agent import GEN_ERR, GET, GETBULK, TOO_BIG, Behaviour, Request, awkward_agent
from tests.collectors.speaking.profiles import CHARGE, ShiftedClock, poller, system_clock, ups, values

OIDS = tuple(f"1.3.6.1.4.1.99.1.{number}.0" for number in range(16))
TABLE = "1.3.6.1.4.1.99.2"


def numbers(oids: Sequence[str]) -> list[tuple[str, int]]:
    """Each object's value is its own number, so a value in the wrong place shows."""
    return [(oid, int(oid.split(".")[-2])) for oid in oids]


EXPECTED = dict(numbers(OIDS))


def collector(port: int, max_in_get: int = 20, clock: SystemClock | None = None) -> SnmpCollector:
    clock = clock or system_clock()
    target = SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.1, max_in_get=max_in_get)
    return SnmpCollector(target, SnmpClient(target, clock=clock), clock=clock)


def deadline(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


async def test_too_big_shrinks_the_batch_and_is_remembered() -> None:
    def few(request: Request) -> list[bytes]:
        if len(request.oids) > 5:
            return [request.reply(error=TOO_BIG)]
        return [request.reply(numbers(request.oids))]

    async with awkward_agent(few) as (port, heard):
        device = collector(port)
        first = await device.collect(SnmpNeeds(OIDS), deadline=deadline())
        assert first.values == EXPECTED
        assert not first.failed
        asked = len(heard)
        assert device.batch <= 5
        second = await device.collect(SnmpNeeds(OIDS), deadline=deadline())
        assert second.values == EXPECTED
        assert len(heard) - asked == 4
        assert asked > 4


def few(request: Request) -> list[bytes]:
    """An agent that says nothing at all to more than eight objects."""
    return [request.reply(numbers(request.oids))] if len(request.oids) <= 8 else []


async def test_large_batches_that_meet_silence_shrink_and_are_remembered() -> None:
    async with awkward_agent(few) as (port, heard):
        device = collector(port)
        first = await device.collect(SnmpNeeds(OIDS), deadline=deadline())
        assert first.values == EXPECTED
        asked = len(heard)
        assert (await device.collect(SnmpNeeds(OIDS), deadline=deadline())).values == EXPECTED
        assert len(heard) - asked == 2


async def test_a_device_that_came_back_and_cannot_answer_large_batches_is_read_all_the_same() -> None:
    async with awkward_agent(few) as (port, _):
        answer = await collector(port).collect(SnmpNeeds(OIDS), deadline=deadline(), trusted=False)
        assert answer.values == EXPECTED


async def test_what_was_learnt_is_tried_again_later() -> None:
    fixed = False

    def improving(request: Request) -> list[bytes]:
        if not fixed and len(request.oids) > 8:
            return [request.reply(error=TOO_BIG)]
        gone = () if fixed else OIDS[8:]
        return [request.reply([(oid, None if oid in gone else value) for oid, value in numbers(request.oids)])]

    async with awkward_agent(improving) as (port, heard):
        clock = ShiftedClock()
        device = collector(port, clock=clock)

        async def cycle() -> tuple[dict[str, object], int]:
            before = len(heard)
            answer = await device.collect(SnmpNeeds(OIDS), deadline=clock.monotonic() + 5)
            return dict(answer.values), len(heard) - before

        assert (await cycle())[0] == dict(numbers(OIDS[:8]))
        assert await cycle() == (dict(numbers(OIDS[:8])), 1)
        fixed = True
        assert await cycle() == (dict(numbers(OIDS[:8])), 1)
        clock.ahead_s += MISSING_S + 1
        assert (await cycle())[0] == EXPECTED
        clock.ahead_s += REGROW_S + 1
        assert await cycle() == (EXPECTED, 1)


async def test_one_object_that_errs_does_not_void_the_others() -> None:
    bad = OIDS[7]

    def poisoned(request: Request) -> list[bytes]:
        if bad in request.oids:
            return [request.reply(error=GEN_ERR)]
        return [request.reply(numbers(request.oids))]

    async with awkward_agent(poisoned) as (port, heard):
        device = collector(port)
        for cycle in range(2):
            before = len(heard)
            answer = await device.collect(SnmpNeeds(OIDS), deadline=deadline())
            assert answer.values == {oid: value for oid, value in EXPECTED.items() if oid != bad}
            assert answer.failed == {bad: QualityReason.EXCEPTION}
            if cycle:
                assert len(heard) - before <= 3  # it is asked alone from now on


async def test_missing_objects_are_named_missing_and_left_alone_for_a_while() -> None:
    gone = set(OIDS[::2])

    def holes(request: Request) -> list[bytes]:
        return [request.reply([(oid, None if oid in gone else value) for oid, value in numbers(request.oids)])]

    async with awkward_agent(holes) as (port, heard):
        device = collector(port)
        answer = await device.collect(SnmpNeeds(OIDS), deadline=deadline())
        assert len(heard) == 1
        assert set(answer.values) == set(OIDS) - gone
        assert answer.failed == dict.fromkeys(gone, QualityReason.NO_SUCH_OBJECT)
        only_gone = SnmpNeeds(tuple(sorted(gone)))
        await device.collect(only_gone, deadline=deadline())
        before = len(heard)
        answer = await device.collect(only_gone, deadline=deadline())
        assert answer.failed == dict.fromkeys(gone, QualityReason.NO_SUCH_OBJECT)
        assert len(heard) - before <= 2  # one question keeps the device known to be there


async def test_a_lost_datagram_is_asked_again_and_changes_nothing() -> None:
    lost = 0

    def lossy(request: Request) -> list[bytes]:
        nonlocal lost
        lost += 1
        return [] if lost == 1 else [request.reply(numbers(request.oids))]

    async with awkward_agent(lossy) as (port, _):
        device = collector(port)
        assert (await device.collect(SnmpNeeds(OIDS), deadline=deadline())).values == EXPECTED
        assert device.batch == 20


def late(request: Request, store: list[Request]) -> list[bytes]:
    """Every answer comes one request too late, and with other values."""
    store.append(request)
    return [store[-2].reply([(oid, 4711) for oid in store[-2].oids])] if len(store) > 1 else []


@pytest.mark.parametrize(
    ("name", "behaviour", "problem"),
    [
        ("garbage", lambda request: [b"\x30\x05hello"], PollProblem.BAD_REPLY),
        ("truncated", lambda request: [request.reply(numbers(request.oids))[:-3]], PollProblem.BAD_REPLY),
        ("foreign id", lambda request: [request.reply(numbers(request.oids), request_id=99)], PollProblem.TIMEOUT),
        ("other objects", lambda request: [request.reply([("1.3.6.1.9.9.0", 5)])], PollProblem.BAD_REPLY),
        ("nothing", lambda request: [], PollProblem.TIMEOUT),
    ],
)
async def test_what_is_no_answer_gives_no_value(name: str, behaviour: Behaviour, problem: PollProblem) -> None:
    async with awkward_agent(behaviour) as (port, heard):
        device: DevicePoller = poller(
            SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.1), ups(), deadline_s=2
        )
        outcome = await device.poll()
    assert outcome.problem is problem, name
    assert values(outcome) == {"device.communication": "lost"}
    assert outcome.seconds < 1
    assert 1 <= len(heard) <= 4


async def test_an_answer_that_comes_late_is_never_taken_for_the_next() -> None:
    store: list[Request] = []
    async with awkward_agent(lambda request: late(request, store)) as (port, _):
        device = poller(SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.1), ups(), deadline_s=1)
        outcome = await device.poll()
        assert len(store) > 1
        assert values(outcome) == {"device.communication": "lost"}


async def test_a_flood_of_foreign_answers_ends_at_the_deadline() -> None:
    def flood(request: Request) -> list[bytes]:
        return [request.reply(numbers(request.oids), request_id=number) for number in range(100, 150)]

    async with awkward_agent(flood) as (port, _):
        started = time.monotonic()
        outcome = await poller(
            SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.1), ups(), deadline_s=0.3
        ).poll()
        assert outcome.problem is PollProblem.TIMEOUT
        assert time.monotonic() - started < 0.6


async def test_an_endless_table_is_bounded_and_one_that_goes_in_circles_is_left() -> None:
    rows = 0

    def endless(request: Request) -> list[bytes]:
        nonlocal rows
        rows += 10
        return [request.reply([(f"{TABLE}.{rows + number}", number) for number in range(10)])]

    async with awkward_agent(endless) as (port, _):
        clock = ShiftedClock()
        device = collector(port, clock=clock)
        for walked in (True, False, True):
            before = rows
            answer = await device.collect(SnmpNeeds(walks=(TABLE,)), deadline=clock.monotonic() + 10)
            assert answer == SnmpAnswer({}, {TABLE: QualityReason.EXCEPTION})
            assert rows - before == (MAX_ROWS if walked else 0)
            clock.ahead_s += MISSING_S / 2 + 1

    def circles(request: Request) -> list[bytes]:
        return [request.reply([(f"{TABLE}.5", 1), (f"{TABLE}.6", 2)])]

    async with awkward_agent(circles) as (port, heard):
        answer = await collector(port).collect(SnmpNeeds(walks=(TABLE,)), deadline=deadline())
        assert answer.values == {f"{TABLE}.5": 1, f"{TABLE}.6": 2}
        assert answer.failed == {TABLE: QualityReason.EXCEPTION}
        assert len(heard) == 2


async def test_an_agent_that_cannot_bulk_is_walked_row_by_row_from_then_on() -> None:
    def plain_only(request: Request) -> list[bytes]:
        if request.kind == GETBULK:
            return [request.reply(error=GEN_ERR)]
        row = int(request.oids[0].removeprefix(TABLE).lstrip(".") or 0) + 1
        return [request.reply([(f"{TABLE}.{row}", row)] if row <= 3 else [("1.3.6.1.4.1.99.3", 0)])]

    async with awkward_agent(plain_only) as (port, heard):
        device = collector(port)
        for _ in range(2):
            answer = await device.collect(SnmpNeeds(walks=(TABLE,)), deadline=deadline())
            assert answer.values == {f"{TABLE}.{row}": row for row in (1, 2, 3)}
            assert not answer.failed
        assert sum(request.kind == GETBULK for request in heard) == 1


async def test_a_walk_that_falls_silent_keeps_its_rows_and_the_scalars() -> None:
    bulks = 0

    def half(request: Request) -> list[bytes]:
        nonlocal bulks
        if request.kind == GET:
            return [request.reply([(oid, 50) for oid in request.oids])]
        bulks += 1
        return [request.reply([(f"{TABLE}.{row}", row) for row in range(1, 11)])] if bulks == 1 else []

    async with awkward_agent(half) as (port, _):
        answer = await collector(port).collect(SnmpNeeds((CHARGE,), (TABLE,)), deadline=deadline())
    assert answer.values == {CHARGE: 50, **{f"{TABLE}.{row}": row for row in range(1, 11)}}
    assert answer.failed == {TABLE: QualityReason.TIMEOUT}


async def test_a_device_that_dies_in_the_middle_keeps_what_it_gave_and_ends_in_time() -> None:
    heard_so_far = 0

    def dying(request: Request) -> list[bytes]:
        nonlocal heard_so_far
        heard_so_far += 1
        return [request.reply(numbers(request.oids))] if heard_so_far == 1 else []

    async with awkward_agent(dying) as (port, heard):
        started = time.monotonic()
        answer = await collector(port, max_in_get=4).collect(SnmpNeeds(OIDS, (TABLE,)), deadline=deadline())
        assert time.monotonic() - started < 1
    assert answer.values == dict(numbers(OIDS[:4]))
    assert answer.failed == dict.fromkeys((*OIDS[4:], TABLE), QualityReason.TIMEOUT)
    assert len(heard) <= 5


def test_targets_say_what_is_missing_and_never_show_a_secret() -> None:
    with pytest.raises(ValueError, match="needs a community"):
        SnmpTarget("ups")
    with pytest.raises(ValueError, match="at least 8 characters"):
        SnmpTarget("ups", version="v3", user="u", auth="sha256", auth_key="short")
    with pytest.raises(ValueError, match="rot13"):
        SnmpTarget("ups", version="v3", user="u", auth="rot13", auth_key="long-enough")
    target = SnmpTarget(
        "ups", version="v3", user="u", auth="sha256", auth_key="sesame-a1", priv="aes256", priv_key="sesame-p2"
    )
    assert "sesame" not in f"{target!r} {target}"
    assert "hush" not in repr(SnmpTarget("ups", community="hush"))
