"""What polling taught the agent outlives it: holes, sizes, and the turns of counters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pymodbus.constants import ExcCodes

from agent.app import Agent
from agent.learnt import read, write
from collectors.device import PolledDevice, SnmpTarget, open_device
from collectors.learnt import Learnt, LearntPace
from collectors.modbus.client import ModbusLinks
from tests.agent.running import running, write_config
from tests.collectors.speaking.gateway import Frame, Say, Unit, gateway, odd_gateway
from tests.collectors.speaking.profiles import system_clock, ups
from tests.support.peers import until_async

METER = {
    "title": {"en": "Meter", "zh": "电表"},
    "vendor": "test",
    "model": "meter",
    "kind": "meter",
    "protocol": "modbus",
    "maturity": "documented",
    "provenance": "made for the tests of the agent",
    "modbus": {"gap": 8, "max_block": 50},
}


def site(folder: Path, port: int, points: Sequence[dict[str, Any]], **more: Any) -> Path:
    target = folder / "profiles" / "test" / "meter.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump({**METER, "points": list(points)}, allow_unicode=True))
    device = {"id": "meter-1", "profile": "test/meter", "address": "127.0.0.1", "port": port, "interval": "1s", **more}
    return write_config(folder, devices=[device], profiles={"folders": ["profiles"]})


async def test_a_hole_is_not_looked_for_again_after_a_restart_or_a_reload(tmp_path: Path) -> None:
    def refuses(address: int, count: int) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_ADDRESS if address <= 12 < address + count else None

    unit = Unit(refuses=refuses)
    points = [{"metric": f"unmapped.test.p{at}", "from": {"holding": at}} for at in (10, 12, 14)]
    async with gateway({1: unit}) as port:
        config = site(tmp_path, port, points)
        async with running(config) as agent:
            await until_async(lambda: agent.figures.polls["ok"] >= 2)
        assert (3, 10, 5) in unit.asked
        unit.asked.clear()
        async with running(config) as agent:
            await until_async(lambda: agent.figures.polls["ok"] >= 1)
            assert {asked for asked in unit.asked if asked[1] <= 12 < asked[1] + asked[2]} == set()
            site(tmp_path, port, points, deadline="900ms")
            agent.reload()
            await until_async(lambda: agent.figures.reloads["changed"] == 1)
            polled = agent.figures.polls["ok"]
            await until_async(lambda: agent.figures.polls["ok"] > polled)
            assert {asked for asked in unit.asked if asked[1] <= 12 < asked[1] + asked[2]} == set()


async def shown(agent: Agent) -> list[float]:
    async with httpx.AsyncClient() as client:
        lines = (await client.get(agent.metrics_url)).text.splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith("coldaisle_power_energy")]


async def shows(agent: Agent, wanted: float) -> bool:
    return await shown(agent) == [wanted]


async def test_the_turns_of_a_counter_survive_a_restart(tmp_path: Path) -> None:
    raw = 65_530

    async def reply(frame: Frame, say: Say) -> None:
        await say(frame.answer(values=[raw] * frame.count))

    points = [{"metric": "power.energy", "from": {"holding": 0, "unit": "Wh", "wraps_at": 65_536}}]
    async with odd_gateway(reply) as (port, _):
        config = site(tmp_path, port, points)
        async with running(config) as agent:
            await until_async(lambda: agent.figures.polls["ok"] >= 1)
            raw = 10
            await until_async(lambda: shows(agent, 65_546.0))
        raw = 12
        async with running(config) as agent:
            await until_async(lambda: agent.figures.polls["ok"] >= 1)
            assert await shown(agent) == [65_548.0]


async def test_the_turns_of_a_silent_device_survive_restarts_and_a_reload(tmp_path: Path) -> None:
    raw, silent = 65_530, False

    async def reply(frame: Frame, say: Say) -> None:
        await say(b"" if silent else frame.answer(values=[raw] * frame.count))

    # A unit may lack what has an `absent` value, so its counter is met anew with its first answer, as table rows are.
    source = {"holding": 0, "unit": "Wh", "wraps_at": 65_536, "absent": [0]}
    points = [{"metric": "power.energy", "from": source}]
    async with odd_gateway(reply) as (port, _):
        config = site(tmp_path, port, points)
        async with running(config) as agent:
            await until_async(lambda: agent.figures.polls["ok"] >= 1)
            raw = 10
            await until_async(lambda: shows(agent, 65_546.0))
        silent = True
        async with running(config) as agent:
            await until_async(lambda: agent.figures.polls["unreachable"] >= 1)
            site(tmp_path, port, points, deadline="900ms")
            agent.reload()
            await until_async(lambda: agent.figures.reloads["changed"] == 1)
        raw, silent = 12, False
        async with running(config) as agent:
            await until_async(lambda: shows(agent, 65_548.0))


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"version":2,"devices":{}}', b"\xff\xfe", b'{"version":1,"devices":{"a":7}}']
)
async def test_a_file_that_makes_no_sense_costs_what_was_in_it(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal.learnt.json").write_bytes(content)
    config = site(tmp_path, 1, [{"metric": "unmapped.test.p", "from": {"holding": 1}}])
    async with running(config):
        pass
    assert "what was learnt of the devices is lost" in caplog.text
    assert b'"meter-1"' in (tmp_path / "journal.learnt.json").read_bytes()


def test_the_size_of_batches_is_taken_up_and_tried_anew_a_day_after_it_shrank() -> None:
    clock = system_clock()
    device = PolledDevice("ups-1", ups(), SnmpTarget("127.0.0.1", community="public"), 10.0, 5.0)
    poller = open_device(device, clock=clock, modbus_links=ModbusLinks(clock=clock))
    place, shrunk = "snmp v2c 127.0.0.1:161", round(clock.now().timestamp() * 1000) - 3_600_000
    small = LearntPace(batch=3, bulk=True, rows=5, ceiling=9, shrunk_at=shrunk)
    poller.recall(Learnt("bench/device", place, pace=small))
    kept = poller.learnt()
    assert kept.pace is not None
    assert (kept.pace.batch, kept.pace.rows, kept.pace.ceiling) == (3, 5, 9)
    assert abs((kept.pace.shrunk_at or 0) - shrunk) < 1000
    # What was learnt at another address, or by another profile, is of another device.
    other = open_device(device, clock=clock, modbus_links=ModbusLinks(clock=clock))
    other.recall(Learnt("bench/device", "snmp v2c 127.0.0.2:161", pace=small))
    other.recall(Learnt("bench/other", place, pace=small))
    assert other.learnt().pace != small


def test_what_would_not_be_read_again_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.learnt.json"
    write(path, {"ups-1": Learnt("bench/device", "here")})
    before = path.read_bytes()
    monkeypatch.setattr("agent.learnt.MAX_BYTES", len(before))
    with pytest.raises(OSError, match="would be read again"):
        write(path, {"ups-1": Learnt("bench/device", "here"), "ups-2": Learnt("bench/device", "there")})
    assert path.read_bytes() == before
    assert list(read(path).devices) == ["ups-1"]
