"""A site's history as a record that rules can be tried on (`coldaisle server backtest`)."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from facility.reading import PointKey
from rules.backtest import Chunk, Column
from rules.facts import DeviceFacts
from server.alarms.facts import facts_of, metered
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.history.codes import decode_value, is_state
from server.history.rollup import Sample
from server.history.store import History
from server.kit.scope import Scope

_SYSTEM = Scope.system()


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """The devices in use at a site, whose agent's each is, and the points of them that are looked at, by point id."""

    facts: tuple[DeviceFacts, ...]
    agents: dict[str, str]
    points: dict[str, PointKey]

    async def newest_at(self, history: History) -> int | None:
        """When the newest reading was taken, in ms UTC."""
        latest = await history.latest(list(self.points))
        return max((sample.at for sample in latest.values()), default=None)

    async def chunk(self, history: History, start: int, end: int) -> Chunk:
        """What was taken in [start, end), in ms UTC."""
        window = await history.window(list(self.points), start, end)
        return Chunk([_column(self.points[point], samples) for point, samples in window.items()])


async def record_of(session: ReadSession, site_id: str, metrics: Collection[str]) -> SiteRecord:
    """The record of a site for rules that need these metrics."""
    agents = {agent.id: agent for agent in await fleet.agents_of_sites(session, [site_id])}
    rows = [row for row in await fleet.points_of_metrics(session, _SYSTEM, metrics) if row.site_id == site_id]
    facts: list[DeviceFacts] = []
    owners: dict[str, str] = {}
    points: dict[str, PointKey] = {}
    for name, of_device in groupby(rows, key=attrgetter("device")):
        rows_of_device = list(of_device)
        device = rows_of_device[0]
        keys = {row.id: PointKey(row.device, row.metric, row.subject) for row in rows_of_device}
        agent = agents.get(device.agent_id)
        points |= keys
        owners[name] = "" if agent is None else agent.code
        facts.append(facts_of(device, keys.values(), spacing_s=0.0 if agent is None else metered(agent)[1]))
    return SiteRecord(tuple(facts), owners, points)


def _column(key: PointKey, samples: list[Sample]) -> Column:
    times = [sample.at for sample in samples]
    values: list[float | str | None] = [sample.value for sample in samples]
    if is_state(key.metric):
        words = {value: decode_value(key.metric, value) for value in {sample.value for sample in samples}}
        values = [words[sample.value] for sample in samples]
    good = [sample.quality == 0 for sample in samples]
    return key, times, values, None if all(good) else good
