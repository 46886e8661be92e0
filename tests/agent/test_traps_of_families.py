"""What the traps of each device family mean, sent by net-snmp's snmptrap and kept by the true agent."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.app import Agent
from collectors.traps.notification import TrapResult
from facility.items import EventItem
from tests.agent.running import ups
from tests.agent.test_traps import events, listening
from tests.support.peers import free_port, until_async
from tests.support.snmptrap import VarBind

pytestmark = pytest.mark.peer("snmpd")

POWERNET = "1.3.6.1.4.1.318.0"
XUPS = "1.3.6.1.4.1.534.1.11.4.1.0"
MGE = "1.3.6.1.4.1.705.1.11.0"
DELTA = "1.3.6.1.4.1.2254.2.4.20.0"
LIEBERT = "1.3.6.1.4.1.476.1.42.3"
STULZ = "1.3.6.1.4.1.29462.10.1.12.0"
NETBOTZ = "1.3.6.1.4.1.5528.100.10.2"
SOCOMEC = "1.3.6.1.4.1.4555.1.1.7"
RIELLO = "1.3.6.1.4.1.5491.10"
RITTAL = "1.3.6.1.4.1.2606.7"
GEIST = "1.3.6.1.4.1.21239.5"
# Whom a trap names as its origin, so that many devices can speak from one address (RFC 3584 section 3.1).
ORIGIN = "1.3.6.1.6.3.18.1.3.0"


@dataclass(frozen=True)
class Said:
    """One trap of a family and what it must be understood as; the oids are those of the makers' MIBs."""

    profile: str
    oid: str
    meaning: str
    severity: str
    metric: str
    phase: str = "began"
    values: tuple[VarBind, ...] = ()


def _number(oid: str, value: int) -> tuple[VarBind, ...]:
    return ((oid, "i", str(value)),)


def _object(oid: str, value: str) -> tuple[VarBind, ...]:
    return ((oid, "o", value),)


