"""The SNMP devices as net-snmp's own programs see them."""

import asyncio
import socket

import pytest

from simulator.app import RoomServer
from tests.simulator.clients import address, device, number, run, snmp, snmp_access

APC = "1.3.6.1.4.1.318.1.1.1."
UPS_MIB = "1.3.6.1.2.1.33.1."
LIEBERT = "1.3.6.1.4.1.476.1.42."
POSEIDON = "1.3.6.1.4.1.21796.3.3."
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"

JUNK = (b"", b"\x00", b"x" * 1400, b"GET / HTTP/1.0\r\n\r\n", b"\x30\x82\xff\xff", b"\x30\x03\x02\x01\x01")

pytestmark = pytest.mark.peer("snmp")


async def test_the_apc_card_answers_over_v2c_in_its_own_scales(room: RoomServer) -> None:
    ups = device(room, "ups-1")
    wanted = {
        "charge": APC + "2.2.1.0",
        "charge_tenths": APC + "2.3.1.0",
        "runtime_ticks": APC + "2.2.3.0",
        "load_tenths": APC + "4.3.3.0",
        "status": APC + "4.1.1.0",
        "phase_2_volts": APC + "9.3.3.1.3.1.2",
    }
    answers = await snmp("snmpget", ups, SYS_OBJECT_ID, *wanted.values())
    assert answers[SYS_OBJECT_ID] == "OID: .1.3.6.1.4.1.318.1.3.27"
    seen = {name: number(answers[oid]) for name, oid in wanted.items()}
    assert (seen["charge"], seen["charge_tenths"], seen["status"]) == (100, 1000, 2)
    truth = room.room.upses["ups-1"]
    assert seen["runtime_ticks"] == pytest.approx(truth.runtime_minutes * 6000, rel=0.01)
    assert seen["load_tenths"] == pytest.approx(10 * truth.load_percent, abs=2)
    assert 215 <= seen["phase_2_volts"] <= 225
    flags = (await snmp("snmpget", ups, APC + "11.1.1.0"))[APC + "11.1.1.0"].split('"')[1]
    assert len(flags) == 64
    assert flags[3] == "1"  # on line
    assert flags[1] == "0"  # on battery


async def test_mains_failure_is_on_both_cards_at_once(room: RoomServer) -> None:
    await room.strike("mains-failure")
    apc = await snmp("snmpget", device(room, "ups-1"), APC + "4.1.1.0", APC + "11.1.1.0", APC + "3.2.1.0")
    assert number(apc[APC + "4.1.1.0"]) == 3
    assert apc[APC + "11.1.1.0"].split('"')[1][:4] == "1100"
    assert number(apc[APC + "3.2.1.0"]) == 0
    ups = device(room, "ups-2")
    walked = await snmp("snmpbulkwalk", ups, UPS_MIB + "6")
    assert number(walked[UPS_MIB + "6.1.0"]) == 2
    alarms = {value for oid, value in walked.items() if oid.startswith(UPS_MIB + "6.2.1.2.")}
    assert alarms == {f"OID: .{UPS_MIB}6.3.2", f"OID: .{UPS_MIB}6.3.6"}
    assert number((await snmp("snmpget", ups, UPS_MIB + "4.1.0"))[UPS_MIB + "4.1.0"]) == 5
    await room.clear()
    walked = await snmp("snmpwalk", ups, UPS_MIB + "6")
    assert list(walked) == [UPS_MIB + "6.1.0"]
    assert number((await snmp("snmpget", ups, UPS_MIB + "4.1.0"))[UPS_MIB + "4.1.0"]) == 3


async def test_low_battery_follows_when_the_charge_is_gone(room: RoomServer) -> None:
    await room.strike("mains-failure")
    room.room.advance(14 * 60.0)
    walked = await snmp("snmpbulkwalk", device(room, "ups-2"), UPS_MIB + "2", UPS_MIB + "6")
    assert number(walked[UPS_MIB + "2.1.0"]) == 3
    assert 0 < number(walked[UPS_MIB + "2.3.0"]) <= 5
    low = await snmp("snmpget", device(room, "ups-1"), APC + "2.1.1.0", APC + "11.1.2.0")
    assert [number(value) for value in low.values()] == [3, 4]


async def test_the_standard_ups_speaks_v3_with_privacy_and_nothing_weaker(room: RoomServer) -> None:
    ups = device(room, "ups-2")
    walked = await snmp("snmpbulkwalk", ups, UPS_MIB.rstrip("."))
    for phase in (1, 2, 3):
        assert 220 <= number(walked[f"{UPS_MIB}3.3.1.3.{phase}"]) <= 228
        assert 50 <= number(walked[f"{UPS_MIB}4.4.1.5.{phase}"]) <= 62
    assert number(walked[UPS_MIB + "2.5.0"]) == 2724  # tenths of a volt
    given = ups.credentials
    without_privacy = ["-v3", "-l", "authNoPriv", "-u", given["user"], "-a", "SHA-256", "-A", given["auth_key"]]
    code, output = await run("snmpget", *without_privacy, "-r0", "-t1", address(ups), UPS_MIB + "2.4.0")
    assert code != 0
    assert "Unsupported security level" in output
    wrong_key = [*snmp_access(ups)]
    wrong_key[wrong_key.index(given["auth_key"])] = "not-the-auth-key"
    code, output = await run("snmpget", *wrong_key, address(ups), UPS_MIB + "2.4.0")
    assert code != 0
    assert "Authentication failure" in output


