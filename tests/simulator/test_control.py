"""The control API, the relay, the dark site, and opening and closing the room."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from simulator.app import RoomServer
from simulator.faults import CATALOGUE, FaultName
from tests.simulator.clients import device, http, mbpoll
from tests.support.peers import until_async


async def test_every_fault_is_struck_shown_and_cleared_over_http(room: RoomServer) -> None:
    for fault in (fault for fault in CATALOGUE if fault.name is not FaultName.CLEAR):
        name, struck = fault.name.value, fault.device
        status, answer = await http("POST", f"{room.url}/faults/{name}")
        assert status == 200
        assert isinstance(answer, dict)
        assert [(shown["name"], shown["device"]) for shown in answer["active"]] == [(name, struck)]
        assert answer["active"][0]["title_zh"] == fault.title_zh
        since = answer["active"][0]["since"]
        assert since.endswith("Z")
        # The same fault again is the same fault: it keeps the time it began.
        assert await http("POST", f"{room.url}/faults/{name}", {"device": struck}) == (200, answer)
        _, state = await http("GET", f"{room.url}/state")
        assert isinstance(state, dict)
        assert state["faults"] == [{"name": name, "device": struck}]
        assert await http("POST", f"{room.url}/faults/clear") == (200, {"active": []})
    _, listed = await http("GET", f"{room.url}/faults")
    assert isinstance(listed, dict)
    assert listed["active"] == []
    assert len(listed["known"]) == len(CATALOGUE)


async def test_mistakes_are_answered_with_a_way_out(room: RoomServer) -> None:
    status, problem = await http("POST", f"{room.url}/faults/water-leek")
    assert status == 404
    assert isinstance(problem, dict)
    assert "Did you mean 'water-leak'" in problem["detail"]
    status, problem = await http("POST", f"{room.url}/faults/sensor-lost", {"device": "th-99"})
    assert status == 422
    assert isinstance(problem, dict)
    assert "It may strike: th-01" in problem["detail"]
    status, _ = await http("POST", f"{room.url}/faults/sensor-lost", {"devise": "th-01"})
    assert status == 422
    assert room.active_faults() == []


async def test_the_device_list_says_all_an_agent_needs(room: RoomServer) -> None:
    assert await http("GET", f"{room.url}/healthz") == (200, {"status": "ok"})
    status, listed = await http("GET", f"{room.url}/devices")
    assert status == 200
    assert isinstance(listed, list)
    by_id = {entry["id"]: entry for entry in listed}
    assert len(by_id) == 21
    kinds = [entry["kind"] for entry in listed]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "ups": 2,
        "crac": 3,
        "temp-humidity": 12,
        "barometer": 1,
        "differential-pressure": 1,
        "leak": 1,
        "environment": 1,
    }
    for entry in listed:
        assert entry["host"] == "127.0.0.1"
        assert entry["port"] > 0
        assert entry["name_en"].isascii()
        assert not entry["name_zh"].isascii()
        assert entry["room"]
        assert entry["zone"]
        assert entry["family"]
        if entry["protocol"] == "snmp":
            assert entry["snmp_version"] in {"v2c", "v3"}
            assert entry["credentials"]
        else:
            assert entry["unit"] >= 1
    zones = [entry["zone"] for entry in listed if entry["kind"] == "temp-humidity"]
    assert [zones.count(zone) for zone in ("cold-a", "cold-b", "hot", "ups", "battery")] == [4, 4, 2, 1, 1]


async def test_physics_runs_by_itself_and_speed_makes_it_run_faster() -> None:
    async with RoomServer(speed=600.0) as fast:
        await fast.strike("crac-failure")
        await until_async(lambda: fast.room.cold["cold-a"] > 27.0, what="aisle A above 27 C")
        assert fast.room.elapsed >= 60.0
        await fast.clear()
        await until_async(lambda: fast.room.cold["cold-a"] < 24.0, timeout=20, what="aisle A below 24 C again")


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, int]]:
    """A far end that answers every line with itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[:2]
    server.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    writer.write(line)
    async with asyncio.timeout(5):
        return await reader.readline()


async def test_link_cut_drops_and_refuses_until_cleared(echo: tuple[str, int]) -> None:
    async with RoomServer(uplink_target=echo) as room:
        assert room.uplink_address is not None
        reader, writer = await asyncio.open_connection(*room.uplink_address)
        assert await ask(reader, writer, b"before\n") == b"before\n"
        big = b"x" * 60_000 + b"\n"
        assert await ask(reader, writer, big) == big
        address = room.uplink_address
        await room.strike("link-cut")
        try:
            assert await reader.read(1) == b""
        except ConnectionError:
            assert reader.exception() is not None
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        assert room.state()["link"] == "cut"
        await room.clear()
        assert room.uplink_address == address
        reader, writer = await asyncio.open_connection(*address)
        assert await ask(reader, writer, b"after\n") == b"after\n"
        writer.close()


async def test_a_dark_site_falls_silent_after_its_batteries_and_comes_back(echo: tuple[str, int]) -> None:
    async with RoomServer(uplink_target=echo, site_dark_after=0.3) as room:
        await room.strike("site-dark")
        assert room.room.upses["ups-1"].on_battery
        assert room.state()["link"] == "up"
        assert room.state()["silent"] == []
        await until_async(lambda: room.state()["link"] == "cut", what="the link to be cut")
        silent = room.state()["silent"]
        assert isinstance(silent, list)
        assert len(silent) == 21
        sensor = device(room, "th-01")
        assert "timed out" in str(await mbpoll(sensor, table="input", first=1, timeout=0.3))
        await room.clear()
        assert room.state()["silent"] == []
        assert room.state()["link"] == "up"
        assert isinstance(await mbpoll(sensor, table="input", first=1), list)


async def test_clearing_in_time_keeps_a_dark_site_from_going_dark() -> None:
    async with RoomServer(site_dark_after=0.2) as room:
        await room.strike("site-dark")
        await room.clear()
        await room.strike("mains-failure")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await until_async(lambda: loop.time() > begun + 0.3, what="the former deadline to pass")
        assert room.state()["silent"] == []


async def test_closing_with_clients_connected_is_fast_and_frees_every_port(echo: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    room = RoomServer(uplink_target=echo)
    async with room:
        assert room.uplink_address is not None
        _, uplink = await asyncio.open_connection(*room.uplink_address)
        _, modbus = await asyncio.open_connection("127.0.0.1", device(room, "th-01").port)
        _, api = await asyncio.open_connection("127.0.0.1", int(room.url.rsplit(":", 1)[1]))
        begun = loop.time()
    assert loop.time() - begun < 2.0
    for writer in (uplink, modbus, api):
        writer.close()
    for known in room.devices:
        kind = socket.SOCK_DGRAM if known.protocol == "snmp" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", known.port))


async def test_a_taken_port_is_said_so_and_leaves_nothing_open(room: RoomServer) -> None:
    taken = int(room.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=f"port {taken} for the room's control API is taken"):
        async with RoomServer(http_port=taken):
            pass


def test_a_nonsensical_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1000"):
        RoomServer(speed=0.0)
