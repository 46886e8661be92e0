"""Tables over the wire: how many rows at once, what bounds a walk, and rows that an erring agent leaves out."""

import time
from collections.abc import Callable

from collectors.device import SnmpTarget
from collectors.exchange import SnmpAnswer, SnmpNeeds
from collectors.snmp.client import SnmpClient
from collectors.snmp.collect import MAX_WALK_BYTES, SnmpCollector
from collectors.snmp.pace import MAX_REPETITIONS, MOST_REPETITIONS, REGROW_S, Pace
from facility.reading import QualityReason
from tests.collectors.speaking.awkward_agent import GEN_ERR, GET, GETBULK, GETNEXT, Request, arcs, awkward_agent, v2c
from tests.collectors.speaking.profiles import system_clock

TABLE = "1.3.6.1.4.1.99.2"
OTHER = "1.3.6.1.4.1.99.3"
BEHIND = "1.3.6.1.4.1.99.9.0"  # what stands behind the tables, as in nearly every MIB
UPTIME = "1.3.6.1.2.1.1.3.0"


class Tables:
    """An agent with tables of numbered rows, as large as a test says; GETBULK answers at most `most` rows."""

    def __init__(self, rows: dict[str, int], *, most: int = 100) -> None:
        self.rows = rows
        self.most = most
        self.silent_from = 10_000  # a GETBULK of so many repetitions is not answered
        self.repetitions: list[int] = []
        self.broken: set[str] = set()

    def __call__(self, request: Request) -> list[bytes]:
        have = [f"{root}.{row}" for root in sorted(self.rows) for row in range(1, self.rows[root] + 1)] + [BEHIND]
        if request.kind == GET:
            if self.broken & set(request.oids):
                return [request.reply(error=GEN_ERR)]
            known = [*have, UPTIME]
            return [request.reply([(oid, _number(oid) if oid in known else None) for oid in request.oids])]
        count = 1
        if request.kind == GETBULK:
            count = min(int(v2c.apiBulkPDU.get_max_repetitions(request.pdu)), self.most)
            self.repetitions.append(count)
            if count >= self.silent_from:
                return []
        after = [oid for oid in have if arcs(oid) > arcs(request.oids[0])][:count]
        if self.broken & set(after):
            return [request.reply(error=GEN_ERR)]
        return [request.reply([(oid, _number(oid)) for oid in after])]


def _number(oid: str) -> int:
    return int(oid.rsplit(".", 1)[1])


def rows(root: str, count: int) -> dict[str, int]:
    """What a poll of a table with so many rows brings, the agent's uptime with it."""
    return {f"{root}.{row}": row for row in range(1, count + 1)} | {UPTIME: 0}


class Device:
    """A collector of an agent on a port."""

    def __init__(self, port: int, *, bulk: bool = True, timeout_s: float = 0.1) -> None:
        clock = system_clock()
        target = SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=timeout_s, bulk=bulk)
        self.collector = SnmpCollector(target, SnmpClient(target, clock=clock), clock=clock)

    async def poll(self, *walks: str, within_s: float = 5.0) -> SnmpAnswer:
        return await self.collector.collect(SnmpNeeds((UPTIME,), walks), deadline=time.monotonic() + within_s)


async def test_repetitions_start_low_grow_with_long_tables_and_never_ask_beyond_a_short_one() -> None:
    agent = Tables({TABLE: 200, OTHER: 3})
    async with awkward_agent(agent) as (port, heard):
        device = Device(port)
        assert (await device.poll(TABLE, OTHER)).values == rows(TABLE, 200) | rows(OTHER, 3)
        assert agent.repetitions[0] == MAX_REPETITIONS
        for _ in range(4):
            await device.poll(TABLE, OTHER)
        agent.repetitions.clear()
        heard.clear()
        assert (await device.poll(TABLE, OTHER)).values == rows(TABLE, 200) | rows(OTHER, 3)
        assert agent.repetitions == [MOST_REPETITIONS] * 5 + [4]


async def test_repetitions_shrink_in_the_same_poll_and_stay_small() -> None:
    agent = Tables({TABLE: 30})
    agent.silent_from = 10
    async with awkward_agent(agent) as (port, _):
        device = Device(port)
        first = await device.poll(TABLE)
        assert first.values == rows(TABLE, 30)
        assert not first.failed
        for _ in range(5):  # it is tried in full size once more, and then no more
            assert (await device.poll(TABLE)).values == rows(TABLE, 30)
        assert agent.repetitions.count(10) == 2
        agent.repetitions.clear()
        await device.poll(TABLE)
        assert set(agent.repetitions) == {9}


