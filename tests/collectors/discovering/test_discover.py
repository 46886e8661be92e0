"""Searching 127.0.0.x: what is there is found and recognised, what is not costs nothing, nobody is asked fast."""

import asyncio
import contextlib
import dataclasses

import pytest
from pymodbus.constants import ExcCodes
from pysnmp.proto.rfc1902 import ObjectIdentifier, OctetString

from collectors.discover import MOST_ADDRESSES, Found, RangeError, Search, Spoken, addresses, discover
from collectors.exchange import PollProblem
from collectors.identify import SYS_DESCR, SYS_NAME, SYS_OBJECT_ID
from collectors.library import Library
from collectors.pacing import Pacer
from collectors.snmp.target import SnmpTarget
from facility.clock import SystemClock
from tests.collectors.speaking.awkward_agent import NO_SUCH_NAME, Request, awkward_agent, v1
from tests.collectors.speaking.gateway import Frame, Say, Unit, gateway, odd_gateway
from tests.collectors.speaking.profiles import CHARGE, profile, system_clock
from tests.support.peers import free_port
from tests.support.snmpd import Snmpd
from tests.support.virtual_loop import run_virtual

VENDOR = "1.3.6.1.4.1.99999"
POINT = [{"metric": "ups.battery.charge", "from": [{"oid": CHARGE, "unit": "%"}]}]
LIBRARY = Library(
    [
        profile(
            "snmp",
            POINT,
            identify={
                "any": [{"sys_object_id": VENDOR, "probes": {"oid": CHARGE, "present": True}}],
                "device": {"serial": {"oid": f"{VENDOR}.1.0"}},
            },
        )
    ]
)
LOGIN = SnmpTarget("0.0.0.0", community="public")


async def found_by(search: Search, library: Library = LIBRARY, clock: SystemClock | None = None) -> list[Found]:
    found: list[Found] = []
    await discover(search, library=library, clock=clock or system_clock(), found=found.append)
    return sorted(found, key=lambda each: (each.host, each.spoken, each.unit))


def quick(hosts: list[str], port: int = 161, **more: object) -> Search:
    """A search of loopback, where nobody minds."""
    search = Search(hosts, {"racks": dataclasses.replace(LOGIN, port=port)}, timeout_s=0.3, per_address=400, total=2000)
    return dataclasses.replace(search, **more)  # type: ignore[arg-type]


def test_ranges() -> None:
    assert addresses("10.0.0.5") == ["10.0.0.5"]
    assert addresses("10.0.0.0/30") == ["10.0.0.1", "10.0.0.2"]
    assert addresses("10.0.0.4/31") == ["10.0.0.4", "10.0.0.5"]
    assert addresses("10.0.0.254-10.0.1.1") == ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]
    assert addresses("10.0.0.5-7, 10.0.0.6,10.0.0.9") == ["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.9"]
    assert addresses("fd00::1") == ["fd00::1"]
    assert len(addresses("10.0.0.0/20")) == 4094
    assert len(addresses("10.0.0.0/19", large=True)) == 8190


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.0/19", "--yes-large"),
        ("10.0.0.0-10.0.31.255", "--yes-large"),
        ("10.0.0.0/20,10.1.0.0/24", "--yes-large"),
        ("10.0.0.9-10.0.0.5", "comes before"),
        ("10.0.0.5-fd00::1", "comes before"),
        ("10.0.0.256", "write 10.0.0.0/24"),
        ("rack-1", "write 10.0.0.0/24"),
        ("", "write 10.0.0.0/24"),
        ("10.0.0.1-x", "write 10.0.0.0/24"),
    ],
)
def test_ranges_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(RangeError, match=why):
        addresses(text)


def test_no_range_is_larger_than_a_site() -> None:
    for text in ("10.0.0.0/8", "0.0.0.0-255.255.255.255", "fd00::/64"):
        with pytest.raises(RangeError, match=f"more than {MOST_ADDRESSES}"):
            addresses(text, large=True)


@pytest.mark.peer("snmpd")
async def test_a_device_is_found_among_dead_addresses_and_recognised(snmpd: Snmpd) -> None:
    snmpd.serve(
        [
            (SYS_OBJECT_ID, "object_id", f".{VENDOR}.7"),
            (SYS_NAME, "octet_str", "ups-west"),
            (f"{VENDOR}.1.0", "octet_str", "SN-4711"),
            (CHARGE, "integer", 88),
        ]
    )
    done: list[str] = []
    found: list[Found] = []
    hosts = addresses("127.0.0.1-6")
    await discover(
        quick(hosts, snmpd.port), library=LIBRARY, clock=system_clock(), found=found.append, done=done.append
    )
    assert sorted(done) == hosts
    assert len(found) == 1
    device = found[0]
    assert (device.host, device.port, device.spoken, device.login) == ("127.0.0.1", snmpd.port, Spoken.SNMP, "racks")
    assert device.profile is not None
    assert device.profile.id == "bench/device"
    assert (device.device["serial"], device.device["name"]) == ("SN-4711", "ups-west")
    assert (device.sys_object_id, device.fallback, device.problem) == (f"{VENDOR}.7", False, None)


