"""Two workers in each other's way, on a database with locks of rows."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest
import sqlalchemy as sa

from facility.items import AlarmItem
from facility.wire import Answer, RejectedItem, Verdict
from server.db.session import WriteSession
from server.fleet import repository as fleet_repository
from server.fleet.models import Agent
from server.fleet.refs import AgentRef, SiteRef
from server.ingest.inbox import Message
from server.ingest.processor import Processor
from server.tickets.repository import next_number
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, TEMPERATURE, event, health, reading
from tests.server.ingest.wire_by_hand import catalog

pytestmark = pytest.mark.timeout(60)
CLASHES = "coldaisle_server_ingest_clashes_total"


@dataclass
class Numbers:
    """Takes the numbers of tickets for alarms: of these years, one after the other, and waits after the first."""

    years: Sequence[int]
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: list[str] = field(default_factory=list)

    async def apply(
        self, session: WriteSession, *, site: SiteRef, agent: AgentRef, items: Sequence[AlarmItem], now: datetime
    ) -> list[RejectedItem]:
        for year in self.years:
            self.numbers.append(await next_number(session, year))
            self.taken.set()
            await self.go_on.wait()
        return []


def worker(station: Station, alarms: Numbers) -> Processor:
    made = station.another()
    made._alarms = alarms
    return made


async def answers(processor: Processor, *sent: tuple[str, bytes, int]) -> list[Answer]:
    return [reply.answer for reply in await processor.take([Message(topic, payload) for topic, payload, _ in sent])]


async def clash(station: Station) -> list[Answer]:
    """Two workers take the rows of two years in opposite order; both have their first before they go on."""
    senders = [(await station.catalogued(code, **{f"th-{code}": TEMPERATURE}))[0] for code in ("aa", "zz")]
    one, other = Numbers([2026, 2027]), Numbers([2027, 2026])
    taking = [
        asyncio.create_task(answers(worker(station, alarms), sender.next("alarms", [event()])))
        for alarms, sender in zip((one, other), senders, strict=True)
    ]
    await asyncio.gather(one.taken.wait(), other.taken.wait())
    one.go_on.set()
    other.go_on.set()
    return [answer for told in await asyncio.gather(*taking) for answer in told]


async def test_a_transaction_that_another_was_in_the_way_of_is_done_again_at_once(station: Station) -> None:
    if station.server.db.dialect != "postgresql":
        return  # SQLite has one writer
    assert [answer.verdict for answer in await clash(station)] == [Verdict.COMMITTED] * 2
    assert station.counted(CLASHES, db="main") == 1
    async with station.server.db.read() as session:
        last = (await session.execute(sa.text("SELECT year, last FROM ticket_numbers ORDER BY year"))).all()
    assert [tuple(row) for row in last] == [(2026, 2), (2027, 2)]


async def test_readings_that_another_transaction_was_in_the_way_of_are_stored_at_once(station: Station) -> None:
    sender, known = await station.catalogued()
    if station.server.db.dialect != "postgresql":
        return
    async with station.store.db.write() as session:
        for statement in (
            "CREATE SEQUENCE clashes",  # counts on whatever is rolled back
            (
                "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF nextval('clashes') = 1 THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END IF;"
                " RETURN NEW; END $$"
            ),
            "CREATE TRIGGER clash BEFORE INSERT ON history_blocks FOR EACH ROW EXECUTE FUNCTION clash()",
        ):
            await session.execute(sa.text(statement))
    (answer,) = await station.take(sender.next("readings", [reading(21.5)], catalog=known))
    assert answer.verdict is Verdict.COMMITTED
    assert await station.values("th1") == [(AT, 21.5)]
    assert station.counted(CLASHES, db="history") == 1


async def test_agents_are_held_before_the_number_of_a_ticket_is_taken(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker has the number and goes on to the other agent, which the other worker has, going on to the number."""
    if station.server.db.dialect != "postgresql":
        return
    senders = [(await station.catalogued(code, **{f"th-{code}": TEMPERATURE}))[0] for code in ("aa", "zz")]
    ids = [(await station.agent(code)).id for code in ("aa", "zz")]
    (_, low), (high_id, high) = sorted(zip(ids, senders, strict=True), key=lambda pair: pair[0])
    first, second = Numbers([2026]), Numbers([2026])
    second.go_on.set()
    has_agent, locked_agent = asyncio.Event(), fleet_repository.locked_agent

    async def seen(session: WriteSession, agent_id: str) -> Agent | None:
        row = await locked_agent(session, agent_id)
        if agent_id == high_id:
            has_agent.set()
        return row

    monkeypatch.setattr(fleet_repository, "locked_agent", seen)
    number_then_agent = asyncio.create_task(
        answers(worker(station, first), low.next("alarms", [event()]), high.next("health", [health(AT)]))
    )
    await first.taken.wait()
    agent_then_number = asyncio.create_task(
        answers(
            worker(station, second),
            high.next("catalog", [catalog({"th-more": [(TEMPERATURE, "")]})]),
            high.next("alarms", [event()]),
        )
    )
    # Real locks are waited for in real time: without the order it has the agent by then, with it it has nothing.
    await came(has_agent, within_s=0.5)
    first.go_on.set()
    told = [answer for each in await asyncio.gather(number_then_agent, agent_then_number) for answer in each]
    assert [answer.verdict for answer in told] == [Verdict.COMMITTED] * 4
    assert station.counted(CLASHES, db="main") == 0


async def came(what: asyncio.Event, *, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await what.wait()
    except TimeoutError:
        return False
