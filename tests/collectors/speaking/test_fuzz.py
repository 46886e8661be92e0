"""Random bytes for answers: no crash, no value, no poll over its deadline."""

import random
import time

import pytest

from collectors.device import ModbusLinks, ModbusTarget, SnmpTarget
from collectors.modbus.target import Framing
from tests.collectors.speaking.awkward_agent import Request, awkward_agent
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.collectors.speaking.profiles import poller, probes, system_clock, ups, values

DEADLINE_S = 0.15


def spoilt(good: bytes, dice: random.Random) -> bytes:
    """A good answer with some bytes changed, cut or added; or nothing but noise."""
    data = bytearray(good)
    match dice.randrange(4):
        case 0:
            return dice.randbytes(dice.randrange(1, 300))
        case 1:
            return bytes(data[: dice.randrange(1, len(data))])
        case 2:
            return bytes(data) + dice.randbytes(dice.randrange(1, 40))
        case _:
            for _ in range(dice.randrange(1, 4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            return bytes(data)


@pytest.mark.parametrize("seed", range(25))
async def test_snmp(seed: int) -> None:
    dice = random.Random(seed)
    async with awkward_agent(lambda request: [spoilt(answer(request), dice) for _ in range(3)]) as (port, _):
        target = SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.05)
        device = poller(target, ups(), deadline_s=DEADLINE_S, interval_s=0.001)
        for _ in range(3):
            started = time.monotonic()
            outcome = await device.poll()
            assert time.monotonic() - started < DEADLINE_S + 0.2
            assert "device.communication" in values(outcome)


def answer(request: Request) -> bytes:
    return request.reply([(oid, 50) for oid in request.oids])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("rtu", [False, True])
async def test_modbus_gives_no_value_that_was_not_sent_for_that_register(seed: int, rtu: bool) -> None:
    dice = random.Random(seed)

    async def reply(frame: Frame, say: Say) -> None:
        good = frame.answer()
        # The header is what an answer is known by; a value spoilt inside a right frame cannot be told by anybody.
        await say(spoilt(good[:9], dice) + (good[9:] if dice.random() < 0.5 else b""))

    async with odd_gateway(reply, rtu=rtu) as (port, _):
        links = ModbusLinks(clock=system_clock())
        target = ModbusTarget("127.0.0.1", port=port, timeout_s=0.05, framing=Framing.RTU if rtu else Framing.TCP)
        device = poller(target, probes([0x0101]), links=links, deadline_s=DEADLINE_S, interval_s=0.001)
        for _ in range(3):
            started = time.monotonic()
            outcome = await device.poll()
            assert time.monotonic() - started < DEADLINE_S + 0.2
            assert values(outcome).get("room.temperature#probe/257") in (None, 25.7)
        await links.close()