SAID = [
    Said("apc/ups-powernet", f"{POWERNET}.2", "overload", "critical", "ups.overload.state"),
    Said("apc/ups-powernet", f"{POWERNET}.831", "leak", "critical", ""),
    Said("apc/ups-powernet", f"{POWERNET}.832", "leak", "info", "", phase="ended"),
    Said("apc/inrow-rc", f"{POWERNET}.306", "fault", "critical", "device.alarms.active"),
    Said("apc/inrow-rp", f"{POWERNET}.307", "fault", "info", "device.alarms.active", phase="ended"),
    Said("apc/inroom", f"{POWERNET}.308", "condition", "major", "crac.alarm.state"),
    Said("apc/cooling-unit", f"{POWERNET}.306", "fault", "critical", "crac.state"),
    Said("apc/env-em", f"{POWERNET}.59", "temperature", "major", "room.temperature"),
    Said("apc/env-em", f"{POWERNET}.60", "temperature", "info", "room.temperature", phase="ended"),
    Said("apc/env-ems", f"{POWERNET}.248", "contact", "major", "contact.state"),
    Said("apc/env-mem", f"{POWERNET}.519", "temperature", "critical", "room.temperature"),
    Said("apc/env-card", f"{POWERNET}.831", "leak", "critical", "leak.state"),
    Said("apc/netbotz", f"{NETBOTZ}.1.0.2", "temperature", "major", "room.temperature"),
    Said("apc/netbotz", f"{NETBOTZ}.1.0.102", "temperature", "info", "room.temperature", phase="ended"),
    Said("eaton/xups", f"{XUPS}.3", "on_battery", "major", "ups.output.source"),
    Said("eaton/xups", f"{XUPS}.5", "on_battery", "info", "ups.output.source", phase="ended"),
    Said("eaton/xups", f"{XUPS}.7", "overload", "critical", "ups.overload.state", phase="happened"),
    Said("eaton/mge-ups", f"{MGE}.13", "bypass", "major", "ups.output.source"),
    Said("eaton/mge-ups", f"{MGE}.48", "battery_test_failed", "minor", ""),
    Said("eaton/mge-ups", f"{MGE}.47", "battery_test_failed", "info", "", phase="ended"),
    Said("eaton/emp", "1.3.6.1.4.1.534.6.8.1.2.0.1", "temperature", "major", "room.temperature", phase="happened"),
    Said("delta/ups", f"{DELTA}.25", "fault", "critical", "ups.inverter.state"),
    Said("delta/ups", f"{DELTA}.26", "fault", "info", "ups.inverter.state", phase="ended"),
    Said("cyberpower/ups", "1.3.6.1.4.1.3808.0.23", "charger_fault", "major", "ups.charger.state"),
    Said("cyberpower/ups", "1.3.6.1.4.1.3808.0.24", "charger_fault", "info", "ups.charger.state", phase="ended"),
    Said("socomec/ups", f"{SOCOMEC}.2.0.10", "battery_low", "critical", "ups.battery.state", phase="happened"),
    Said(
        "socomec/ups", f"{SOCOMEC}.2.0.3", "fan", "major", "ups.fan.state",
        values=_object(f"{SOCOMEC}.1.6.2.1.2.4", f"{SOCOMEC}.1.6.3.32"),
    ),
    Said(
        "riello/netman", f"{RIELLO}.2.0.3", "overload", "critical", "ups.overload.state",
        values=_object(f"{RIELLO}.1.6.2.1.2.1", f"{RIELLO}.1.6.3.8"),
    ),
    Said(
        "riello/netman", f"{RIELLO}.2.0.4", "overload", "info", "ups.overload.state", phase="ended",
        values=_object(f"{RIELLO}.1.6.2.1.2.1", f"{RIELLO}.1.6.3.8"),
    ),
    Said("riello/netman", "1.3.6.1.2.1.33.2.1", "on_battery", "major", "ups.output.source", phase="happened"),
    Said(
        "liebert/gp-ups", f"{LIEBERT}.3.0.1", "on_battery", "major", "ups.output.source",
        values=_object(f"{LIEBERT}.2.3.1.2.9", f"{LIEBERT}.2.1.72"),
    ),
    Said(
        "liebert/gp-crac", f"{LIEBERT}.3.0.1", "humidifier", "major", "crac.humidifier.state",
        values=_object(f"{LIEBERT}.2.3.1.2.9", f"{LIEBERT}.2.1.133"),
    ),
    Said("stulz/wib8000", f"{STULZ}.61", "compressor", "major", "crac.compressor.alarm.state", phase="happened"),
    Said("stulz/wib8000", f"{STULZ}.89", "filter", "minor", "crac.filter.state", phase="happened"),
    Said(
        "rittal/cmc3", f"{RITTAL}.0.1", "sensor", "major", "sensor.state", phase="happened",
        values=_number(f"{RITTAL}.4.3.2.1.4.2.7", 3),
    ),
    Said(
        "rittal/lcp", f"{RITTAL}.0.2", "communication_lost", "critical", "device.communication", phase="happened",
        values=_number(f"{RITTAL}.4.1.2.1.6.2", 4),
    ),
    Said("geist/watchdog-v4", f"{GEIST}.1.32767.0.10205", "temperature", "major", "room.temperature"),
    Said("vertiv/geist-rpdu", f"{GEIST}.2.32767.0.10328", "overload", "major", "power.current"),
    Said("vertiv/geist-rpdu", f"{GEIST}.2.32767.0.20328", "overload", "info", "power.current", phase="ended"),
    Said("akcp/sensorprobe", "1.3.6.1.4.1.3854.1.0.103", "temperature", "major", "room.temperature", phase="happened"),
    Said("hwg/wld", "1.3.6.1.4.1.21796.4.5.0.1", "leak", "critical", "leak.state"),
    Said("hwg/poseidon", "1.3.6.1.4.1.21796.3.3.0.3", "condition", "major", "device.alarms.active"),
    Said("raritan/pdu2", "1.3.6.1.4.1.13742.6.0.65", "output_off", "critical", "breaker.state", phase="happened"),
    Said("alpha/fxm", "1.3.6.1.4.1.7309.6.1.7.0.1", "condition", "major", "sensor.state", phase="happened"),
]  # fmt: skip


async def test_a_trap_of_each_family_is_understood_as_its_maker_means_it(tmp_path: Path) -> None:
    profiles = list(dict.fromkeys(said.profile for said in SAID))
    hosts = {profile: f"127.0.1.{number}" for number, profile in enumerate(profiles, 1)}
    devices = [
        {**ups(free_port("udp"), device=profile.replace("/", "-"), host=host, interval="1h"), "profile": profile}
        for profile, host in hosts.items()
    ]
    async with listening(tmp_path, *devices) as (agent, sender):
        for said in SAID:
            assert await sender.v2c(said.oid, *said.values, (ORIGIN, "a", hosts[said.profile])) == 0
        await until_async(lambda: agent.figures.traps[TrapResult.UNDERSTOOD] == len(SAID))
        told = [
            (each.device, each.detail["trap"], each.detail["meaning"], each.detail["severity"],
             each.detail.get("metric", ""), each.detail["phase"])
            for each in await until_async(lambda: _all(agent))
        ]  # fmt: skip
        assert told == [
            (said.profile.replace("/", "-"), said.oid, said.meaning, said.severity, said.metric, said.phase)
            for said in SAID
        ]


async def _all(agent: Agent) -> list[EventItem]:
    found = await events(agent)
    return found if len(found) >= len(SAID) else []