async def test_bulk_can_be_switched_off() -> None:
    async with awkward_agent(Tables({TABLE: 3})) as (port, heard):
        assert (await Device(port, bulk=False).poll(TABLE)).values == rows(TABLE, 3)
        assert {request.kind for request in heard} == {GET, GETNEXT}


async def test_a_row_that_errs_hides_none_of_those_behind_it() -> None:
    agent = Tables({TABLE: 8})
    async with awkward_agent(agent) as (port, _):
        device = Device(port)
        assert (await device.poll(TABLE)).values == rows(TABLE, 8)
        agent.broken = {f"{TABLE}.5"}
        expected = {oid: row for oid, row in rows(TABLE, 8).items() if row != 5}
        assert (await device.poll(TABLE)).values == expected
        assert (await device.poll(TABLE)).values == expected
        agent.broken.clear()
        assert (await device.poll(TABLE)).values == rows(TABLE, 8)


async def test_a_table_that_shrank_is_believed_and_looked_after_once() -> None:
    agent = Tables({TABLE: 8})
    async with awkward_agent(agent) as (port, heard):
        device = Device(port)
        await device.poll(TABLE)
        agent.rows[TABLE] = 5
        answer = await device.poll(TABLE)
        assert answer.values == rows(TABLE, 5)
        heard.clear()
        assert (await device.poll(TABLE)).values == rows(TABLE, 5)
        assert len(heard) == 2


async def test_a_walk_is_bounded_in_bytes() -> None:
    size = 1000

    def stout(request: Request) -> list[bytes]:
        if request.kind == GET:
            return [request.reply([(UPTIME, 0)])]
        after = int(request.oids[0].removeprefix(TABLE).lstrip(".") or 0)
        return [request.reply([(f"{TABLE}.{after + 1}", v2c.OctetString(b"x" * size))])]

    async with awkward_agent(stout) as (port, heard):
        answer = await Device(port).poll(TABLE)
        assert answer.failed == {TABLE: QualityReason.EXCEPTION}
        assert len(heard) <= MAX_WALK_BYTES // size + 2


async def test_a_table_without_end_leaves_time_for_the_next_one() -> None:
    tables = Tables({OTHER: 3})

    def endless(request: Request) -> list[bytes]:
        if request.oids[0].startswith(TABLE):
            time.sleep(0.02)  # a slow agent, and one that never comes to the end
            after = int(request.oids[0].removeprefix(TABLE).lstrip(".") or 0)
            return [request.reply([(f"{TABLE}.{after + 1}", 1)])]
        return tables(request)

    async with awkward_agent(endless) as (port, _):
        device = Device(port)
        started = time.monotonic()
        answer = await device.poll(TABLE, OTHER, within_s=0.6)
        assert time.monotonic() - started < 0.7
        assert answer.failed == {TABLE: QualityReason.TIMEOUT}
        assert rows(OTHER, 3).items() <= answer.values.items()
        assert device.collector.repetitions == MAX_REPETITIONS  # it was slow, not silent


def _after(pace: Pace, *steps: Callable[[Pace], None]) -> int:
    for step in steps:
        step(pace)
    return pace.repetitions


def test_pace_remembers_for_a_day() -> None:
    pace = Pace(batch=24, bulk=True)
    assert pace.batch_failed(6, now=0.0)
    assert not pace.batch_failed(12, now=1.0)
    assert _after(pace, lambda each: each.walk_failed(10, 2.0), lambda each: each.walk_failed(10, 3.0)) == 5
    for _ in range(9):
        pace.walked(500, pace.repetitions)
    assert (pace.batch, pace.repetitions) == (6, 9)
    pace.wake(REGROW_S)
    assert (pace.batch, pace.repetitions) == (6, 9)
    pace.wake(REGROW_S + 4)
    assert (pace.batch, pace.repetitions) == (24, MAX_REPETITIONS)


def test_pace_gives_up_bulk_only_where_it_brings_nothing() -> None:
    some, none = Pace(batch=24, bulk=True), Pace(batch=24, bulk=True)
    some.bulk_cut_short(5, 10, now=0.0)
    none.bulk_cut_short(0, 10, now=0.0)
    assert (some.repetitions, none.repetitions) == (5, 0)
    assert (some.repetitions_for(2), none.repetitions_for(2)) == (3, 0)
