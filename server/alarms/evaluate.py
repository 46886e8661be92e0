"""The rules of the centre: those that look at several agents of a site, judged by the same engine as at the edge.

Invariants, each with a test of its name:
- time is sample time: readings are judged in the order they were taken, up to a watermark that follows the clock at
  `LAG`, and at a site with a metered link as much behind it as its agents say that they send readings (ADR 0010); what
  arrives later is history's business and neither raises nor clears;
- the engine's state is saved in the transaction of the alarm events it caused, so a restart, a failed transaction or
  another process goes on exactly where the last commit left off;
- a pause longer than `CATCH_UP_MS` counts for nobody, as when an agent was down.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter

import sqlalchemy as sa

from facility.alarms import CENTRE, AlarmEvent
from facility.clock import to_ms
from facility.ids import new_id
from facility.items import MAX_METERED_S
from facility.reading import PointKey, Quality, Reading
from rules.engine import Engine
from rules.facts import GAP_INTERVALS, DeviceFacts
from rules.model import RuleSet
from rules.parts import Where
from rules.records import SnapshotError
from server.alarms import repository
from server.alarms.centre_rules import CENTRE_RULES
from server.alarms.facts import facts_of, metered
from server.alarms.models import CentreRuleState
from server.alarms.service import AlarmService
from server.db.session import ReadSession, WriteSession
from server.fleet import repository as fleet
from server.fleet.models import AgentStatus
from server.history.codes import decode_value
from server.history.store import History
from server.kit.scope import Scope

log = logging.getLogger(__name__)

# Readings of agents that are connected are here within about 5 s (group commit, batch, commit): twice that.
LAG_MS = 10_000
# Ten minutes of the centre, and all that the watermark may have been behind: where a metered link gets cheaper, or its
# agents fall silent, what was waited for until then is still to be judged.
CATCH_UP_MS = 600_000 + int(MAX_METERED_S * 1000)
# How far back the newest value of a point may be and still hold for a rule: three polls of the slowest common
# interval, 5 min. The engine itself decides by the rule's gap.
LOOK_BACK_MS = 900_000


# Of a silent agent nothing is under way that would be worth waiting for.
_SENDING = (AgentStatus.ONLINE, AgentStatus.OFFLINE, AgentStatus.STOPPED)
_SYSTEM = Scope.system()


@dataclass(frozen=True, slots=True)
class _Site:
    """What the rules look at in a site: its devices, and the point ids in history. late_ms: how late readings come."""

    customer_id: str
    facts: tuple[DeviceFacts, ...]
    points: dict[str, PointKey]
    late_ms: int = 0


@dataclass(slots=True)
class _Held:
    engine: Engine
    watermark: int
    facts: tuple[DeviceFacts, ...]


def of_centre(rules: RuleSet) -> RuleSet:
    """The rules that are judged here."""
    return RuleSet(tuple(rule for rule in rules if rule.enabled and rule.where is Where.CENTRE))


class CentreRules:
    """One engine for each site; the saved state is the truth, engines in memory only save making them anew."""

    def __init__(self, alarms: AlarmService, *, rules: RuleSet, history: History) -> None:
        self._alarms = alarms
        self._rules = of_centre(rules)
        self._metrics = self._rules.metrics
        self._history = history
        self._held: dict[str, _Held] = {}

    async def look(self, session: WriteSession, now: datetime) -> None:
        """Job."""
        rows = await session.scalars(sa.select(CentreRuleState).with_for_update())
        saved = {row.site_id: row for row in rows}
        sites = await self._sites(session)
        for site_id in sorted(sites.keys() | saved.keys()):
            row = saved.get(site_id)
            site = sites.get(site_id) or _Site(saved[site_id].customer_id, (), {})
            until = to_ms(now) - LAG_MS - site.late_ms
            if row is None:
                await self._begin(session, site_id, site, until, now)
            elif until > row.watermark:
                await self._go_on(session, row, site, until, now)
        for gone in self._held.keys() - sites.keys():
            del self._held[gone]

    async def _sites(self, session: ReadSession) -> dict[str, _Site]:
        found: dict[str, _Site] = {}
        links = {agent.id: metered(agent) for agent in await fleet.agents_by_status(session, _SYSTEM, _SENDING)}
        rows = await fleet.points_of_metrics(session, _SYSTEM, self._metrics)
        for (customer_id, site_id), of_site in groupby(rows, key=lambda point: (point.customer_id, point.site_id)):
            points: dict[str, PointKey] = {}
            facts: list[DeviceFacts] = []
            late_ms = 0
            for _, of_device in groupby(of_site, key=attrgetter("device")):
                rows_of_device = list(of_device)
                device = rows_of_device[0]
                keys = {row.id: PointKey(row.device, row.metric, row.subject) for row in rows_of_device}
                points |= keys
                every_s, spacing_s = links.get(device.agent_id, (0.0, 0.0))
                late_ms = max(late_ms, int(every_s * 1000))
                facts.append(facts_of(device, keys.values(), spacing_s=spacing_s))
            found[site_id] = _Site(customer_id, tuple(facts), points, late_ms)
        return found

    async def _begin(self, session: WriteSession, site_id: str, site: _Site, until: int, now: datetime) -> None:
        held, _ = await self._make(site, None, until)
        session.add(
            CentreRuleState(
                id=new_id(to_ms(now)),
                customer_id=site.customer_id,
                site_id=site_id,
                watermark=until,
                state=held.engine.snapshot(),
            )
        )
        self._held[site_id] = held

    async def _go_on(self, session: WriteSession, row: CentreRuleState, site: _Site, until: int, now: datetime) -> None:
        events: list[AlarmEvent] = []
        begin = max(row.watermark, until - CATCH_UP_MS)
        held = self._held.get(row.site_id)
        if held is None or held.watermark != begin or held.facts != site.facts:
            try:
                held, events = await self._make(site, row.state, begin)
            except SnapshotError as error:
                log.error("the state of the centre's rules cannot be taken up", extra={"error": str(error)})
                # Also those of rules that are gone since: nobody else ends them. What the centre raises about itself is
                # not judged here.
                active = await repository.active_of_origin(session, site_id=row.site_id, origin=CENTRE)
                judged = [alarm for alarm in active if alarm.rule not in CENTRE_RULES]
                await self._alarms.forget_judged_here(session, judged, now)
                held, events = await self._make(site, None, begin)
        events += await self._judge(held.engine, site, begin, until)
        await self._alarms.judged_here(
            session, customer_id=row.customer_id, site_id=row.site_id, events=events, now=now
        )
        row.watermark, row.state = until, held.engine.snapshot()
        # Ahead of the commit: should that fail, the row's watermark is another and the engine is made anew.
        self._held[row.site_id] = replace(held, watermark=until)
        if not site.facts:
            await session.delete(row)

    async def _make(self, site: _Site, state: bytes | None, at: int) -> tuple[_Held, list[AlarmEvent]]:
        """An engine as it stood at `at`, and the ends of what has no rule or device any more. SnapshotError."""
        engine = Engine(self._rules, site.facts, origin=CENTRE, new_id=new_id, started_ms=at)
        events = [] if state is None else engine.restore(state, now_ms=at)
        slowest_ms = int(max((facts.interval_s for facts in site.facts), default=0.0) * 1000)
        back = max(LOOK_BACK_MS, GAP_INTERVALS * slowest_ms)
        window = await self._history.window(list(site.points), at - back, at + 1)
        for point, key in site.points.items():
            samples = window.get(point)
            # Of whom history has nothing lately, nothing is known: nobody waits for it.
            last = samples[-1] if samples else None
            value = decode_value(key.metric, last.value) if last is not None and last.quality == 0 else None
            engine.recall(key, at if last is None else last.at, value)
        return _Held(engine, at, site.facts), events

    async def _judge(self, engine: Engine, site: _Site, since: int, until: int) -> list[AlarmEvent]:
        """Play what was taken in (since, until]."""
        window = await self._history.window(list(site.points), since + 1, until + 1)
        readings: list[Reading] = []
        for point, samples in window.items():
            key = site.points[point]
            for sample in samples:
                quality = Quality.GOOD if sample.quality == 0 else Quality.BAD
                value = decode_value(key.metric, sample.value)
                readings.append(Reading(key.device, key.metric, key.subject, value, sample.at, quality))
        readings.sort(key=attrgetter("taken_at"))
        events: list[AlarmEvent] = []
        for at, together in groupby(readings, key=attrgetter("taken_at")):
            events += engine.advance(at)
            events += engine.samples(together)
        return events + engine.advance(until)


def titles_of(rules: RuleSet) -> dict[str, tuple[str, str]]:
    """(English, Chinese) of the rules judged here."""
    return {rule.id: (rule.title.en, rule.title.zh) for rule in of_centre(rules)}
