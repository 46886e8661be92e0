"""What a Modbus line throws away is counted where an operator looks."""

import asyncio
import logging
from pathlib import Path

import httpx
import pytest

from collectors.device import ModbusTarget
from collectors.modbus.client import TOLD_EVERY, ModbusLinks
from collectors.modbus.target import Framing
from tests.agent.running import running, write_config
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.collectors.speaking.profiles import poller, probes, system_clock
from tests.support.peers import until_async

SERIES = "coldaisle_agent_modbus_discarded_total"


async def test_frames_thrown_away_are_counted_by_reason(tmp_path: Path) -> None:
    async def reply(frame: Frame, say: Say) -> None:
        # Late to a question nobody asked, then the answer.
        await say(frame.answer(transaction=frame.transaction + 1000) + frame.answer(values=[250] * frame.count))

    async with odd_gateway(reply) as (port, _):
        device = {"id": "th-1", "profile": "generic/xy-md02", "address": "127.0.0.1", "port": port, "unit": 1}
        config = write_config(tmp_path, devices=[{**device, "interval": "1s", "room": "hall"}], rooms=[{"id": "hall"}])
        async with running(config) as agent, httpx.AsyncClient() as client:
            await until_async(lambda: agent.figures.polls["ok"] >= 2)
            lines = (await client.get(agent.metrics_url)).text.splitlines()
    counted = {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line.startswith(SERIES)}
    assert set(counted) == {SERIES + '{reason="late"}'}
    assert counted[SERIES + '{reason="late"}'] >= 2


@pytest.mark.parametrize("framing", Framing)
async def test_an_answer_that_comes_when_nobody_waits_is_late_and_the_library_never_sees_it(
    framing: Framing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    waiting: list[tuple[Frame, Say]] = []

    async def reply(frame: Frame, say: Say) -> None:
        waiting.append((frame, say))

    async with odd_gateway(reply, rtu=framing is Framing.RTU) as (port, _):
        links = ModbusLinks(clock=system_clock())
        unit = poller(ModbusTarget("127.0.0.1", port=port, timeout_s=0.1, framing=framing), probes([5]), links=links)
        outcome = await unit.poll()
        assert outcome.problem is not None
        for frame, say in waiting:
            await say(frame.answer(values=[215]))
        await until_async(lambda: links.discarded["late"] == len(waiting))
        await unit.close()
    assert [record for record in caplog.records if record.name.startswith("pymodbus")] == []
    assert "discarded" in caplog.text


async def test_the_log_is_told_of_the_first_and_then_of_every_hundredth(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    many = 2 * TOLD_EVERY + 3

    async def reply(frame: Frame, say: Say) -> None:
        for _ in range(many):
            await say(frame.answer(transaction=frame.transaction + 1000))
            await asyncio.sleep(0.001)  # one at a time: the library drops the end of a longer run
        await say(frame.answer())

    async with odd_gateway(reply) as (port, _):
        links = ModbusLinks(clock=system_clock())
        unit = poller(ModbusTarget("127.0.0.1", port=port), probes([5]), links=links)
        assert (await unit.poll()).problem is None
        await until_async(lambda: links.discarded["late"] == many)
        await unit.close()
    told = [record for record in caplog.records if "discarded" in record.message]
    assert [getattr(record, "count", None) for record in told] == [1, TOLD_EVERY, 2 * TOLD_EVERY]
