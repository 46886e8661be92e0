"""Traps and informs of net-snmp's own programs, through the true agent: an event each, and a poll that decides."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from agent.app import Agent, build
from agent.journal import ThreadOffload
from agent.site import read_site
from coldaisle.demo import site
from collectors.traps import limits
from collectors.traps.notification import TrapResult
from collectors.traps.peek import peek
from facility.clock import SystemClock
from facility.items import EventItem, EventKind, decode_events
from facility.wire import Kind, decode
from simulator.app import RoomServer
from tests.agent.running import ENVIRON, running, ups, write_config
from tests.support.peers import free_port, until_async
from tests.support.snmpd import Snmpd
from tests.support.snmptrap import TrapSender

pytestmark = pytest.mark.peer("snmpd")

UPS = "1.3.6.1.2.1.33.1"
ON_BATTERY_TRAP = "1.3.6.1.2.1.33.2.1"
HEALTHY = [
    (f"{UPS}.2.1.0", "integer", 2),
    (f"{UPS}.2.3.0", "integer", 60),
    (f"{UPS}.2.4.0", "integer", 97),
    (f"{UPS}.4.1.0", "integer", 3),
]
ON_BATTERY = [*HEALTHY[:3], (f"{UPS}.4.1.0", "integer", 5)]
UPSES = {"ups-1", "ups-2"}
V3 = {
    "snmp": "v3", "user": "watcher", "auth": "sha256", "auth_password": {"env": "AUTH"},
    "priv": "aes128", "priv_password": {"env": "PRIV"},
}  # fmt: skip


@asynccontextmanager
async def listening(folder: Path, *devices: dict[str, Any], **sections: Any) -> AsyncIterator[tuple[Agent, TrapSender]]:
    """The true agent with a trap port, and somebody who speaks to it."""
    config = write_config(
        folder,
        credentials={"v2c": {"snmp": "v2c", "community": {"env": "COMMUNITY"}}, "v3": V3},
        devices=list(devices),
        rooms=[{"id": "hall"}],
        traps={"listen": "127.0.0.1:0"},
        **sections,
    )
    async with running(config) as agent:
        await until_async(lambda: agent.traps is not None and agent.traps.port)
        assert agent.traps is not None
        yield agent, TrapSender(agent.traps.port, folder)


async def events(agent: Agent, kind: EventKind = EventKind.TRAP) -> list[EventItem]:
    """The events of a kind that are durable, oldest first."""
    blocks = [decode(stored.block.payload()) for stored in await agent.journal.unsent(Kind.EVENTS, limit=10_000)]
    return [item for block in blocks for item in decode_events(block.items)[0] if item.kind is kind]


def counts(agent: Agent) -> dict[str, int]:
    return {str(result): count for result, count in agent.figures.traps.items()}


def at_once(folder: Path) -> dict[str, Any]:
    """The shipped rule of a UPS on battery, without its five seconds against switching glitches."""
    rule = {
        "id": "ups-on-battery",
        "title": {"en": "UPS on battery", "zh": "UPS 电池供电"},
        "metric": "ups.output.source",
        "state": {"battery": "major"},
        "source": "test",
    }
    (folder / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [rule]}))
    return {"files": ["rules.yaml"]}


async def test_each_of_the_five_kinds_is_an_event(tmp_path: Path) -> None:
    async with listening(tmp_path, ups(free_port("udp"), interval="1h")) as (agent, sender):
        minutes = (f"{UPS}.2.3.0", "i", "31")
        assert await sender.v1("1.3.6.1.2.1.33.2", 6, 1, minutes, uptime=4200) == 0
        assert await sender.v2c(ON_BATTERY_TRAP, minutes) == 0
        assert await sender.v3(ON_BATTERY_TRAP, minutes) == 0
        assert await sender.v2c(ON_BATTERY_TRAP, minutes, inform=True) == 0, "it was answered"
        assert await sender.v3(ON_BATTERY_TRAP, minutes, inform=True) == 0, "it was answered"
        await until_async(lambda: agent.figures.traps[TrapResult.UNDERSTOOD] == 5)
        found = await until_async(lambda: _of(agent, 5))
        assert [(each.detail["version"], each.detail["type"]) for each in found] == [
            ("v1", "trap"), ("v2c", "trap"), ("v3", "trap"), ("v2c", "inform"), ("v3", "inform"),
        ]  # fmt: skip
        for each in found:
            assert each.device == "ups-1"
            assert each.detail["meaning"] == "on_battery"
            assert each.detail["severity"] == "major"
            assert (each.detail["title_en"], each.detail["title_zh"]) == ("UPS on battery", "UPS 转电池供电")
            assert (each.detail["metric"], each.detail["phase"]) == ("ups.output.source", "happened")
            assert each.detail["values"] == f"{UPS}.2.3.0 = 31"
        assert found[0].detail["trap"] == "1.3.6.1.2.1.33.2.0.1", "as RFC 3584 translates it"
        assert found[0].detail["uptime"] == "4200"
        assert agent.figures.informs_answered == 2


async def _of(agent: Agent, count: int) -> list[EventItem]:
    found = await events(agent)
    return found if len(found) >= count else []


async def test_a_ups_on_battery_is_an_alarm_by_its_trap_long_before_its_next_poll(tmp_path: Path, snmpd: Snmpd) -> None:
    snmpd.serve(ON_BATTERY)
    device = ups(snmpd.port, interval="1h")
    async with listening(tmp_path, device, rules=at_once(tmp_path)) as (agent, sender):
        await sender.v2c(ON_BATTERY_TRAP)
        await until_async(lambda: agent.engine.active())
        assert [(each.device, each.rule) for each in agent.engine.active()] == [("ups-1", "ups-on-battery")]
        assert agent.figures.trap_polls == 1
        assert agent.figures.polls["ok"] == 1, "the only poll there was is the one the trap asked for"
        page = await _metrics(agent)
        assert 'coldaisle_agent_traps_total{result="understood"} 1.0' in page
        assert "coldaisle_agent_trap_polls_total 1.0" in page


async def _metrics(agent: Agent) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(agent.metrics_url)).text


async def test_a_trap_without_truth_behind_it_raises_nothing(tmp_path: Path, snmpd: Snmpd) -> None:
    snmpd.serve(HEALTHY)
    async with listening(tmp_path, ups(snmpd.port, interval="1h"), rules=at_once(tmp_path)) as (agent, sender):
        await sender.v2c(ON_BATTERY_TRAP)
        await until_async(lambda: agent.figures.polls["ok"])
        assert [each.device for each in await until_async(lambda: _of(agent, 1))] == ["ups-1"]
        assert agent.engine.active() == []
        assert sum(agent.figures.alarm_events.values()) == 0


async def test_many_traps_of_one_device_ask_it_once(tmp_path: Path, snmpd: Snmpd) -> None:
    snmpd.serve(HEALTHY)
    async with listening(tmp_path, ups(snmpd.port, interval="1h")) as (agent, sender):
        for number in range(6):
            await sender.v2c(ON_BATTERY_TRAP, (f"{UPS}.2.2.0", "i", str(number)))
        await until_async(lambda: agent.figures.traps[TrapResult.UNDERSTOOD] == 6)
        await until_async(lambda: agent.figures.polls["ok"])
        assert agent.figures.trap_polls == 1
        assert len(await until_async(lambda: _of(agent, 6))) == 6


async def test_a_momentary_trap_is_kept_and_asks_nobody(tmp_path: Path) -> None:
    async with listening(tmp_path, ups(free_port("udp"), interval="1h")) as (agent, sender):
        await sender.v2c("1.3.6.1.6.3.1.1.5.5")
        (event,) = await until_async(lambda: _of(agent, 1))
        assert (event.detail["meaning"], event.detail["confirm"]) == ("access_refused", "none")
        assert agent.figures.trap_polls == 0


async def test_what_nobody_knows_is_kept_and_counted(tmp_path: Path) -> None:
    known, away = ups(free_port("udp"), interval="1h"), ups(161, device="ups-2", host="127.0.0.9", interval="1h")
    async with listening(tmp_path, known, away) as (agent, sender):
        await sender.v2c("1.3.6.1.4.1.99999.0.7", ("1.3.6.1.4.1.99999.1.0", "s", "漏水"))
        await until_async(lambda: _of(agent, 1))
    async with listening(tmp_path, away) as (agent, sender):
        await sender.v1("1.3.6.1.4.1.318", 6, 5, agent="10.9.8.7")
        await sender.v1("1.3.6.1.2.1.33.2", 6, 1, agent="127.0.0.9")
        unknown, stranger, origin = await until_async(lambda: _of(agent, 3))
        assert (unknown.device, unknown.detail["result"]) == ("ups-1", "unknown_trap")
        assert unknown.detail["values"] == "1.3.6.1.4.1.99999.1.0 = 漏水"
        assert (stranger.device, stranger.detail["result"]) == ("", "unknown_sender")
        assert stranger.detail["agent_address"] == "10.9.8.7"
        assert (origin.device, origin.detail["result"]) == ("ups-2", "understood"), "whom it names as its origin"
        assert counts(agent) == {"unknown_sender": 1, "understood": 1}


async def test_who_does_not_prove_himself_is_refused(tmp_path: Path) -> None:
    async with listening(tmp_path, ups(free_port("udp"), interval="1h")) as (agent, sender):
        stranger = TrapSender(sender.port, tmp_path / "stranger", community="wrong")
        (tmp_path / "stranger").mkdir()
        await stranger.v2c(ON_BATTERY_TRAP)
        await sender.v3(ON_BATTERY_TRAP, level="noAuthNoPriv")
        assert await stranger.v2c(ON_BATTERY_TRAP, inform=True, timeout=0.2) != 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            noise.sendto(b"\x30\x82\x24\x00" + bytes(9216), ("127.0.0.1", sender.port))
            for junk in (b"", b"0", b"\x30\x84\xff\xff\xff\xff", b"hello", bytes(300)):
                noise.sendto(junk, ("127.0.0.1", sender.port))
        await until_async(lambda: agent.figures.traps[TrapResult.MALFORMED] == 6)
        assert counts(agent) == {"refused": 3, "malformed": 6}
        assert await events(agent) == []


async def test_a_flood_is_bounded_counted_and_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUIET_S", 0.5)
    datagram = await _captured(tmp_path)
    async with listening(tmp_path, ups(free_port("udp"), interval="1h")) as (agent, sender):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.connect(("127.0.0.1", sender.port))
            for number in range(600):
                device.send(_numbered(datagram, number))
                if number % 50 == 0:
                    await asyncio.sleep(0)  # the agent lives in this loop; the socket holds a burst
        await until_async(lambda: sum(agent.figures.traps.values()) == 600)
        kept, dropped = agent.figures.traps[TrapResult.UNDERSTOOD], agent.figures.traps[TrapResult.RATE_LIMITED]
        assert limits.BURST <= kept < limits.BURST + 100
        (flood,) = await until_async(lambda: events(agent, EventKind.TRAP_FLOOD))
        assert (flood.device, flood.detail["dropped"]) == ("ups-1", str(dropped))
        assert len(await until_async(lambda: _of(agent, kept))) == kept
        assert agent.figures.trap_polls == 1


async def _captured(folder: Path) -> bytes:
    """The bytes of a v2c trap as snmptrap sends it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        await TrapSender(ear.getsockname()[1], folder).v2c(ON_BATTERY_TRAP)
        return await asyncio.get_running_loop().sock_recv(ear, 2000)


