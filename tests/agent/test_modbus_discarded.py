"""What a Modbus line throws away is counted where an operator looks."""

from pathlib import Path

import httpx

from tests.agent.running import running, write_config
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
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
