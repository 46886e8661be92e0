"""Every verdict of the wire, given by the true processor on both databases to blocks made by hand."""

import json
import zlib

from facility.clock import to_ms
from facility.wire import MAX_BODY, RejectReason, Verdict
from server.ingest import repository
from server.ingest.processor import POISON_TRIES
from server.kit.paging import PageRequest
from tests.server.conftest import START
from tests.server.ingest.conftest import Station
from tests.server.ingest.wire_by_hand import Sender, block, catalog, digest, series, topic

AT = to_ms(START)
TEMPERATURE = "room.temperature"


async def catalogued(station: Station) -> tuple[Sender, str]:
    """A sender whose catalog (one device `th1`) is taken, and the digest the server knows it by."""
    sender = await station.sender()
    (answer,) = await station.take(sender.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]}, room="hall")]))
    assert answer.verdict is Verdict.COMMITTED
    assert answer.rejected == ()
    async with station.server.db.read() as session:
        agent = await repository_agent(station, session)
    return sender, agent.catalog_digest


async def repository_agent(station: Station, session):  # type: ignore[no-untyped-def]
    from server.fleet import repository as fleet  # noqa: PLC0415
    from server.kit.scope import Scope  # noqa: PLC0415

    return await fleet.find_agent(session, Scope.system(), "home", "edge1")


async def values_of(station: Station, device: str = "th1", metric: str = TEMPERATURE) -> list[tuple[int, float | None]]:
    from server.fleet import repository as fleet  # noqa: PLC0415
    from server.kit.scope import Scope  # noqa: PLC0415

    async with station.server.db.read() as session:
        point = await fleet.find_point(session, Scope.system(), station.world.home.site.id, device, metric, "")
    assert point is not None
    return [(row.at, row.value) for row in await station.store.raw(point.id, 0, AT * 2, limit=1000)]


async def test_readings_are_committed_and_there(station: Station) -> None:
    sender, known = await catalogued(station)
    sent = sender.next("readings", [series("th1", TEMPERATURE, [(AT, 21.5), (AT + 10_000, 22.0)])], catalog=known)
    (answer,) = await station.take(sent)
    assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
    assert await values_of(station) == [(AT, 21.5), (AT + 10_000, 22.0)]
