"""A catalog that no block can hold: it is said, and the readings go."""

from pathlib import Path

import pytest

from agent.journal import fits
from agent.knowledge import carried
from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.items import decode_catalogs, decode_events
from facility.wire import Kind, decode
from tests.agent.counting import counting_gateway, units, write_profile
from tests.agent.running import running, write_config
from tests.support.peers import until_async


def catalog(devices: int, points: int) -> Catalog:
    return Catalog(
        agent_version="test",
        devices=tuple(
            CatalogDevice(
                id=f"meter-{number}",
                kind="meter",
                points=tuple(
                    CatalogPoint(f"unmapped.vendor.p{at}", f"outlet/{at}", "1", f"Outlet {at} current", f"插座{at}电流")
                    for at in range(points)
                ),
            )
            for number in range(devices)
        ),
    )


def test_a_catalog_beyond_the_caps_goes_without_its_points_or_not_at_all() -> None:
    said: list[tuple[str, dict[str, str]]] = []

    def say(what: str, detail: dict[str, str]) -> None:
        said.append((what, detail))

    small = catalog(5, 100)
    assert carried(small, say) is small
    assert said == []
    large = catalog(5, 5_000)
    assert not fits(large)
    less = carried(large, say)
    assert less is not None
    assert [(each.id, each.points, each.partial) for each in less.devices] == [
        (f"meter-{number}", (), True) for number in range(5)
    ]
    assert carried(catalog(20_000, 0), say) is None
    assert said == [
        ("catalog_too_large", {"reason": "without_points", "devices": "5", "points": "25000"}),
        ("catalog_too_large", {"reason": "not_sent", "devices": "20000", "points": "0"}),
    ]


@pytest.mark.parametrize("reason", ["without_points", "not_sent"])
async def test_readings_go_though_the_catalog_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def small(item: Catalog) -> bool:
        return reason == "without_points" and not any(device.points for device in item.devices)

    monkeypatch.setattr("agent.knowledge.fits", small)
    async with counting_gateway() as gateway:
        profiles = {"folders": [str(write_profile(tmp_path))]}
        async with running(write_config(tmp_path, devices=units(gateway.port, 2), profiles=profiles)) as agent:
            await until_async(lambda: agent.figures.polls["ok"] >= 2)
            await agent.journal.commit()
            catalogs = await agent.journal.unsent(Kind.CATALOG, limit=9)
            readings = await agent.journal.unsent(Kind.READINGS, limit=9)
            events = await agent.journal.unsent(Kind.EVENTS, limit=9)
    assert readings
    if reason == "not_sent":
        assert catalogs == []
        assert {each.block.catalog for each in readings} == {""}
    else:
        assert {each.block.catalog for each in readings} <= {each.block.names for each in catalogs}
        for each in catalogs:
            (found,), refused = decode_catalogs(decode(each.block.payload()).items)
            assert [(device.id, device.partial) for device in found.devices] == [("unit-1", True), ("unit-2", True)]
            assert found.rules
            assert not refused
    said = [event.detail for each in events for event in decode_events(decode(each.block.payload()).items)[0]]
    assert [each["reason"] for each in said if each.get("what") == "catalog_too_large"] == [reason]