@pytest.mark.peer("snmpd")
async def test_v3_devices_are_found_and_one_that_turns_us_down_is_told(snmpd: Snmpd) -> None:
    user = snmpd.v3
    right = SnmpTarget(
        "0.0.0.0",
        port=snmpd.port,
        version="v3",
        user=user.name,
        auth="sha256",
        auth_key=user.auth_password,
        priv="aes128",
        priv_key=user.priv_password,
    )
    wrong = dataclasses.replace(right, auth_key="some other password")
    # A device is listed once: by the login it takes, else by the first it turned down.
    (taken,) = await found_by(quick(["127.0.0.1"], logins={"old": wrong, "new": right}))
    assert (taken.login, taken.problem, taken.profile) == ("new", None, None)
    assert "Linux" in taken.sys_descr
    older = dataclasses.replace(wrong, auth_key="an even older password")
    (refused,) = await found_by(quick(["127.0.0.1"], logins={"old": wrong, "older": older}))
    assert (refused.login, refused.problem) == ("old", PollProblem.BAD_CREDENTIALS)


async def test_the_first_credentials_that_are_answered_are_the_last_that_are_tried() -> None:
    def answers(request: Request) -> list[bytes]:
        community = bytes(request.spoken.apiMessage.get_community(request.message))
        values = {SYS_DESCR: OctetString("Switch\n\x1b[31m"), SYS_OBJECT_ID: ObjectIdentifier(f"{VENDOR}0.1")}
        return [request.reply([(oid, values.get(oid)) for oid in request.oids])] if community == b"second" else []

    async with awkward_agent(answers, host="127.0.0.3") as (port, heard):
        logins = {name: SnmpTarget("0.0.0.0", port=port, community=name) for name in ("first", "second", "third")}
        found = await found_by(quick(["127.0.0.3"], logins=logins))
        assert [each.login for each in found] == ["second"]
        assert not any(b"third" in bytes(each.spoken.apiMessage.get_community(each.message)) for each in heard)
    assert (found[0].profile, found[0].sys_object_id) == (None, f"{VENDOR}0.1")


async def test_a_card_that_knows_only_v1_is_found_where_v1_is_tried() -> None:
    def answers(request: Request) -> list[bytes]:
        values = {SYS_DESCR: v1.OctetString("old card"), SYS_OBJECT_ID: v1.ObjectIdentifier(f"{VENDOR}.7"), CHARGE: 88}
        if request.spoken is not v1:
            return []
        if any(oid not in values for oid in request.oids):
            return [request.reply(error=NO_SUCH_NAME)]
        return [request.reply([(oid, values[oid]) for oid in request.oids])]

    async with awkward_agent(answers) as (port, _):
        logins = {name: SnmpTarget("0.0.0.0", port=port, version=name, community="public") for name in ("v2c", "v1")}
        found = await found_by(quick(["127.0.0.1"], logins=logins))
    assert [(each.login, each.sys_descr, each.profile and each.profile.id) for each in found] == [
        ("v1", "old card", "bench/device")
    ]


async def test_modbus_units_behind_a_gateway_are_found_also_those_that_refuse() -> None:
    units = {2: Unit(), 5: Unit(refuses=lambda address, count: _illegal()), 6: Unit()}
    async with gateway(units) as port:
        found = await found_by(quick(["127.0.0.1"], logins={}, units=range(1, 9), modbus_port=port))
    assert [(each.spoken, each.unit, each.port, each.all_units) for each in found] == [
        (Spoken.MODBUS, 2, port, False),
        (Spoken.MODBUS, 5, port, False),
        (Spoken.MODBUS, 6, port, False),
    ]
    assert all(function == 3 for unit in units.values() for function, _, _ in unit.asked)


def _illegal() -> ExcCodes:
    return ExcCodes.ILLEGAL_ADDRESS


async def test_a_device_that_answers_to_every_unit_is_one_device() -> None:
    async def reply(frame: Frame, say: Say) -> None:
        await say(frame.answer())

    async with odd_gateway(reply) as (port, heard):
        found = await found_by(quick(["127.0.0.1"], logins={}, units=range(1, 17), modbus_port=port))
    assert [(each.unit, each.all_units) for each in found] == [(1, True)]
    assert {frame.function for frame in heard} == {3}


async def test_a_gateway_all_of_whose_units_answer_is_as_many_devices() -> None:
    async with gateway({unit: Unit() for unit in range(1, 5)}) as port:
        found = await found_by(quick(["127.0.0.1"], logins={}, units=range(1, 5), modbus_port=port))
    assert [(each.unit, each.all_units) for each in found] == [(unit, False) for unit in range(1, 5)]


