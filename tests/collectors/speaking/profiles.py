"""Small profiles and pollers for these tests."""

import asyncio
import time
from typing import Any

from collectors.device import DevicePoller, ModbusLinks, ModbusTarget, PolledDevice, SnmpTarget, open_device
from collectors.exchange import PollOutcome
from facility.clock import SystemClock
from facility.profile import Profile
from facility.reading import QualityReason

CHARGE = "1.3.6.1.2.1.33.1.2.4.0"
RUNTIME = "1.3.6.1.2.1.33.1.2.3.0"
VOLTAGE = "1.3.6.1.2.1.33.1.2.5.0"
LOAD = "1.3.6.1.2.1.33.1.4.4.1.5"

TIMEOUT_S = 0.25


def system_clock() -> SystemClock:
    return SystemClock(asyncio.sleep)


class ShiftedClock(SystemClock):
    """The machine's clock, which a test may put forward by hours."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        super().__init__(asyncio.sleep, monotonic=lambda: time.monotonic() + self.ahead_s)


def profile(protocol: str, points: list[dict[str, Any]], **more: Any) -> Profile:
    return Profile.model_validate(
        {
            "id": "bench/device",
            "title": {"en": "Bench device", "zh": "台架设备"},
            "vendor": "Bench",
            "model": "Device",
            "kind": "ups",
            "protocol": protocol,
            "maturity": "documented",
            "provenance": "invented for a test of the clients",
            "points": points,
            **more,
        }
    )


def ups() -> Profile:
    """Three scalars and a table."""
    return profile(
        "snmp",
        [
            {"metric": "ups.battery.charge", "from": [{"oid": CHARGE, "unit": "%"}]},
            {"metric": "ups.battery.runtime", "from": [{"oid": RUNTIME, "unit": "min"}]},
            {"metric": "ups.battery.voltage", "from": [{"oid": VOLTAGE, "unit": "V", "scale": 0.1}]},
            {"metric": "ups.output.load", "subject": "phase/L{index}", "from": [{"column": LOAD, "unit": "%"}]},
        ],
    )


def probes(addresses: list[int], *, table: str = "holding", **limits: int) -> Profile:
    """One temperature at each address, in tenths."""
    return profile(
        "modbus",
        [
            {
                "metric": "room.temperature",
                "subject": f"probe/{address}",
                "from": [{table: address, "unit": "Cel", "scale": 0.1}],
            }
            for address in addresses
        ],
        kind="environment",
        modbus=limits or None,
    )


def poller(
    target: SnmpTarget | ModbusTarget,
    device_profile: Profile,
    *,
    name: str = "device-1",
    links: ModbusLinks | None = None,
    interval_s: float = 1.0,
    deadline_s: float = 3.0,
    clock: SystemClock | None = None,
) -> DevicePoller:
    clock = clock or system_clock()
    return open_device(
        PolledDevice(name, device_profile, target, interval_s, deadline_s),
        clock=clock,
        modbus_links=links or ModbusLinks(clock=clock),
    )


def values(outcome: PollOutcome) -> dict[str, float | str | None]:
    """Metric (and subject) to value, numbers rounded so that they can be compared."""
    return {
        reading.metric + (f"#{reading.subject}" if reading.subject else ""): round(reading.value, 6)
        if isinstance(reading.value, float)
        else reading.value
        for reading in outcome.readings
    }


def reasons(outcome: PollOutcome) -> dict[str, QualityReason | None]:
    """Metric (and subject) to why it is bad."""
    return {
        reading.metric + (f"#{reading.subject}" if reading.subject else ""): reading.reason
        for reading in outcome.readings
        if not reading.good
    }
