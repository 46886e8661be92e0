"""The true agent in the test's own process, on a configuration written for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from agent.app import Agent, build
from agent.site import read_site
from facility.clock import SystemClock

ENVIRON = {"COMMUNITY": "public", "AUTH": "measure-twice", "PRIV": "cool-the-aisle"}


def write_config(folder: Path, *, broker: str | None = None, **sections: Any) -> Path:
    """An agent.yaml in a folder; sections replace or add to the defaults."""
    data: dict[str, Any] = {
        "version": 1,
        "site": "s1",
        "agent": "edge-1",
        "credentials": {"v2c": {"snmp": "v2c", "community": {"env": "COMMUNITY"}}},
        "journal": {"path": "journal.db", "group_commit": "200ms"},
        "http": {"port": 0},
    }
    if broker is not None:
        data["uplink"] = {"broker": broker}
    data.update(sections)
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True))
    return path


def ups(port: int, *, device: str = "ups-1", interval: str = "1s", host: str = "127.0.0.1") -> dict[str, Any]:
    """A UPS over SNMP v2c, as a device of the configuration."""
    return {
        "id": device,
        "name": {"en": "UPS 1", "zh": "不间断电源1"},
        "profile": "ietf/ups-mib",
        "address": host,
        "port": port,
        "credentials": "v2c",
        "interval": interval,
        "room": "hall",
        "rack": "R1",
    }


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[Agent]:
    """The agent, working until the block ends."""
    agent = build(
        read_site(config, environ=ENVIRON),
        clock=SystemClock(asyncio.sleep),
        reread=lambda: read_site(config, environ=ENVIRON),
    )
    async with agent:
        task = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
