"""Agents with devices, made through the true catalog path."""

from facility.catalog import Catalog, CatalogDevice, CatalogLevel, CatalogPoint, CatalogRule
from facility.severity import Severity
from server.fleet import catalogs, repository, service
from server.fleet.models import Device, Point
from server.fleet.refs import AgentRef
from server.fleet.schemas import AgentIn
from server.kit.scope import Scope
from tests.server.factories import Place, World

STREAM = "0190f3c0-0000-7000-8000-00000000000a"


def a_catalog(
    *devices: str,
    room: str = "",
    metric: str = "room.temperature",
    limit: float = 28.0,
    revision: str = "r1",
    interval_s: float = 10.0,
) -> Catalog:
    """Devices with one point each, all judged by one rule."""
    return Catalog(
        agent_version="1.0.0",
        config_digest="c0ffee",
        devices=tuple(
            CatalogDevice(
                id=device,
                kind="sensor",
                name_en=device.title(),
                room=room,
                interval_s=interval_s,
                points=(CatalogPoint(metric, unit="Cel", interval_s=interval_s),),
                rules=("room-hot",),
            )
            for device in devices
        ),
        rules=(
            CatalogRule(
                id="room-hot",
                revision=revision,
                metric="room.temperature",
                title_en="Room hot",
                title_zh="机房高温",
                source="GB 50174-2017",
                levels=(CatalogLevel("hi", "high", Severity.MAJOR, limit, limit - 1),),
            ),
        ),
    )


async def make_agent(world: World, place: Place, code: str = "edge1") -> AgentRef:
    """The agent of a place, made when it is not there."""
    async with world.server.db.write() as session:
        found = await repository.find_agent(session, Scope.system(), place.site.code, code)
        if found is None:
            body = AgentIn(site=place.site.id, code=code)
            found = await service.create_agent(session, Scope.system(), body, now=world.clock.now())
        return repository.agent_ref(found)


async def announce(world: World, agent: AgentRef, catalog: Catalog, *, seq: int = 1) -> None:
    """Have the server take a catalog."""
    async with world.server.db.write() as session:
        refused = await catalogs.receive(session, agent, catalog, stream=STREAM, seq=seq, now=world.clock.now())
    assert refused == []


async def make_device(world: World, place: Place, device: str = "th1") -> tuple[Device, Point]:
    """A device of the place's agent, in its room, and its one point."""
    agent = await make_agent(world, place)
    await announce(world, agent, a_catalog(device, room=place.room.code))
    async with world.server.db.read() as session:
        row = await service.device(session, Scope.system(), place.site.id, device)
        (point,) = await service.points_of(session, Scope.system(), row.id)
    return row, point
