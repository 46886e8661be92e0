"""Who and what is known here, remembered between batches: agents by topic, points by name, catalogs by digest."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.fleet.models import Point
from server.fleet.refs import AgentRef
from server.history.rollup import hold_ms
from server.kit.scope import Scope

PointName = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class PointEntry:
    """Where a point's readings go."""

    id: str
    device_id: str
    hold_ms: int


class Directory:
    """A cache of rows that never change their identity; what another process adds is looked up when it is missed."""

    def __init__(self) -> None:
        self._agents: dict[tuple[str, str], AgentRef] = {}
        self._catalogs: set[tuple[str, str]] = set()
        self._acquainted: set[tuple[str, str]] = set()
        self._points: dict[str, dict[PointName, PointEntry]] = {}
        self._devices: dict[str, dict[str, str]] = {}

    async def find_agent(self, session: ReadSession, site: str, code: str) -> AgentRef | None:
        """Ask the database; the caller remembers what its transaction really committed."""
        row = await fleet.find_agent(session, Scope.system(), site, code)
        return fleet.agent_ref(row) if row is not None else None

    async def agent_codes(self, session: ReadSession) -> list[tuple[str, str]]:
        """(site, agent) as in their topics, of every agent that is enrolled; from the database."""
        return await fleet.topic_codes(session, Scope.system())

    def known_agent(self, site: str, code: str) -> AgentRef | None:
        """Without asking the database."""
        return self._agents.get((site, code))

    def remember(self, agent: AgentRef) -> None:
        self._agents[agent.site.code, agent.code] = agent

    async def knows_catalog(self, session: ReadSession, agent: AgentRef, digest: str) -> bool:
        """ "" names no catalog and is always known."""
        if not digest or (agent.id, digest) in self._catalogs:
            return True
        if not await fleet.known_catalogs(session, agent.id, [digest]):
            return False
        self._catalogs.add((agent.id, digest))
        return True

    def may_acquaint(self, agent: AgentRef, digest: str) -> bool:
        """Whether the devices of a catalog may not all be known yet."""
        return (agent.id, digest) not in self._acquainted

    def note_acquainted(self, agent: AgentRef, digest: str) -> None:
        self._acquainted.add((agent.id, digest))

    def forget_site(self, site_id: str) -> None:
        self._points.pop(site_id, None)
        self._devices.pop(site_id, None)

    async def load(self, session: ReadSession, site_id: str, wanted: Iterable[PointName]) -> None:
        """Have the points of a site at hand; asks again when one that is wanted is missing."""
        known = self._points.get(site_id)
        if known is not None and all(name in known for name in wanted):
            return
        points = {
            (row[0], row[1], row[2]): PointEntry(row[3], row[4], hold_ms(row[5], row[6]))
            for row in await fleet.point_index(session, Scope.system(), site_id)
        }
        devices = await fleet.devices_of_site(session, Scope.system(), site_id)
        # Both or neither: a database may refuse in between, and a device that is not at hand counts as unknown.
        self._points[site_id] = points
        self._devices[site_id] = {slug: row.id for slug, row in devices.items()}

    def has(self, agent: AgentRef, digest: str, names: Iterable[PointName]) -> bool:
        """Whether a catalog and these points are at hand, so that the database need not be asked."""
        known = self._points.get(agent.site.id, {})
        return (not digest or (agent.id, digest) in self._catalogs) and all(name in known for name in names)

    def point(self, site_id: str, name: PointName) -> PointEntry | None:
        return self._points.get(site_id, {}).get(name)

    def device_id(self, site_id: str, device: str) -> str | None:
        return self._devices.get(site_id, {}).get(device)

    def add(self, site_id: str, device: str, row: Point) -> None:
        name = (device, row.metric, row.subject)
        self._points[site_id][name] = PointEntry(row.id, row.device_id, hold_ms(row.interval_s, row.heartbeat_s))