async def test_liebert_rows_carry_their_kind_and_an_absent_sensor_is_a_sentinel(room: RoomServer) -> None:
    crac = device(room, "crac-1")
    table = LIEBERT + "3.4.1.3.3.1."
    walked = await snmp("snmpbulkwalk", crac, LIEBERT + "3.4")
    kinds = {oid.rsplit(".", 1)[1]: value for oid, value in walked.items() if oid.startswith(table + "2.")}
    supply = next(row for row, kind in kinds.items() if kind.endswith("3.4.1.1.3"))
    returned = next(row for row, kind in kinds.items() if kind.endswith("3.4.1.1.2"))
    truth = room.room.cracs["crac-1"]
    assert number(walked[f"{table}50.{supply}"]) == pytest.approx(10 * truth.supply, abs=3)
    assert number(walked[f"{table}50.{returned}"]) == pytest.approx(10 * truth.returned, abs=3)
    assert "INTEGER: 2147483647" in walked.values()
    assert number(walked[LIEBERT + "3.4.3.1.0"]) == 1


async def test_a_failed_crac_says_so_at_once_and_the_conditions_go_with_the_repair(room: RoomServer) -> None:
    crac = device(room, "crac-1")
    present, state = LIEBERT + "3.2.2.0", LIEBERT + "3.7.2.2.0"
    before = await snmp("snmpget", crac, present, state)
    assert [number(value) for value in before.values()] == [0, 1]
    await room.strike("crac-failure")
    during = await snmp("snmpget", crac, present, state, LIEBERT + "3.4.3.1.0", LIEBERT + "3.4.3.8.0")
    assert [number(value) for value in during.values()] == [2, 4, 2, 1]
    conditions = await snmp("snmpwalk", crac, LIEBERT + "3.2.3.1.2")
    assert set(conditions.values()) == {f"OID: .{LIEBERT}3.2.1.{number_}" for number_ in (5, 11)}
    await room.clear()
    assert await snmp("snmpwalk", crac, LIEBERT + "3.2.3") == {
        LIEBERT + "3.2.3": "No Such Object available on this agent at this OID"
    }


async def test_door_and_probe_of_the_environment_monitor(room: RoomServer) -> None:
    monitor = device(room, "env-1")
    door, smoke, probe = POSEIDON + "1.1.2.1", POSEIDON + "1.1.2.2", POSEIDON + "3.1.6.1"
    before = await snmp("snmpget", monitor, door, smoke, probe)
    assert [number(before[door]), number(before[smoke])] == [0, 0]
    assert number(before[probe]) == pytest.approx(10 * room.room.cold["cold-b"], abs=3)
    await room.strike("door-open")
    during = await snmp("snmpget", monitor, door, smoke, POSEIDON + "1.1.5.1")
    assert [number(value) for value in during.values()] == [1, 0, 1]


async def test_agents_answer_as_the_protocol_wants(room: RoomServer) -> None:
    ups = device(room, "ups-1")
    code, output = await run("snmpget", *snmp_access(ups), address(ups), APC + "4.1.1.9", "1.3.6.1.9.9.9.0")
    assert code == 0
    assert "No Such Instance" in output
    assert "No Such Object" in output
    one_by_one = await snmp("snmpwalk", ups, "1.3.6.1")
    in_bulk = await snmp("snmpbulkwalk", ups, "1.3.6.1")
    assert list(one_by_one) == list(in_bulk)
    assert len(one_by_one) > 80
    as_numbers = [tuple(int(part) for part in oid.split(".")) for oid in one_by_one]
    assert as_numbers == sorted(as_numbers)
    code, output = await run("snmpset", *snmp_access(ups), address(ups), "1.3.6.1.2.1.1.5.0", "s", "mine")
    assert code != 0
    assert "notWritable" in output
    code, output = await run("snmpget", "-v2c", "-c", "wrong", "-r0", "-t0.3", address(ups), APC + "4.1.1.0")
    assert "Timeout" in output


@pytest.mark.parametrize("name", ["ups-1", "ups-2", "crac-1"])
async def test_a_dead_device_answers_nothing_until_repaired(room: RoomServer, name: str) -> None:
    target = device(room, name)
    await room.strike("device-dead", name)
    code, output = await run("snmpget", *snmp_access(target, timeout=0.3), address(target), SYS_OBJECT_ID)
    assert code != 0
    assert "Timeout" in output
    other = device(room, "env-1")
    assert await snmp("snmpget", other, SYS_OBJECT_ID)
    await room.clear()
    assert await snmp("snmpget", target, SYS_OBJECT_ID)


async def test_garbage_from_a_scanner_neither_stops_nor_upsets_an_agent(room: RoomServer) -> None:
    upset: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: upset.append(context))
    for name in ("ups-1", "ups-2"):
        target = device(room, name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
            for junk in (
                b"",
                b"\x00",
                b"x" * 1400,
                b"GET / HTTP/1.0\r\n\r\n",
                b"\x30\x82\xff\xff",
                b"\x30\x03\x02\x01\x01",
            ):
                scanner.sendto(junk, (target.host, target.port))
        assert await snmp("snmpget", target, SYS_OBJECT_ID)
    assert upset == []
