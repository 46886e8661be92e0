"""A real device, a real broker, the true agent: poll, judge, keep, send, be answered."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agent.ledger import Ledger
from tests.agent.running import running, ups, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.peers import free_port, until_async
from tests.support.snmpd import Snmpd

UPS = "1.3.6.1.2.1.33.1"
HEALTHY = [
    (f"{UPS}.2.1.0", "integer", 2),  # upsBatteryStatus: normal
    (f"{UPS}.2.3.0", "integer", 60),  # upsEstimatedMinutesRemaining
    (f"{UPS}.2.4.0", "integer", 97),  # upsEstimatedChargeRemaining
    (f"{UPS}.4.1.0", "integer", 3),  # upsOutputSource: normal
]
ON_BATTERY = [*HEALTHY[:3], (f"{UPS}.4.1.0", "integer", 5)]
ROOMS = [{"id": "hall", "name": {"zh": "主机房"}}]


async def _page(agent_url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(agent_url.replace("/metrics", path))


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("snmpd")
async def test_a_value_goes_from_the_device_to_the_centre_and_is_answered(
    tmp_path: Path, mosquitto: Mosquitto, snmpd: Snmpd
) -> None:
    snmpd.serve(HEALTHY)
    dead = ups(free_port("udp"), device="ups-dead")
    config = write_config(tmp_path, broker=mosquitto.url, devices=[ups(snmpd.port), dead], rooms=ROOMS)
    async with Ledger(mosquitto.host, mosquitto.port) as ledger, running(config) as agent:
        await until_async(lambda: len(ledger.samples("ups-1", "ups.battery.charge")) >= 3, timeout=20)
        assert {value for _, value in ledger.samples("ups-1", "ups.battery.charge")} == {97}
        assert {value for _, value in ledger.samples("ups-1", "ups.output.source")} == {"normal"}

        snmpd.serve(ON_BATTERY)
        await until_async(lambda: any(event["device"] == "ups-1" for event in ledger.events()), timeout=30)
        raised = next(event for event in ledger.events() if event["device"] == "ups-1")
        assert (raised["kind"], raised["revision"], raised["origin"]) == ("raised", 1, "edge-1")

        text = (await _page(agent.metrics_url, "/metrics")).text
        assert 'coldaisle_device_up{device="ups-1",site="s1"} 1.0' in text
        assert 'coldaisle_device_up{device="ups-dead",site="s1"} 0.0' in text
        assert 'coldaisle_ups_battery_charge_percent{device="ups-1",site="s1",subject=""} 97.0' in text
        assert 'device="ups-dead",site="s1",subject=""' not in text
        assert (await _page(agent.metrics_url, "/healthz")).status_code == 200
        assert (await _page(agent.metrics_url, "/readyz")).text == "ok\n"

        await until_async(lambda: sum(agent.journal.stats().unsent_blocks.values()) == 0, timeout=10)
    assert ledger.conflicting == []
    kinds = {header["kind"] for header, _ in ledger.blocks.values()}
    assert kinds == {"alarms", "events", "catalog", "health", "readings"}
    catalog = ledger.items("catalog")[-1]
    assert {device["id"] for device in catalog["devices"]} == {"ups-1", "ups-dead"}
    assert any(point["metric"] == "ups.battery.charge" for point in catalog["devices"][0]["points"])
    await until_async(lambda: ledger.statuses[-1]["state"] == "offline" if ledger.statuses else False, timeout=5)


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("snmpd")
async def test_a_catalog_says_which_devices_have_not_shown_all_their_points(
    tmp_path: Path, mosquitto: Mosquitto, snmpd: Snmpd
) -> None:
    snmpd.serve(HEALTHY)
    dead = ups(free_port("udp"), device="ups-dead")
    config = write_config(tmp_path, broker=mosquitto.url, devices=[ups(snmpd.port), dead], rooms=ROOMS)
    async with Ledger(mosquitto.host, mosquitto.port) as ledger:
        async with running(config):
            await until_async(lambda: len(ledger.items("catalog")) >= 2, timeout=20)
        async with running(config):
            await until_async(lambda: len(ledger.items("catalog")) >= 4, timeout=20)
    said = [
        {device["id"]: (device.get("partial", False), bool(device["points"])) for device in catalog["devices"]}
        for catalog in (item for _, item in sorted(_catalogs(ledger)))
    ]
    began = {"ups-1": (True, False), "ups-dead": (True, False)}
    assert said == [began, {**began, "ups-1": (False, True)}] * 2


def _catalogs(ledger: Ledger) -> list[tuple[int, dict[str, Any]]]:
    """In the order they were first delivered."""
    return [
        (ledger.order.index(name), item)
        for name, (header, items) in ledger.blocks.items()
        if header["kind"] == "catalog"
        for item in items
    ]
