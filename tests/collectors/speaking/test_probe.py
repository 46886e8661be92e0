"""`coldaisle agent probe` against real peers: who it is, what would be asked, what it says."""

import pytest
from pymodbus.constants import ExcCodes

from collectors.device import ModbusTarget, SnmpTarget
from collectors.exchange import PollProblem
from collectors.library import Library
from collectors.modbus.target import Framing, SerialLine
from collectors.probe import parse_address, probe
from facility.profile import Profile
from tests.collectors.speaking.awkward_agent import silent_socket
from tests.collectors.speaking.gateway import Unit, gateway
from tests.collectors.speaking.profiles import CHARGE, LOAD, RUNTIME, VOLTAGE, probes, system_clock, ups
from tests.support.peers import free_port
from tests.support.snmpd import Snmpd

VENDOR = "1.3.6.1.4.1.99999"


def recognised() -> Profile:
    shape = ups().model_dump(by_alias=True, exclude_unset=True)
    shape["identify"] = {
        "any": {"sys_object_id": VENDOR},
        "device": {"serial": [{"oid": f"{VENDOR}.1.0"}], "model": [{"oid": f"{VENDOR}.2.0"}]},
    }
    return Profile.model_validate(shape)


@pytest.mark.peer("snmpd")
async def test_a_known_device_is_recognised_and_read_with_its_sources(snmpd: Snmpd) -> None:
    snmpd.serve(
        [
            ("1.3.6.1.2.1.1.2.0", "object_id", f".{VENDOR}.7"),
            (f"{VENDOR}.1.0", "octet_str", "SN-4711"),
            (CHARGE, "integer", 88),
            (f"{LOAD}.1", "integer", 42),
        ]
    )
    report = await probe(f"{snmpd.host}:{snmpd.port}", library=Library([recognised()]), clock=system_clock())
    assert report.problem is None
    assert report.profile is not None
    assert report.profile.id == "bench/device"
    assert report.candidates == ("bench/device",)
    assert report.device["serial"] == "SN-4711"
    assert report.plan == (f"GET 3 objects: {CHARGE}, {RUNTIME}, {VOLTAGE}", f"GETBULK x10 below {LOAD}")
    assert [(each.reading.metric, each.reading.value, each.source, each.raw) for each in report.readings] == [
        ("ups.battery.charge", 88.0, CHARGE, "88"),
        ("ups.output.load", 42.0, f"{LOAD}.1", "42"),
    ]
    assert report.unanswered == {RUNTIME: "no_such_object", VOLTAGE: "no_such_object"}
    assert report.costs[0].startswith("GET 3 objects: ")
    assert report.costs[-1].startswith("one poll: ")


@pytest.mark.peer("snmpd")
async def test_an_unknown_device_is_said_to_be_unknown_and_read_with_a_named_profile(snmpd: Snmpd) -> None:
    snmpd.serve([(CHARGE, "integer", 88)])
    library, address = Library([recognised()]), f"snmp://public@{snmpd.host}:{snmpd.port}"
    unknown = await probe(address, library=library, clock=system_clock())
    assert unknown.problem is PollProblem.PROFILE_MISMATCH
    assert "no profile recognises it" in unknown.detail
    assert unknown.device["model"].startswith("Linux")
    named = await probe(address, library=library, clock=system_clock(), profile_id="bench/device")
    assert [each.reading.value for each in named.readings] == [88.0]


async def test_a_modbus_unit_is_read_with_a_named_profile() -> None:
    async with gateway({3: Unit()}) as port:
        library = Library([probes([20, 21, 60])])
        report = await probe(
            f"modbus://127.0.0.1:{port}/3", library=library, clock=system_clock(), profile_id="bench/device"
        )
    assert [(each.source, each.raw) for each in report.readings] == [
        ("holding:20", "20"),
        ("holding:21", "21"),
        ("holding:60", "60"),
    ]
    assert report.plan == ("unit 3: FC03 holding:20-21", "unit 3: FC03 holding:60")
    assert report.costs[:2] == ("FC03 holding:20-21: 2 registers", "FC03 holding:60: 1 register")
    assert report.requests == 2


async def test_a_slow_unit_is_waited_for_as_long_as_its_profile_or_the_caller_says() -> None:
    async with gateway({3: Unit(slow_s=0.4)}) as port:
        target = ModbusTarget("127.0.0.1", port=port, unit=3, timeout_s=0.1)
        plain, slow = probes([20]), probes([20]).model_copy(update={"timeout": 2.0})
        lost = await probe(target, library=Library([plain]), clock=system_clock(), profile_id="bench/device")
        told = await probe(
            target, library=Library([plain]), clock=system_clock(), profile_id="bench/device", timeout_s=2.0
        )
        read = await probe(target, library=Library([slow]), clock=system_clock(), profile_id="bench/device")
    assert lost.problem is PollProblem.TIMEOUT
    assert [each.raw for each in (*told.readings, *read.readings)] == ["20", "20"]


