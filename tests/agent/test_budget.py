"""A metered link: what is packed, thinned and never delayed."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from agent.budget import (
    AROUND_BLOCK,
    HEALTH_BLOCK,
    KEEP_ALIVE,
    MAX_LEVEL,
    MONTH_S,
    PACK_S,
    SAVED_S,
    Budget,
)
from agent.journal import Store
from agent.journal.sql import StoreFull
from facility.clock import now_ms
from facility.wire import Kind
from tests.agent.ledger import Ledger
from tests.agent.running import running, write_config
from tests.agent.test_uplink import bench
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async


def month(budget: Budget, block: int) -> tuple[float, set[int]]:
    """A month of blocks of `block` bytes at spacing 0, thinned in proportion; megabytes spent, and the levels seen."""
    now, spent, levels = 0.0, 0.0, set()
    while now < MONTH_S:
        budget.judge(now)
        levels.add(budget.level)
        # Twice a minute a sample without thinning.
        size = block if budget.spacing_ms == 0 else block * 30_000 * budget.every_s / 60 / budget.spacing_ms
        budget.spend(int(size), readings=True)
        spent += size + AROUND_BLOCK + KEEP_ALIVE * budget.every_s / 30
        now += budget.every_s
    return spent / 1e6, levels


@pytest.mark.parametrize("mb", [50.0, 100.0, 200.0, 1000.0])
def test_a_month_stays_in_its_budget(mb: float) -> None:
    spent, levels = month(Budget(mb, 0.0), 6_000)  # 43,200 such blocks: 285 MB
    assert spent <= mb * (1 + SAVED_S / MONTH_S) + 1
    assert (levels == {0}) is (mb == 1000.0)
    # What may be spent is: no thinner than it must be.
    assert spent >= min(mb, 285.0) * 0.7


def spent_in(budget: Budget, days: int, *, others: int) -> int:
    """Bytes of readings that went in these days, of which each minute a block waits, beside `others` a minute."""
    went = 0
    for minute in range(days * 1440):
        budget.spend(others, readings=False)
        if budget.has_left(minute * 60.0):
            budget.spend(1000, readings=True)
            went += 1000 + AROUND_BLOCK
    return went


def test_what_keeps_a_session_alive_is_in_the_budget() -> None:
    often, seldom = (spent_in(Budget(80.0, 0.0, keepalive_s=each), 10, others=0) for each in (30.0, 600.0))
    tenth = KEEP_ALIVE * MONTH_S / 3 * (1 / 30 - 1 / 600)
    assert seldom - often == pytest.approx(tenth, rel=0.02)


@pytest.mark.parametrize("mb", [10.0, 50.0])
def test_readings_have_a_quarter_of_a_budget_that_the_rest_overdraws(mb: float) -> None:
    budget = Budget(mb, 0.0, keepalive_s=30.0)
    assert spent_in(budget, 30, others=HEALTH_BLOCK) == pytest.approx(mb * 1e6 * 0.25, rel=0.02)
    budget = Budget(mb, 0.0, keepalive_s=5.0)
    for minute in range(30 * 1440):
        budget.judge(minute * 60.0)
    assert budget.level == 0, "thinning a few readings would save nothing"


@pytest.mark.parametrize(("tls", "sessions"), [(False, 22), (True, 6)])
def test_each_session_is_in_the_budget(tls: bool, sessions: int) -> None:
    budget, begun = Budget(20.0, 0.0), 0
    while budget._balance > 0:
        budget.connect(tls=tls)
        begun += 1
    assert begun == sessions


@pytest.mark.peer("mosquitto")
async def test_a_disk_that_refuses_sends_readings_while_the_month_bears_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mosquitto: Mosquitto
) -> None:
    spent_out = Budget(10.0, asyncio.get_running_loop().time())
    spent_out.spend(10_000_000, readings=True)

    def refuse(*_: Any, **__: Any) -> None:
        raise StoreFull("no room")

    async with Ledger(mosquitto.host, mosquitto.port) as ledger, bench(tmp_path, mosquitto, budget=spent_out) as it:
        await until_async(lambda: it.uplink.connected)
        with monkeypatch.context() as patched:
            patched.setattr(Store, "commit", refuse)
            await it.keep(1.0)
            assert it.journal.degraded
            it.journal.append(Kind.ALARMS, [{"snapshot": [], "at": 1}], at=now_ms(it.clock))
            await it.journal.commit()
            await until_async(lambda: ledger.items("alarms"))
            assert ledger.items("readings") == []
            spent_out.spend(-20_000_000, readings=True)
            await until_async(lambda: ledger.items("readings"))


@pytest.mark.peer("mosquitto")
async def test_what_is_sent_and_not_acknowledged_is_spent(tmp_path: Path, mosquitto: Mosquitto) -> None:
    budget = Budget(1000.0, asyncio.get_running_loop().time())
    async with bench(tmp_path, mosquitto, budget=budget) as it:
        await until_async(lambda: it.uplink.connected)
        before = budget._balance
        mosquitto.send(signal.SIGSTOP)
        try:
            it.journal.append(Kind.ALARMS, [{"snapshot": [], "at": 1}], at=now_ms(it.clock))
            await it.journal.commit()
            await until_async(lambda: it.uplink.in_flight)
            await until_async(lambda: budget._balance < before - AROUND_BLOCK)
            assert it.figures.sent == {}
        finally:
            mosquitto.send(signal.SIGCONT)


def test_the_spacing_is_bounded() -> None:
    budget = Budget(10.0, 0.0)
    for minute in range(1000):
        budget.spend(1_000_000, readings=True)
        budget.judge(minute * PACK_S)
    assert budget.level == MAX_LEVEL
    assert budget.spacing_ms == 32 * 60_000


@pytest.mark.peer("mosquitto")
async def test_readings_wait_for_their_packing_and_alarms_do_not(tmp_path: Path, mosquitto: Mosquitto) -> None:
    spent_out = Budget(10.0, asyncio.get_running_loop().time())
    spent_out.spend(10_000_000, readings=True)
    async with (
        Ledger(mosquitto.host, mosquitto.port) as ledger,
        bench(tmp_path, mosquitto, before=20, budget=spent_out) as it,
    ):
        await until_async(lambda: ledger.items("readings"))
        # All of one second: one sample is kept, in one block.
        assert len(ledger.blocks) == 1
        assert it.figures.thinned == 19
        await it.keep(99.0)
        it.journal.append(Kind.ALARMS, [{"snapshot": [], "at": 1}], at=now_ms(it.clock))
        await it.journal.commit()
        await until_async(lambda: ledger.items("alarms"))
        assert len(ledger.items("readings")) == 1, "the reading waits for the next packing, the alarm went by"
        assert [what for what, _ in it.notices] == ["thinning"]


@pytest.mark.peer("mosquitto")
@pytest.mark.parametrize(("uplink", "said"), [({}, (None, None, None)), ({"budget_mb_month": 50}, (PACK_S, 0.0, 0))])
async def test_health_says_how_readings_are_sent(
    tmp_path: Path, mosquitto: Mosquitto, uplink: dict[str, int], said: tuple[float | None, float | None, int | None]
) -> None:
    config = write_config(tmp_path, uplink={"broker": mosquitto.url, **uplink})
    async with Ledger(mosquitto.host, mosquitto.port) as ledger, running(config):
        await until_async(lambda: ledger.items("health"))
    (item,) = ledger.items("health")
    assert (item.get("readings_every_s"), item.get("spacing_s"), item.get("thinned")) == said
