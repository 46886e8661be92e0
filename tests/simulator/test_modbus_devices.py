"""The Modbus devices as mbpoll (libmodbus) and pymodbus' client see them."""

import pytest
from pymodbus.client import AsyncModbusTcpClient

from simulator.app import RoomServer
from simulator.inventory import TH_PLACES
from tests.simulator.clients import device, mbpoll

pytestmark = pytest.mark.peer("mbpoll")


def as_signed(register: int) -> int:
    return register - 65536 if register > 32767 else register


async def test_twelve_sensors_behind_one_gateway_read_their_zones(room: RoomServer) -> None:
    sensors = [known for known in room.devices if known.kind == "temp-humidity"]
    assert len(sensors) == 12
    assert len({known.port for known in sensors}) == 1
    client = AsyncModbusTcpClient("127.0.0.1", port=sensors[0].port, timeout=2, retries=0)
    assert await client.connect()
    try:
        for sensor, (zone, *_) in zip(sensors, TH_PLACES, strict=True):
            assert sensor.unit is not None
            answer = await client.read_input_registers(1, count=2, device_id=sensor.unit)
            celsius, percent = (as_signed(register) / 10 for register in answer.registers)
            assert celsius == pytest.approx(room.room.zone_temperature(zone), abs=0.5)
            assert percent == pytest.approx(room.room.zone_humidity(zone), abs=2.0)
            own = await client.read_holding_registers(0x0101, count=1, device_id=sensor.unit)
            assert own.registers == [sensor.unit]
    finally:
        client.close()


async def test_values_are_live_and_not_a_snapshot(room: RoomServer) -> None:
    hot = device(room, "th-09")
    before = await mbpoll(hot, table="input", first=1)
    await room.strike("hot-aisle")
    room.room.advance(5.0)
    after = await mbpoll(hot, table="input", first=1)
    assert isinstance(before, list)
    assert isinstance(after, list)
    assert after[0] > before[0] + 50


async def test_a_lost_sensor_is_silent_and_its_neighbours_are_not(room: RoomServer) -> None:
    await room.strike("sensor-lost", "th-07")
    assert await mbpoll(device(room, "th-07"), table="input", first=1, timeout=0.3) == (
        "Read input register failed: Connection timed out"
    )
    assert isinstance(await mbpoll(device(room, "th-08"), table="input", first=1), list)
    await room.clear()
    assert isinstance(await mbpoll(device(room, "th-07"), table="input", first=1), list)


async def test_holes_and_wrong_functions_are_exceptions_and_unknown_units_silence(room: RoomServer) -> None:
    sca, atlas = device(room, "crac-2"), device(room, "crac-3")
    illegal = "Read output (holding) register failed: Illegal data address"
    assert await mbpoll(sca, table="holding", first=11, count=3) == illegal
    assert await mbpoll(atlas, table="holding", first=5, count=11) == illegal
    client = AsyncModbusTcpClient("127.0.0.1", port=atlas.port, timeout=2, retries=0)
    assert await client.connect()
    try:
        coils = await client.read_coils(0, count=1, device_id=1)
        assert coils.isError()
        written = await client.write_register(5, 0, device_id=1)
        assert written.isError()
        assert (await client.read_holding_registers(5, count=1, device_id=1)).registers == [1]
    finally:
        client.close()
    client = AsyncModbusTcpClient("127.0.0.1", port=atlas.port, timeout=0.2, retries=0)
    assert await client.connect()
    try:
        with pytest.raises(Exception, match="No response"):
            await client.read_holding_registers(5, count=1, device_id=77)
    finally:
        client.close()


async def test_both_modbus_cracs_report_their_failure_at_once(room: RoomServer) -> None:
    sca, atlas = device(room, "crac-2"), device(room, "crac-3")
    work = await mbpoll(sca, table="holding", first=3, count=9)
    assert isinstance(work, list)
    assert work[0] == 0b1011  # on, fan, cooling
    assert as_signed(work[1]) / 10 == pytest.approx(room.room.cracs["crac-2"].returned, abs=0.3)
    assert work[3:] == [0] * 6
    assert await mbpoll(atlas, table="holding", first=21, count=2) == [0, 0]
    await room.strike("crac-failure", "crac-2")
    await room.strike("crac-failure", "crac-3")
    work = await mbpoll(sca, table="holding", first=3, count=9)
    assert isinstance(work, list)
    assert work[0] == 0
    assert work[6] == 1 << 11  # loss of air flow
    assert work[7] == 1  # group fault
    assert await mbpoll(sca, table="holding", first=31, count=4) != []
    assert await mbpoll(atlas, table="holding", first=5) == [0]
    assert await mbpoll(atlas, table="holding", first=21, count=2) == [1, 1]


async def test_barometer_pressure_transmitter_and_leak_rope(room: RoomServer) -> None:
    barometer = await mbpoll(device(room, "baro-1"), table="holding", first=0x31, count=6)
    assert isinstance(barometer, list)
    celsius, percent, _, hectopascal, dew, _ = barometer
    assert celsius / 10 == pytest.approx(22.5, abs=0.5)
    assert percent / 10 == pytest.approx(50.0, abs=3.0)
    assert hectopascal / 10 == pytest.approx(1013.2, abs=3.0)
    assert 55 <= dew <= 150
    pressure = await mbpoll(device(room, "dp-1"), table="input", first=2, count=5)
    assert isinstance(pressure, list)
    assert pressure[0] / 10 == pytest.approx(12.0, abs=0.6)
    assert as_signed(pressure[4]) == -32768  # unavailable in this unit
    assert await mbpoll(device(room, "leak-1"), table="input", first=0, count=2) == [0, 0]
    await room.strike("water-leak")
    await room.strike("pressure-loss")
    room.room.advance(4.0)
    leak = await mbpoll(device(room, "leak-1"), table="input", first=0, count=3)
    assert leak == [0b1001, 12, 0]
    pressure = await mbpoll(device(room, "dp-1"), table="input", first=2)
    assert isinstance(pressure, list)
    assert pressure[0] < 50
