"""A phone network of 512 kbit/s after an outage: the backlog drains over it, and an alarm does not wait for it."""

import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from facility.clock import now_ms
from facility.reading import Reading
from facility.wire import Kind
from tests.agent.ledger import Ledger, committed
from tests.agent.test_uplink import Bench, bench
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async
from tests.support.slow_link import slow_link

KBIT_S = 512
# As an outage is kept in (ADR 0014): 5,000 readings, some 20 KB each. Over this link 13 seconds' worth.
BLOCKS, READINGS = 40, 5_000


async def outage(it: Bench) -> None:
    """What a site of 500 points took each second meanwhile, merged."""
    chance, at = random.Random(1), now_ms(it.clock) - BLOCKS * 10_000
    for _ in range(BLOCKS):
        taken = []
        for _ in range(READINGS // 500):
            at += 1_000
            taken += [
                Reading("t-1", "room.temperature", f"probe/{i}", round(chance.uniform(18, 30), 6), at)
                for i in range(500)
            ]
        it.journal.take(taken)
        await it.journal.commit()


@pytest.mark.peer("mosquitto")
async def test_an_alarm_passes_a_backlog_on_a_slow_link_and_the_session_holds(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    arrived: list[float] = []

    def judge(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
        if header["kind"] == "alarms":
            arrived.append(time.monotonic())
        return committed(header, items)

    async with slow_link(mosquitto.port, KBIT_S) as port:
        broker = cast(Mosquitto, SimpleNamespace(host="127.0.0.1", port=port))
        async with Ledger(mosquitto.host, mosquitto.port, judge=judge) as ledger, bench(tmp_path, broker) as it:
            await outage(it)
            await until_async(lambda: len(ledger.blocks) >= 2, timeout=15)
            raised = time.monotonic()
            it.journal.append(Kind.ALARMS, [{"snapshot": [], "at": 1}], at=now_ms(it.clock))
            await it.journal.commit()
            await until_async(lambda: arrived, timeout=15)
            assert arrived[0] - raised < 5.0
            assert len(ledger.blocks) < BLOCKS // 2, "it came in the middle of the backlog"
            await it.idle()
    assert it.figures.connections == 1
    assert set(ledger.deliveries.values()) == {1}
    assert len(ledger.blocks) == BLOCKS + 1
    assert sum(ledger.sizes.values()) > 10 * KBIT_S * 1000 / 8, "it took longer than a broker has for one answer"
