"""A trap on its way through the whole house: simulated UPS, agent, broker, centre, ticket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.app import Agent
from coldaisle.demo import site
from collectors.traps.notification import TrapResult
from server.app import build
from server.config import load_config
from server.kit.principal import Role
from simulator.app import RoomServer
from simulator.inventory import COMMUNITY
from tests.agent.running import running, write_config
from tests.server.factories import client_of, make_token, make_user
from tests.support.mosquitto import Mosquitto
from tests.support.peers import free_port, until_async
from tests.support.snmptrap import TrapSender

UPSES = {"ups-1", "ups-2"}
POWERNET_ON_BATTERY, RFC1628_ON_BATTERY = "1.3.6.1.4.1.318.0.5", "1.3.6.1.2.1.33.2.1"


@asynccontextmanager
async def centre(folder: Path, broker: Mosquitto) -> AsyncIterator[httpx.AsyncClient]:
    """The true server, taking in from the broker; a client of its API."""
    mqtt = {"host": broker.host, "port": broker.port, "auto_enrol": True}
    overrides = {"data_dir": str(folder / "centre"), "http": {"port": 0}, "mqtt": mqtt}
    async with build(load_config(overrides=overrides, environment={})) as server:
        task = asyncio.create_task(server.run())
        await server.started.wait()
        token = await make_token(server, await make_user(server, Role.ADMIN))
        try:
            async with client_of(server, token) as client:
                yield client
        finally:
            server.stop()
            await task


def seldom_polled(folder: Path, room: RoomServer, broker: Mosquitto, trap_port: int) -> Path:
    """The demo's two UPS as an agent's devices, with shipped rules, each to be polled once a day."""
    upses = [device for device in room.devices if device.id in UPSES]
    devices = [{**site.device_entry(device), "interval": "24h"} for device in upses]
    return write_config(
        folder,
        broker=broker.url,
        credentials={f"sim-{device.snmp_version}": site.credentials_entry(folder, device) for device in upses},
        devices=devices,
        rooms=[{"id": name} for name in {device["room"] for device in devices}],
        traps={"listen": f"127.0.0.1:{trap_port}"},
    )


async def items(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/{path}")
    found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return found


async def at_least(client: httpx.AsyncClient, path: str, count: int) -> list[dict[str, Any]]:
    """What the centre lists, once it is as many; nothing before."""
    found = await items(client, path)
    return found if len(found) >= count else []


def polls(agent: Agent) -> int:
    return sum(agent.figures.polls.values())


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("snmpd")
async def test_a_true_trap_is_a_ticket_long_before_the_next_poll_and_a_false_one_none(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    port = free_port("udp")
    async with (
        centre(tmp_path, mosquitto) as client,
        RoomServer(seed=5, trap_sink=("127.0.0.1", port)) as room,
        running(seldom_polled(tmp_path, room, mosquitto, port)) as agent,
    ):
        await until_async(lambda: agent.traps is not None and agent.traps.port)
        # Somebody says that both are on battery; both are asked, and neither is.
        liar = TrapSender(port, tmp_path, community=COMMUNITY)
        await liar.v2c(POWERNET_ON_BATTERY)
        await liar.v2c(RFC1628_ON_BATTERY)
        told = await until_async(lambda: at_least(client, "events?kind=trap", 2), timeout=20)
        assert {(each["device"], each["payload"]["meaning"]) for each in told} == {
            (device, "on_battery") for device in UPSES
        }
        await until_async(lambda: agent.figures.polls["ok"] == 2)
        # What those polls brought is at the centre, and it is no alarm.
        await until_async(lambda: at_least(client, "points?metric=ups.output.source", 2), timeout=10)
        await until_async(lambda: sum(agent.journal.stats().unsent_blocks.values()) == 0, timeout=10)
        assert await items(client, "alarms") == []
        assert await items(client, "tickets") == []

        await room.strike("mains-failure")
        tickets = await until_async(lambda: at_least(client, "tickets", 2), timeout=20)
        assert {(each["device"], each["rule"], each["severity"]) for each in tickets} == {
            (device, "ups-on-battery", "major") for device in UPSES
        }
        assert agent.figures.traps[TrapResult.UNDERSTOOD] == 5, "the liar's two and the room's three"
        assert polls(agent) == agent.figures.trap_polls == 4, "no ordinary poll was due"
