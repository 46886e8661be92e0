"""Every answer of the centre, over a real broker: what the agent keeps, sends again, renumbers or sets aside."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.broker import Broker
from agent.budget import Budget
from agent.figures import Figures
from agent.journal import Journal, Store, ThreadOffload
from agent.outbox_policy import WINDOW
from agent.uplink import Uplink
from facility.catalog import Catalog
from facility.clock import SystemClock, now_ms
from facility.ids import new_id
from facility.reading import Reading
from facility.wire import Kind
from tests.agent.journals import MIB
from tests.agent.ledger import Ledger, committed
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async

pytestmark = pytest.mark.peer("mosquitto")


@dataclass
class Bench:
    """A journal and an uplink without devices."""

    journal: Journal
    uplink: Uplink
    clock: SystemClock
    figures: Figures
    notices: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    catalog: Catalog | None = None
    published: int = 0

    def connected(self) -> None:
        """Reports protocol: there is no engine here to give a snapshot."""

    def say_health(self) -> None:
        """Reports protocol: no disk refuses here."""

    def publish_catalog(self) -> None:
        """Reports protocol: `catalog` is what it has."""
        self.published += 1
        if self.catalog is not None:
            self.journal.append_catalog(self.catalog, self.catalog.digest(), at=now_ms(self.clock))

    def notice(self, what: str, detail: dict[str, str]) -> None:
        self.notices.append((what, detail))

    async def keep(self, value: float) -> None:
        """One reading in a block of its own."""
        self.journal.take([Reading("t-1", "room.temperature", "", value, now_ms(self.clock))])
        await self.journal.commit()

    async def idle(self) -> None:
        """Everything is answered."""
        await until_async(self._empty, timeout=30, what="an empty outbox")

    async def _empty(self) -> bool:
        await self.journal.commit()
        return sum(self.journal.stats().unsent_blocks.values()) == 0


@asynccontextmanager
async def bench(
    folder: Path, broker: Mosquitto, *, before: int = 0, backlog_rate: float = 1000.0, budget: Budget | None = None
) -> AsyncIterator[Bench]:
    """before: blocks that are in the journal before the uplink first connects."""
    clock = SystemClock(asyncio.sleep)
    offload = ThreadOffload("test journal")
    store = Store(folder / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
    journal = Journal(store, clock=clock, offload=offload, new_id=new_id)
    await journal.open()
    for number in range(before):
        journal.take([Reading("t-1", "room.temperature", "", float(number), now_ms(clock))])
        await journal.commit()
    figures = Figures()
    made: list[Bench] = []
    uplink = Uplink(
        Broker(broker.host, broker.port),
        site="s1",
        agent="edge-1",
        version="test",
        journal=journal,
        figures=figures,
        reports=_Late(made),
        clock=clock,
        backlog_rate=backlog_rate,
        budget=budget,
    )
    it = Bench(journal, uplink, clock, figures)
    made.append(it)
    task = asyncio.create_task(uplink.run())
    try:
        yield it
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()
        offload.close()


class _Late:
    """Hands reports to the bench that is made after the uplink."""

    def __init__(self, made: list[Bench]) -> None:
        self._made = made

    def connected(self) -> None:
        self._made[0].connected()

    def say_health(self) -> None:
        self._made[0].say_health()

    def publish_catalog(self) -> None:
        self._made[0].publish_catalog()

    def notice(self, what: str, detail: dict[str, str]) -> None:
        self._made[0].notice(what, detail)


async def test_at_most_32_blocks_wait_for_an_answer_and_alarms_still_pass(tmp_path: Path, mosquitto: Mosquitto) -> None:
    silent = Ledger(mosquitto.host, mosquitto.port, judge=lambda header, items: None)
    async with silent as ledger, bench(tmp_path, mosquitto, before=60) as it:
        await until_async(lambda: len(ledger.deliveries) >= WINDOW - 4)
        # The centre says nothing; an event still finds room, and the readings do not fill it.
        it.notices.clear()
        it.journal.append(Kind.EVENTS, [{"id": "e", "at": 1, "kind": "journal"}], at=now_ms(it.clock))
        await it.journal.commit()
        await until_async(lambda: len(ledger.deliveries) >= WINDOW - 3)
        assert it.uplink.in_flight == WINDOW - 3
        assert max(ledger.deliveries.values()) == 1
        ledger.judge = committed
    assert len(ledger.deliveries) == WINDOW - 3


async def test_a_rejected_block_is_set_aside_counted_and_not_sent_again(tmp_path: Path, mosquitto: Mosquitto) -> None:
    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        if items[0].get("value") == [2.0]:
            return {"verdict": "rejected", "reason": "corrupt", "detail": "as told"}
        return {"verdict": "committed"}

    async with Ledger(mosquitto.host, mosquitto.port, judge=judge) as ledger, bench(tmp_path, mosquitto) as it:
        for value in (1.0, 2.0, 3.0):
            await it.keep(value)
        await it.idle()
        assert [value for _, value in ledger.samples("t-1", "room.temperature")] == [1.0, 3.0]
        assert max(ledger.deliveries.values()) == 1
        assert it.figures.rejected == Counter({"corrupt": 1})
        assert [what for what, _ in it.notices] == ["block_rejected"]
        assert it.notices[0][1]["detail"] == "as told"


async def test_refused_items_of_a_taken_block_are_counted(tmp_path: Path, mosquitto: Mosquitto) -> None:
    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        rejected = [{"path": "[0].value[0]", "reason": "bad_item", "detail": "no"}]
        return {"verdict": "committed", "rejected": rejected}

    async with Ledger(mosquitto.host, mosquitto.port, judge=judge), bench(tmp_path, mosquitto) as it:
        await it.keep(1.0)
        await it.idle()
        assert it.figures.rejected == Counter({"bad_item": 1})
        assert it.notices[0][1]["first"].startswith("[0].value[0]: bad_item")


async def test_retry_is_sent_again_when_the_centre_said(tmp_path: Path, mosquitto: Mosquitto) -> None:
    asked = Counter[int]()

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        asked[header["seq"]] += 1
        if asked[header["seq"]] < 2:
            return {"verdict": "retry", "reason": "busy", "after_s": 0.1}
        return {"verdict": "committed"}

    async with Ledger(mosquitto.host, mosquitto.port, judge=judge) as ledger, bench(tmp_path, mosquitto) as it:
        await it.keep(1.0)
        await it.idle()
        assert [value for _, value in ledger.samples("t-1", "room.temperature")] == [1.0]
        assert set(asked.values()) == {2}
        assert it.figures.resent == 1


async def test_a_centre_that_begins_to_listen_is_sent_at_once_what_went_nowhere(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    dead = Ledger(mosquitto.host, mosquitto.port, judge=lambda header, items: None)
    async with dead as ledger, bench(tmp_path, mosquitto, before=60) as it:
        await until_async(lambda: len(ledger.deliveries) == WINDOW - 4)
        first = set(ledger.deliveries)
        # A new life of the centre: it knows nothing of these. By their own time they would be due in 30 s.
        ledger.judge = committed
        await ledger.begin("s1", "edge-1")
        async with asyncio.timeout(15):
            await it.idle()
        assert {ledger.deliveries[name] for name in first} == {2}
        assert it.figures.resent == WINDOW - 4
        assert len(ledger.blocks) == 60


async def test_a_centre_without_the_catalog_gets_it_first(tmp_path: Path, mosquitto: Mosquitto) -> None:
    known: set[str] = set()

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        if header["kind"] == "catalog":
            catalogs.append(items[0])
            # The first one is forgotten, as by a centre restored from an old backup.
            if len(catalogs) > 1:
                known.add(names)
        elif header["catalog"] not in known:
            return {"verdict": "retry", "reason": "need_catalog", "after_s": 0.1}
        return {"verdict": "committed"}

    catalogs: list[Any] = []
    catalog = Catalog(agent_version="test", config_digest="0" * 32)
    names = catalog.digest()
    async with Ledger(mosquitto.host, mosquitto.port, judge=judge) as ledger, bench(tmp_path, mosquitto) as it:
        it.journal.append_catalog(catalog, names, at=now_ms(it.clock))
        for value in (1.0, 2.0, 3.0):
            await it.keep(value)
        await it.idle()
        assert [value for _, value in ledger.samples("t-1", "room.temperature")] == [1.0, 2.0, 3.0]
        assert len(catalogs) == 2, "asked for by three blocks, sent once more"
        assert catalogs[0] == catalogs[1]


async def test_a_catalog_asked_for_again_says_which_one_holds(tmp_path: Path, mosquitto: Mosquitto) -> None:
    old, new = Catalog(agent_version="test"), Catalog(agent_version="test", config_digest="0" * 32)
    known: set[str] = set()
    headers: list[dict[str, Any]] = []

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        if header["kind"] == "catalog":
            headers.append(header)
            known.update([old.digest()] if len(headers) > 2 else [])
        elif header["catalog"] not in known:
            return {"verdict": "retry", "reason": "need_catalog", "after_s": 0.1}
        return {"verdict": "committed"}

    async with Ledger(mosquitto.host, mosquitto.port, judge=judge), bench(tmp_path, mosquitto) as it:
        it.journal.append_catalog(old, old.digest(), at=now_ms(it.clock))
        await it.keep(1.0)
        it.journal.append_catalog(new, new.digest(), at=now_ms(it.clock))
        await it.idle()
        assert [header["catalog"] for header in headers] == [old.digest(), new.digest(), new.digest()]
        assert {header["sent_by"] for header in headers} == {it.journal.stream}


async def test_what_an_earlier_opening_left_is_sent_by_the_present_one(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with bench(tmp_path, mosquitto) as it:
        await until_async(lambda: it.uplink.connected)
        await it.keep(1.0)
        left = it.journal.stream
    async with Ledger(mosquitto.host, mosquitto.port) as ledger, bench(tmp_path, mosquitto) as it:
        await it.keep(2.0)
        await it.idle()
        assert {(stream, header["sent_by"]) for (stream, _), (header, _) in ledger.blocks.items()} == {
            (left, it.journal.stream),
            (it.journal.stream, it.journal.stream),
        }


async def test_a_catalog_that_is_nowhere_any_more_is_replaced_by_the_present_one(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    catalog = Catalog(agent_version="test")
    names = catalog.digest()

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        if header["kind"] == "readings" and header["catalog"] != names:
            return {"verdict": "retry", "reason": "need_catalog", "after_s": 0.1}
        return {"verdict": "committed"}

    async with Ledger(mosquitto.host, mosquitto.port, judge=judge) as ledger, bench(tmp_path, mosquitto) as it:
        it.journal._taken.catalog = "f" * 32  # lost with a corrupt file
        await it.keep(1.0)
        it.journal.append_catalog(catalog, names, at=now_ms(it.clock))
        await it.idle()
        assert [value for _, value in ledger.samples("t-1", "room.temperature")] == [1.0]
        (header,) = [header for header, _ in ledger.blocks.values() if header["kind"] == "readings"]
        assert header["catalog"] == names


async def test_a_present_catalog_that_is_lost_is_published_anew_and_not_asked_for_in_a_loop(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    catalog = Catalog(agent_version="test")
    known: set[str] = set()
    asked = 0

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        nonlocal asked
        if header["kind"] == "catalog":
            known.add(header["catalog"])
        elif header["catalog"] not in known:
            asked += 1
            return {"verdict": "retry", "reason": "need_catalog", "after_s": 0.1}
        return {"verdict": "committed"}

    async with Ledger(mosquitto.host, mosquitto.port, judge=judge) as ledger, bench(tmp_path, mosquitto) as it:
        it.journal._taken.catalog = catalog.digest()  # its block was lost with a file set aside
        for number in range(10):
            it.journal.take([Reading("t-1", "room.temperature", "", float(number), now_ms(it.clock))])
            await it.journal.commit()
        await until_async(lambda: asked >= 20, timeout=5)
        assert it.published == 1, "once for all who ask, while the agent has none"
        assert asked <= 40, "each is sent again when the centre said"
        it.catalog = catalog
        it.uplink._catalogs_offered.clear()
        await it.idle()
        assert len(ledger.samples("t-1", "room.temperature")) == 10
        assert {header["catalog"] for header, _ in ledger.blocks.values()} == {catalog.digest()}


async def test_a_conflict_gets_a_new_number_and_nothing_is_lost(tmp_path: Path, mosquitto: Mosquitto) -> None:
    refused: set[int] = set()

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        if header["seq"] == 2 and not refused:
            refused.add(2)
            return {"verdict": "conflict"}
        return {"verdict": "committed"}

    async with Ledger(mosquitto.host, mosquitto.port, judge=judge) as ledger, bench(tmp_path, mosquitto) as it:
        for value in (1.0, 2.0, 3.0):
            await it.keep(value)
        await it.idle()
        assert [value for _, value in ledger.samples("t-1", "room.temperature")] == [1.0, 2.0, 3.0]
        assert sorted(seq for _, seq in ledger.blocks) == [1, 3, 4]
        assert [what for what, _ in it.notices] == ["block_renumbered"]


async def test_status_is_online_then_offline_by_its_own_goodbye(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with Ledger(mosquitto.host, mosquitto.port) as ledger:
        async with bench(tmp_path, mosquitto):
            await until_async(lambda: ledger.statuses and ledger.statuses[-1]["state"] == "online")
        await until_async(lambda: ledger.statuses[-1]["state"] == "offline")
        assert ledger.statuses[-1]["goodbye"] is True, "it was told to stop"


async def test_live_readings_do_not_wait_behind_a_backlog(tmp_path: Path, mosquitto: Mosquitto) -> None:
    # Sixty blocks from before the start, at twenty a second, and one that is taken meanwhile.
    async with (
        Ledger(mosquitto.host, mosquitto.port) as ledger,
        bench(tmp_path, mosquitto, before=60, backlog_rate=20.0) as it,
    ):
        await until_async(lambda: len(ledger.order) >= 20)
        await it.keep(99.0)
        await it.idle()
    live = next(name for name, (_, items) in ledger.blocks.items() if items[0]["value"] == [99.0])
    place = ledger.order.index(live)
    assert place < 45, "the live block went before the rest of the backlog"
    assert len(ledger.order) == 61
    backlog = [seq for stream, seq in ledger.order if (stream, seq) != live]
    assert backlog == sorted(backlog)