def _numbered(datagram: bytes, number: int) -> bytes:
    """The same trap under another request id of the same length."""
    request_id = peek(datagram).request_id
    assert request_id is not None
    old = request_id.to_bytes(4, "big", signed=True)
    assert datagram.count(old) == 1
    return datagram.replace(old, (0x01000000 + number).to_bytes(4, "big"))


class _HeldOffload(ThreadOffload):
    """A disk that does nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__("held")
        self.go = asyncio.Event()
        self.go.set()

    async def run(self, call: Any, /, *args: Any, **kwargs: Any) -> Any:
        await self.go.wait()
        return await super().run(call, *args, **kwargs)


async def test_an_inform_is_answered_only_after_its_commit_and_repeated_is_one_event(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        devices=[ups(free_port("udp"), interval="1h")],
        rooms=[{"id": "hall"}],
        traps={"listen": "127.0.0.1:0"},
    )
    disk = _HeldOffload()
    agent = build(read_site(config, environ=ENVIRON), clock=SystemClock(asyncio.sleep), offload=disk)
    async with agent:
        task = asyncio.create_task(agent.run())
        await until_async(lambda: agent.traps is not None and agent.traps.port)
        assert agent.traps is not None
        sender = TrapSender(agent.traps.port, tmp_path)
        disk.go.clear()
        inform = asyncio.create_task(sender.v2c(ON_BATTERY_TRAP, inform=True, timeout=0.2, tries=50))
        await until_async(lambda: agent.figures.traps[TrapResult.REPEATED] >= 2)
        assert not inform.done()
        assert agent.figures.informs_answered == 0
        disk.go.set()
        assert await inform == 0
        assert agent.figures.traps[TrapResult.UNDERSTOOD] == 1
        assert len(await events(agent)) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_devices_behind_one_address_are_told_apart_by_what_they_would_say(tmp_path: Path) -> None:
    apc = {**ups(free_port("udp"), device="apc-1", interval="1h"), "profile": "apc/ups-powernet"}
    async with listening(tmp_path, ups(free_port("udp"), interval="1h"), apc) as (agent, sender):
        await sender.v1("1.3.6.1.4.1.318", 6, 9)
        await sender.v2c(ON_BATTERY_TRAP)
        await sender.v2c("1.3.6.1.6.3.1.1.5.1")
        ended, began, both = await until_async(lambda: _of(agent, 3))
        assert (ended.device, ended.detail["phase"], ended.detail["title_en"]) == (
            "apc-1",
            "ended",
            "UPS on battery: over",
        )
        assert ended.detail["severity"] == "info"
        assert began.device == "ups-1"
        assert (both.device, both.detail["result"]) == ("", "ambiguous_sender")
        assert both.detail["candidates"] == "ups-1, apc-1"


async def test_a_drill_of_mains_failure_is_two_alarms_without_one_ordinary_poll(tmp_path: Path) -> None:
    """The simulated room's two UPS, v2c and v3, as the demo has them; the agent would ask them in an hour."""
    port = free_port("udp")
    async with RoomServer(seed=5, trap_sink=("127.0.0.1", port)) as room:
        devices = [
            {**entry, "interval": "1h"} for entry in map(site.device_entry, room.devices) if entry["id"] in UPSES
        ]
        secrets = {
            device.snmp_version: site.credentials_entry(tmp_path, device)
            for device in room.devices
            if device.id in UPSES
        }
        config = write_config(
            tmp_path,
            credentials={f"sim-{version}": each for version, each in secrets.items()},
            devices=devices,
            rooms=[{"id": room_id} for room_id in {device["room"] for device in devices}],
            traps={"listen": f"127.0.0.1:{port}"},
            rules=at_once(tmp_path),
        )
        async with running(config) as agent:
            await until_async(lambda: agent.traps is not None and agent.traps.port)
            await room.strike("mains-failure")
            await until_async(lambda: len(agent.engine.active()) == 2)
            assert {each.device for each in agent.engine.active()} == UPSES
            assert agent.figures.trap_polls == 2
            said = {(each.device, each.detail["name"]) for each in await until_async(lambda: _of(agent, 3))}
    assert said == {("ups-1", "upsOnBattery"), ("ups-2", "upsTrapOnBattery"), ("ups-2", "upsTrapAlarmEntryAdded")}


async def test_a_port_that_is_taken_stops_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        config = write_config(
            tmp_path, devices=[ups(free_port("udp"))], rooms=[{"id": "hall"}], traps={"listen": f"127.0.0.1:{port}"}
        )
        async with running(config) as agent:
            await until_async(lambda: sum(agent.figures.polls.values()))
            assert "coldaisle_agent_traps_listening 0.0" in await _metrics(agent)
    (said,) = [record for record in caplog.records if "traps cannot be received" in record.message]
    assert "Address already in use" in str(said.__dict__["cause"])
