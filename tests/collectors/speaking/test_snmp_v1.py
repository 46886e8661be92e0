"""SNMPv1: no GETBULK, and one missing object voids a whole answer."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.config import Credentials
from agent.site import read_site
from collectors.device import SnmpTarget
from collectors.exchange import SnmpNeeds
from collectors.library import Library
from collectors.probe import probe
from collectors.snmp.client import SnmpClient
from collectors.snmp.collect import LEFT_S, MISSING_S, SnmpCollector
from facility.clock import SystemClock
from facility.reading import QualityReason
from tests.agent.running import ENVIRON, write_config
from tests.agent.running import ups as ups_at
from tests.collectors.speaking.awkward_agent import GEN_ERR, GETBULK, NO_SUCH_NAME, TOO_BIG, Request, awkward_agent
from tests.collectors.speaking.profiles import CHARGE, LOAD, RUNTIME, ShiftedClock, poller, system_clock, ups, values
from tests.support.snmpd import Snmpd

OIDS = tuple(f"1.3.6.1.4.1.99.1.{number}.0" for number in range(16))
TABLE = "1.3.6.1.4.1.99.2"


def numbers(oids: Sequence[str]) -> dict[str, int]:
    return {oid: int(oid.split(".")[-2]) for oid in oids}


def collector(port: int, clock: SystemClock | None = None) -> SnmpCollector:
    clock = clock or system_clock()
    target = SnmpTarget("127.0.0.1", port=port, version="v1", community="public", timeout_s=0.1)
    return SnmpCollector(target, SnmpClient(target, clock=clock), clock=clock)


@pytest.mark.peer("snmpd")
async def test_a_real_agent_over_v1(snmpd: Snmpd) -> None:
    snmpd.serve([(CHARGE, "integer", 88), (RUNTIME, "integer", 31), (f"{LOAD}.1", "integer", 42)])
    target = SnmpTarget(snmpd.host, port=snmpd.port, version="v1", community=snmpd.community, timeout_s=0.25)
    device = poller(target, ups())
    read = {
        "device.communication": "ok",
        "ups.battery.charge": 88.0,
        "ups.battery.runtime": 31.0 * 60,
        "ups.output.load#phase/L1": 42.0,
    }
    assert values(await device.poll()) == read
    again = await device.poll()
    assert values(again) == read
    assert again.requests <= 3  # one GET without the battery voltage it has not, GETNEXT for a row and for its end


async def test_missing_objects_void_no_others_and_are_remembered() -> None:
    gone = {OIDS[3], OIDS[11]}

    def strict(request: Request) -> list[bytes]:
        if gone & set(request.oids):
            return [request.reply(error=NO_SUCH_NAME)]
        return [request.reply(list(numbers(request.oids).items()))]

    async with awkward_agent(strict) as (port, heard):
        clock = ShiftedClock()
        device = collector(port, clock)

        async def cycle() -> tuple[dict[str, object], dict[str, QualityReason], int]:
            before = len(heard)
            answer = await device.collect(SnmpNeeds(OIDS), deadline=clock.monotonic() + 5)
            return dict(answer.values), dict(answer.failed), len(heard) - before

        there = {oid: number for oid, number in numbers(OIDS).items() if oid not in gone}
        missing = dict.fromkeys(gone, QualityReason.NO_SUCH_OBJECT)
        got, failed, asked = await cycle()
        assert (got, failed) == (there, missing)
        assert asked <= 2 * len(gone) * 5
        assert await cycle() == (there, missing, 1)
        assert device.batch == 24  # a missing object is no reason to ask for less
        clock.ahead_s += MISSING_S + 1
        assert await cycle() == (there, missing, 3)  # looked at again, each alone, so that it voids nothing
        gone.clear()
        clock.ahead_s += MISSING_S + 1
        assert (await cycle())[0] == numbers(OIDS)
        assert await cycle() == (numbers(OIDS), {}, 1)


async def test_an_object_that_was_there_is_asked_again_soon() -> None:
    broken: set[str] = set()

    def moody(request: Request) -> list[bytes]:
        if broken & set(request.oids):
            return [request.reply(error=GEN_ERR)]
        return [request.reply(list(numbers(request.oids).items()))]

    async with awkward_agent(moody) as (port, _):
        clock = ShiftedClock()
        device = collector(port, clock)
        needs = SnmpNeeds(OIDS)
        assert (await device.collect(needs, deadline=clock.monotonic() + 5)).values == numbers(OIDS)
        broken.add(OIDS[5])
        for _ in range(2):
            answer = await device.collect(needs, deadline=clock.monotonic() + 5)
            assert answer.values == {oid: number for oid, number in numbers(OIDS).items() if oid != OIDS[5]}
            assert answer.failed == {OIDS[5]: QualityReason.EXCEPTION}
        broken.clear()
        clock.ahead_s += LEFT_S + 1
        assert (await device.collect(needs, deadline=clock.monotonic() + 5)).values == numbers(OIDS)


async def test_too_big_over_v1_shrinks_the_batch() -> None:
    def few(request: Request) -> list[bytes]:
        if len(request.oids) > 4:
            return [request.reply(error=TOO_BIG)]
        return [request.reply(list(numbers(request.oids).items()))]

    async with awkward_agent(few) as (port, heard):
        device = collector(port)
        for _ in range(2):
            before = len(heard)
            answer = await device.collect(SnmpNeeds(OIDS), deadline=time.monotonic() + 5)
            assert answer.values == numbers(OIDS)
        assert len(heard) - before == 4


async def test_tables_are_walked_row_by_row_to_the_end_of_the_mib() -> None:
    def table(request: Request) -> list[bytes]:
        row = int(request.oids[0].removeprefix(TABLE).lstrip(".") or 0) + 1
        return [request.reply([(f"{TABLE}.{row}", row)]) if row <= 3 else request.reply(error=NO_SUCH_NAME)]

    async with awkward_agent(table) as (port, heard):
        device = collector(port)
        for _ in range(2):
            answer = await device.collect(SnmpNeeds(walks=(TABLE,)), deadline=time.monotonic() + 5)
            assert answer.values == {f"{TABLE}.{row}": row for row in (1, 2, 3)}
            assert not answer.failed
        assert not any(request.kind == GETBULK for request in heard)
        assert device.repetitions == 0


def test_version_and_limits_are_said_in_the_configuration(tmp_path: Path) -> None:
    v1 = {"snmp": "v1", "community": {"env": "COMMUNITY"}}
    device = {**ups_at(161), "credentials": "old", "bulk": False, "max_in_get": 7}
    config = write_config(tmp_path, credentials={"old": v1}, devices=[device], rooms=[{"id": "hall"}])
    (read,) = read_site(config, environ=ENVIRON).devices
    target = read.polled.target
    assert isinstance(target, SnmpTarget)
    assert (target.version, target.bulk, target.max_in_get, target.community) == ("v1", False, 7, "public")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"snmp": "v1"}, "SNMP v1 needs a community"),
        ({"snmp": "v1", "community": {"env": "COMMUNITY"}, "user": "u"}, "belong to snmp: v3"),
        ({"snmp": "v3", "community": {"env": "COMMUNITY"}}, "belongs to snmp: v1 and v2c"),
    ],
)
def test_credentials_that_do_not_fit_together_say_so(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Credentials.model_validate(given)


@pytest.mark.peer("snmpd")
async def test_a_device_is_recognised_over_v1_by_the_whole_library(snmpd: Snmpd) -> None:
    """Nearly all that identification asks for is missing on any one device, and each voids an answer over v1."""
    snmpd.serve([("1.3.6.1.2.1.1.2.0", "object_id", ".1.3.6.1.2.1.33"), (CHARGE, "integer", 88)])
    report = await probe(f"snmpv1://public@{snmpd.host}:{snmpd.port}", library=Library.load(), clock=system_clock())
    assert report.target.startswith("snmp v1")
    assert report.profile is not None
    assert ("ups.battery.charge", 88.0) in [(each.reading.metric, each.reading.value) for each in report.readings]