async def test_what_a_look_taught_about_a_unit_is_in_the_report() -> None:
    def refuses(address: int, count: int) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_ADDRESS if {21, 22, 30}.intersection(range(address, address + count)) else None

    async with gateway({3: Unit(refuses=refuses)}, rtu=True) as port:
        library = Library([probes([20, 21, 22, 29, 31])])
        report = await probe(
            f"rtu://127.0.0.1:{port}/3", library=library, clock=system_clock(), profile_id="bench/device"
        )
    assert report.holes == ("holding:21-22 is not there", "no request may reach across holding:31")
    assert report.unanswered == {"holding:21": "no_such_object", "holding:22": "no_such_object"}
    *asked, cost = report.costs
    assert asked == [
        "FC03 holding:20: 1 register",
        "FC03 holding:29: 1 register",
        "FC03 holding:31: 1 register",
        "learnt: holding:21-22 is not there",
        "learnt: no request may reach across holding:31",
    ]
    assert cost.startswith(f"one poll: {report.requests} requests in ")
    assert "every 30 s that is " in cost
    assert [each.raw for each in report.readings if each.reading.good] == ["20", "29", "31"]


async def test_what_does_not_answer_is_in_the_report() -> None:
    library = Library([recognised()])
    refused = await probe(f"127.0.0.1:{free_port('udp')}", library=library, clock=system_clock())
    assert refused.problem is PollProblem.REFUSED
    async with silent_socket() as port:
        target = SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.1)
        silent = await probe(target, library=library, clock=system_clock())
    assert silent.problem is PollProblem.TIMEOUT
    assert silent.readings == ()
    assert "not reachable, or the community is wrong" in silent.detail


@pytest.mark.peer("snmpd")
async def test_a_wrong_community_is_silence_and_named_as_one_of_its_two_causes(snmpd: Snmpd) -> None:
    snmpd.serve([(CHARGE, "integer", 88)])
    target = SnmpTarget(snmpd.host, port=snmpd.port, community="wrong", timeout_s=0.2)
    report = await probe(target, library=Library([recognised()]), clock=system_clock())
    assert report.problem is PollProblem.TIMEOUT
    assert "not reachable, or the community is wrong" in report.detail


async def test_a_modbus_unit_is_recognised_by_its_registers_or_the_choice_is_named() -> None:
    kind = {"any": {"probes": {"holding": 30, "in": [30]}}}
    knows = Profile.model_validate(probes([20]).model_dump(by_alias=True, exclude_unset=True) | {"identify": kind})
    async with gateway({3: Unit(), 4: Unit(base=1000)}) as port:
        known = await probe(f"modbus://127.0.0.1:{port}/3", library=Library([knows]), clock=system_clock())
        other = await probe(f"modbus://127.0.0.1:{port}/4", library=Library([knows]), clock=system_clock())
        plain = await probe(f"modbus://127.0.0.1:{port}/4", library=Library([probes([1])]), clock=system_clock())
        target = ModbusTarget("127.0.0.1", port=port, unit=5, timeout_s=0.1)
        dead = await probe(target, library=Library([knows]), clock=system_clock())
    assert known.candidates == ("bench/device",)
    assert [each.raw for each in known.readings] == ["20"]
    for report in (other, plain):
        assert report.problem is PollProblem.PROFILE_MISMATCH
        assert "name its profile (bench/device)" in report.detail
    assert dead.problem is PollProblem.TIMEOUT
    with pytest.raises(ValueError, match="speaks modbus, the address is snmp"):
        await probe("127.0.0.1", library=Library([probes([1])]), clock=system_clock(), profile_id="bench/device")


def test_addresses() -> None:
    assert parse_address("ups.example:1161") == SnmpTarget("ups.example", port=1161, community="public")
    assert parse_address("snmp://hush%40home@10.0.0.5") == SnmpTarget("10.0.0.5", community="hush@home")
    assert parse_address("[fe80::1]:161") == SnmpTarget("fe80::1", community="public")
    assert parse_address("modbus://10.0.0.9:1502/17") == ModbusTarget("10.0.0.9", port=1502, unit=17)
    assert parse_address("rtu://10.0.0.9:4001/17") == ModbusTarget("10.0.0.9", 4001, 17, framing=Framing.RTU)
    assert parse_address("rtu:///dev/ttyUSB0") == ModbusTarget("/dev/ttyUSB0", serial=SerialLine())
    assert parse_address("rtu:///dev/ttyS1?unit=3&baudrate=19200&parity=e&stopbits=2") == ModbusTarget(
        "/dev/ttyS1", unit=3, serial=SerialLine(19200, "E", 2)
    )
    for wrong, why in (
        ("", "names no host"),
        ("modbus://h/x", "no Modbus unit"),
        ("h:0", "a port is 1 to 65535"),
        ("modbus://h:0/1", "a port is 1 to 65535"),
        ("http://h", "write snmp://"),
        ("modbos://h", "did you mean 'modbus'"),
        ("modbus:///dev/ttyUSB0", "names no host"),
        ("modbus://h/1?baudrate=9600", "write modbus://HOST"),
        ("rtu:///dev/ttyUSB0?baudrat=9600", "no 'baudrat'; did you mean 'baudrate'"),
        ("rtu:///dev/ttyUSB0?baudrate=fast", "baudrate is a number, not 'fast'"),
        ("rtu:///dev/ttyUSB0?parity=X", "parity is N, E or O"),
        ("rtu:///dev/ttyUSB0?unit=0", "outside 1..247"),
    ):
        with pytest.raises(ValueError, match=why):
            parse_address(wrong)