async def test_a_unit_is_recognised_by_what_a_profile_knows_of_its_registers() -> None:
    known = profile(
        "modbus",
        [{"metric": "ups.output.load", "from": [{"holding": 1, "unit": "%"}]}],
        identify={
            "any": {"probes": [{"holding": 100, "in": [1100]}, {"holding": 150, "not_in": [0]}]},
            "device": {"model": {"holding": 101, "names": {"1101": "Delphys"}}},
        },
    )
    units = {1: Unit(), 2: Unit(base=1000), 3: Unit(base=1000, refuses=lambda at, count: _illegal() if at else None)}
    async with gateway(units) as port:
        found = await found_by(quick(["127.0.0.1"], logins={}, units=range(1, 5), modbus_port=port), Library([known]))
    assert [(each.unit, each.profile.id if each.profile else None) for each in found] == [
        (1, None),
        (2, "bench/device"),
        (3, None),
    ]
    assert found[1].device == {"vendor": "Bench", "model": "Delphys"}
    assert found[1].candidates == ("bench/device",)


async def test_a_gateways_word_that_it_cannot_reach_a_unit_is_no_unit() -> None:
    async def reply(frame: Frame, say: Say) -> None:
        await say(frame.answer() if frame.unit == 3 else frame.exception(0x0B))

    async with odd_gateway(reply) as (port, _):
        found = await found_by(quick(["127.0.0.1"], logins={}, units=range(1, 6), modbus_port=port))
    assert [each.unit for each in found] == [3]


async def test_where_nothing_listens_one_unit_is_asked_for() -> None:
    search = quick(
        ["127.0.0.1"], logins={}, units=range(1, 250), modbus_port=free_port("tcp"), per_address=2.0, total=10
    )
    async with asyncio.timeout(5):
        assert await found_by(search) == []


async def test_what_was_found_is_kept_when_the_search_is_broken_off() -> None:
    found: list[Found] = []
    there = asyncio.Event()

    def tell(each: Found) -> None:
        found.append(each)
        there.set()

    async with gateway({1: Unit()}) as port:
        hosts = ["127.0.0.1", *addresses("127.0.1.0/20")]
        search = quick(hosts, logins={}, units=[1], modbus_port=port, per_address=2.0, total=2.0)
        task = asyncio.create_task(discover(search, library=LIBRARY, clock=system_clock(), found=tell))
        await there.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [each.host for each in found] == ["127.0.0.1"]


async def test_no_turn_comes_for_who_was_broken_off_and_did_not_hear_of_it() -> None:
    """As when an answer comes in the moment of the Ctrl-C: see `collectors.cancelling`."""
    pacer = Pacer(per_address=2, total=50, clock=system_clock())

    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        await pacer.turn("10.0.0.1")

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def _clock() -> SystemClock:
    return SystemClock(asyncio.sleep, monotonic=asyncio.get_running_loop().time)


def _most_within(times: list[float], window: float) -> int:
    times = sorted(times)
    return max(sum(1 for other in times if at <= other < at + window - 1e-9) for at in times)


def test_turns_are_never_closer_than_the_pace_in_virtual_time() -> None:
    async def main() -> dict[str, list[float]]:
        clock = _clock()
        pacer = Pacer(per_address=2, total=50, clock=clock)
        turns: dict[str, list[float]] = {f"10.0.0.{n}": [] for n in range(100)}

        async def ask(address: str) -> None:
            for _ in range(8):
                await pacer.turn(address)
                turns[address].append(clock.monotonic())

        await asyncio.gather(*(ask(address) for address in turns for _ in range(2)))
        return turns

    turns = run_virtual(main())
    everything = [at for each in turns.values() for at in each]
    assert len(everything) == 1600
    assert max(_most_within(each, 1.0) for each in turns.values()) <= 2
    assert _most_within(everything, 1.0) <= 50
    assert 1600 / 50 - 1 <= max(everything) <= 1600 / 50 + 2, "the pace is used, too"


def test_no_address_is_asked_more_than_twice_a_second_by_snmp_and_modbus_together() -> None:
    """The true clients over real sockets, in virtual time."""

    async def main() -> tuple[list[float], list[Found]]:
        loop = asyncio.get_running_loop()
        times: list[float] = []

        def answers(request: Request) -> list[bytes]:
            times.append(loop.time())
            values = {SYS_OBJECT_ID: ObjectIdentifier(f"{VENDOR}.7"), CHARGE: 88, SYS_DESCR: OctetString("UPS")}
            return [request.reply([(oid, values.get(oid)) for oid in request.oids])]

        async def reply(frame: Frame, say: Say) -> None:
            times.append(loop.time())
            if frame.unit % 2:
                await say(frame.answer())

        async with awkward_agent(answers) as (port, _), odd_gateway(reply) as (modbus_port, _):
            search = Search(
                ["127.0.0.1"],
                {"racks": dataclasses.replace(LOGIN, port=port)},
                units=range(1, 17),
                modbus_port=modbus_port,
            )
            found = await found_by(search, clock=_clock())
        return times, found

    times, found = run_virtual(main())
    assert len(found) == 1 + 8
    assert found[-1].profile is not None or found[0].profile is not None
    assert len(times) > 16
    assert _most_within(times, 1.0) <= 2
