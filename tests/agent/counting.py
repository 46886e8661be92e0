"""Modbus units whose every register says how often the unit was read: a lost or doubled reading shows as a number."""

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.collectors.speaking.gateway import Frame, Say, odd_gateway

POINTS = 100


@dataclass(slots=True)
class CountingGateway:
    port: int = 0
    reads: Counter[int] = field(default_factory=Counter)
    answered: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


@asynccontextmanager
async def counting_gateway() -> AsyncIterator[CountingGateway]:
    """A gateway on a free port; `reads` counts the answers by unit, `answered` has their times (monotonic s)."""
    gateway = CountingGateway()

    async def reply(frame: Frame, say: Say) -> None:
        gateway.reads[frame.unit] += 1
        gateway.answered[frame.unit].append(time.monotonic())
        await say(frame.answer(values=[gateway.reads[frame.unit]] * frame.count))

    async with odd_gateway(reply) as (port, _):
        gateway.port = port
        yield gateway


def write_profile(folder: Path) -> Path:
    """A folder of profiles with `test/counter`: POINTS registers of one block. Returns the folder."""
    profile = {
        "title": {"en": "Counting unit", "zh": "计数器"},
        "vendor": "test",
        "model": "counter",
        "kind": "meter",
        "protocol": "modbus",
        "maturity": "documented",
        "provenance": "made for the tests of the agent",
        "modbus": {"gap": 0, "max_block": 125, "pause_ms": 0},
        "points": [{"metric": f"unmapped.test.p{i:03}", "from": {"holding": i, "type": "u16"}} for i in range(POINTS)],
    }
    target = folder / "profiles" / "test" / "counter.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(profile, allow_unicode=True))
    return folder / "profiles"


def units(port: int, count: int, **further: Any) -> list[dict[str, Any]]:
    """Devices unit-1 to unit-N of a gateway, each read every second; further: more of what a device may say."""
    return [
        {
            "id": f"unit-{number}",
            "profile": "test/counter",
            "address": "127.0.0.1",
            "port": port,
            "unit": number,
            "interval": "1s",
            **further,
        }
        for number in range(1, count + 1)
    ]
