"""A machine room with a day of history behind it, made through the domains' own services."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.catalog import Catalog, CatalogDevice, CatalogLevel, CatalogPoint, CatalogRule
from facility.clock import to_ms
from facility.ids import new_id
from facility.items import AlarmItem
from facility.metrics import metric
from facility.severity import Severity
from facility.states import STATES
from facility.wire import VERSION, AgentState, Status
from server.alarms.service import AlarmService
from server.app import Server
from server.assets import service as assets
from server.assets.models import Asset, AssetCategory
from server.assets.schemas import AssetIn
from server.customers import service as customers
from server.customers.models import Site
from server.customers.schemas import CustomerIn, RoomIn, SiteIn
from server.fleet import catalogs, repository
from server.fleet import service as fleet
from server.fleet.models import Device, Point
from server.fleet.refs import AgentRef
from server.fleet.schemas import AgentIn
from server.history.service import HistoryService
from server.history.store import PointSamples, ReadingsBlock
from server.kit.paging import PageRequest
from server.kit.scope import Scope
from server.maintenance import repository as orders
from server.maintenance import service as maintenance
from server.maintenance.generator import Generator
from server.maintenance.repository import OrderFilter
from server.maintenance.schemas import PlanIn
from tests.server.finding import service_of

STREAM = "0190f3c0-0000-7000-8000-00000000000b"
INTERVAL_S = 60
SYSTEM = Scope.system()
# Nothing was measured in this hour of the day before `now`: curves must show a hole.
HOLE = (timedelta(hours=9), timedelta(hours=8))

ROOMS = {"main": "主机房 Main room", "ups": "UPS间 UPS room"}
_TEMPERATURE, _HUMIDITY = "room.temperature", "room.humidity"
# id, kind, names, room, zone, {metric: (level, swing)} or {metric: state word}
DEVICES: tuple[tuple[str, str, str, str, str, str, dict[str, tuple[float, float] | str]], ...] = (
    ("th-01", "environment", "Cold aisle A, front", "冷通道A 前部", "main", "cold-aisle",
     {_TEMPERATURE: (22.4, 0.7), _HUMIDITY: (47.0, 3.0)}),
    ("th-02", "environment", "Cold aisle A, rear", "冷通道A 后部", "main", "cold-aisle",
     {_TEMPERATURE: (23.1, 0.8), _HUMIDITY: (46.0, 3.0)}),
    ("th-03", "environment", "Cold aisle B, front", "冷通道B 前部", "main", "cold-aisle",
     {_TEMPERATURE: (23.9, 0.9), _HUMIDITY: (44.0, 3.0)}),
    ("th-04", "environment", "Hot aisle, middle", "热通道 中部", "main", "hot-aisle",
     {_TEMPERATURE: (33.6, 1.4), _HUMIDITY: (28.0, 2.0)}),
    ("dp-1", "environment", "Room to corridor", "机房对走廊静压差", "main", "",
     {"room.pressure.differential": (12.5, 1.5)}),
    ("baro-1", "environment", "Barometer", "气压变送器", "main", "", {"air.pressure.barometric": (101320.0, 180.0)}),
    ("crac-1", "crac", "CRAC 1", "1号精密空调", "main", "",
     {"crac.state": "on", "crac.return_air.temperature": (31.2, 1.2), "crac.supply_air.temperature": (18.2, 0.6)}),
    ("crac-2", "crac", "CRAC 2", "2号精密空调", "main", "",
     {"crac.state": "on", "crac.return_air.temperature": (30.4, 1.2), "crac.supply_air.temperature": (18.6, 0.6)}),
    ("leak-1", "leak", "Leak rope under the floor", "地板下漏水检测", "main", "", {"leak.state": "dry"}),
    ("ups-1", "ups", "UPS A", "A路UPS", "ups", "ups-room",
     {"ups.output.source": "normal", "ups.output.load": (41.0, 5.0), "ups.battery.charge": (99.6, 0.3)}),
    ("ups-2", "ups", "UPS B", "B路UPS", "ups", "ups-room",
     {"ups.output.source": "normal", "ups.output.load": (38.0, 5.0), "ups.battery.charge": (99.1, 0.3)}),
)  # fmt: skip
RULE = CatalogRule(
    id="room-temperature",
    revision="r1",
    metric=_TEMPERATURE,
    title_en="Cold aisle too warm",
    title_zh="冷通道温度过高",
    source="GB 50174-2017 附录A",
    levels=(
        CatalogLevel("hi", "high", Severity.MAJOR, 27.0, 26.0),
        CatalogLevel("hihi", "high", Severity.CRITICAL, 30.0, 29.0),
        CatalogLevel("lo", "low", Severity.MINOR, 18.0, 19.0),
    ),
    for_s=60.0,
    clear_for_s=120.0,
)
HUMID = CatalogRule(
    id="room-humidity",
    revision="r1",
    metric=_HUMIDITY,
    title_en="Relative humidity out of range",
    title_zh="相对湿度超限",
    source="GB 50174-2017 附录A",
    levels=(CatalogLevel("hi", "high", Severity.MINOR, 60.0, 58.0),),
)


@dataclass(frozen=True, slots=True)
class Seeded:
    """What a test asks for by name. `hot` is the active alarm of th-03 (major), `humid` one of th-01 that is over.

    `plans`: monthly work on all air conditioners, and floating work on ups-1. `order`: the open order of the first.
    """

    site: Site
    agent: AgentRef
    devices: dict[str, Device]
    points: dict[tuple[str, str], Point]
    hot: str
    humid: str
    assets: dict[str, Asset]
    plans: list[str]
    order: str

    def point(self, device: str, name: str = _TEMPERATURE) -> Point:
        return self.points[device, name]


async def seed(server: Server, *, code: str = "jinan", device_suffix: str = "") -> Seeded:
    """Everything of one customer; `device_suffix` goes into the English device names (for texts that must be escaped).

    The story: th-03 warms up from 45 minutes ago and crosses 27 degrees 20 minutes ago.
    """
    now = server.kit.clock.now()
    site = await _site(server, code, now)
    agent = await _agent(server, site, device_suffix, now)
    async with server.db.read() as session:
        devices = await repository.devices_of_site(session, SYSTEM, site.id)
        points = await repository.points_of_devices(session, SYSTEM, [row.id for row in devices.values()])
    by_name = {(point.device.device, point.metric): point for point in points}
    await _readings(server, agent, by_name, now)
    hot, humid = await _alarms(server, agent, now)
    things = await _assets(server, site, now)
    plans, order = await _maintenance(server, site, things, now)
    return Seeded(site, agent, devices, by_name, hot, humid, things, plans, order)


async def _site(server: Server, code: str, now: datetime) -> Site:
    async with server.db.write() as session:
        customer = await customers.create_customer(
            session, SYSTEM, CustomerIn(code=f"{code}-co", name=f"{code.title()} 数据中心"), now=now
        )
        site = await customers.create_site(
            session, SYSTEM, SiteIn(customer=customer.id, code=code, name=f"{code.title()} 站点"), now=now
        )
        for room, name in ROOMS.items():
            await customers.create_room(session, SYSTEM, RoomIn(site=site.id, code=room, name=name), now=now)
    return site


async def _agent(server: Server, site: Site, suffix: str, now: datetime) -> AgentRef:
    rules = {_TEMPERATURE: RULE.id, _HUMIDITY: HUMID.id}
    catalog = Catalog(
        agent_version="1.0.0",
        devices=tuple(
            CatalogDevice(
                id=key,
                kind=kind,
                name_en=en + suffix,
                name_zh=zh,
                vendor="Acme",
                model=f"{kind.upper()}-100",
                serial=f"SN{position:04d}",
                profile=f"generic/{kind}",
                protocol="modbus",
                address="192.0.2.10",
                room=room,
                zone=zone,
                interval_s=INTERVAL_S,
                points=tuple(_point(name) for name in values),
                rules=tuple(rules[name] for name in values if name in rules and zone != "hot-aisle"),
            )
            for position, (key, kind, en, zh, room, zone, values) in enumerate(DEVICES)
        ),
        rules=(RULE, HUMID),
    )
    async with server.db.write() as session:
        row = await fleet.create_agent(session, SYSTEM, AgentIn(site=site.id, code="edge-1"), now=now)
        agent = repository.agent_ref(row)
        refused = await catalogs.receive(session, agent, catalog, stream=STREAM, seq=1, now=now)
        assert refused == []
        status = Status(v=VERSION, state=AgentState.ONLINE, version="1.0.0", since=to_ms(now))
        await fleet.note_status(session, agent, status, now=now)
    return agent


def _point(name: str) -> CatalogPoint:
    entry = metric(name)
    return CatalogPoint(name, unit=entry.unit.value, label_en=entry.en, label_zh=entry.zh, interval_s=INTERVAL_S)


def _value(level: float, swing: float, minutes_ago: int, *, warms: bool) -> float:
    wave = math.sin(minutes_ago / 140.0) + 0.25 * math.sin(minutes_ago / 7.0)
    heat = max(0.0, (45 - minutes_ago) / 45 * 5.5) if warms else 0.0
    return round(level + swing * wave + heat, 2)


async def _readings(
    server: Server, agent: AgentRef, points: dict[tuple[str, str], Point], now: datetime, *, hours: int = 30
) -> None:
    history = service_of(server, HistoryService).history
    series = []
    for key, _, _, _, _, _, values in DEVICES:
        for name, shape in values.items():
            at, column = [], []
            for minutes_ago in range(hours * 60, -1, -1):
                taken = now - timedelta(minutes=minutes_ago)
                if now - HOLE[0] < taken < now - HOLE[1]:
                    continue
                at.append(to_ms(taken))
                if isinstance(shape, str):
                    states = metric(name).states or STATES["health"]
                    column.append(float(states.by_word(shape).code))
                else:
                    warms = key == "th-03" and name == _TEMPERATURE
                    column.append(_value(*shape, minutes_ago, warms=warms))
            series.append(PointSamples(points[key, name].id, INTERVAL_S * 3000, at, column, [0] * len(at)))
    block = ReadingsBlock(agent_id=agent.id, stream=STREAM, seq=2, digest="d" * 32, series=series)
    await history.write([block], now_ms=to_ms(now))


def _event(kind: AlarmEventKind, occurrence: str, at: datetime, **fields: object) -> AlarmItem:
    values: dict[str, object] = {
        "occurrence": occurrence,
        "revision": 1,
        "kind": kind,
        "origin": "edge-1",
        "device": "th-03",
        "rule": RULE.id,
        "subject": "",
        "metric": _TEMPERATURE,
        "level": "hi",
        "severity": Severity.MAJOR,
        "at": to_ms(at),
        "value": 27.2,
        "limit": 27.0,
        "reason": "above_limit",
        "rule_revision": "r1",
    }
    return AlarmItem(event=AlarmEvent(**{**values, **fields}))  # type: ignore[arg-type]


async def _alarms(server: Server, agent: AgentRef, now: datetime) -> tuple[str, str]:
    """Through the service that ingest uses, so that tickets and notifications follow as they do in earnest."""
    raised, before = now - timedelta(minutes=20), now - timedelta(hours=5)
    hot, humid = new_id(to_ms(raised)), new_id(to_ms(before))
    damp = {
        "device": "th-01", "rule": HUMID.id, "metric": _HUMIDITY, "severity": Severity.MINOR, "value": 61.0,
        "limit": 60.0,
    }  # fmt: skip
    over = {**damp, "revision": 2, "reason": EndReason.RECOVERED.value, "value": 57.0}
    items = [
        _event(AlarmEventKind.RAISED, humid, before, **damp),
        _event(AlarmEventKind.ENDED, humid, before + timedelta(minutes=25), **over),
        _event(AlarmEventKind.RAISED, hot, raised),
    ]
    async with server.db.write() as session:
        service = service_of(server, AlarmService)
        assert await service.apply(session, site=agent.site, agent=agent, items=items, now=now) == []
    return hot, humid


async def _assets(server: Server, site: Site, now: datetime) -> dict[str, Asset]:
    """One with long to go, one with 29 days left, one that is over, one that is not accepted."""
    today = assets.site_day(site, now)
    rows: dict[str, tuple[AssetCategory, str, str, int | None]] = {
        "ups-1": (AssetCategory.UPS, "UPS A", "A路UPS", 200),
        "crac-2": (AssetCategory.CRAC, "CRAC 2", "2号精密空调", 366 - 30),
        "crac-1": (AssetCategory.CRAC, "CRAC 1", "1号精密空调", 500),
        "ups-2": (AssetCategory.UPS, "UPS B", "B路UPS", None),
    }
    made = {}
    async with server.db.write() as session:
        for device, (category, en, zh, accepted_days_ago) in rows.items():
            accepted = None if accepted_days_ago is None else today - timedelta(days=accepted_days_ago)
            body = AssetIn(
                site=site.id,
                device=device,
                category=category,
                name_en=en,
                name_zh=zh,
                vendor="Acme",
                model=f"{category.value.upper()}-100",
                serial=f"A-{device}",
                supplier="Jinan Service",
                accepted_on=accepted,
                warranty_months=12,
            )
            made[device] = await assets.create_asset(session, SYSTEM, body, now=now)
    return made


async def _maintenance(server: Server, site: Site, things: dict[str, Asset], now: datetime) -> tuple[list[str], str]:
    """Two plans and the orders the generator makes of them."""
    wall = (now + timedelta(hours=30)).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    check = {"id": "filter", "kind": "clean", "title_en": "Clean the filter", "title_zh": "清洁过滤网", "type": "bool"}
    measured = {
        "id": "supply", "kind": "measure", "title_en": "Supply air", "title_zh": "送风温度", "type": "number",
        "unit": "Cel", "lower": 15.0, "upper": 22.0, "source": "GB 50174-2017",
    }  # fmt: skip
    belt = {
        "id": "belt", "kind": "check", "title_en": "Fan belt", "title_zh": "风机皮带", "type": "choice",
        "choices": [
            {"value": "good", "title_en": "Good", "title_zh": "良好"},
            {"value": "worn", "title_en": "Worn", "title_zh": "磨损", "passes": False},
        ],
    }  # fmt: skip
    monthly = {
        "site": site.id, "category": "crac", "title_en": "Monthly care of CRAC", "title_zh": "精密空调月度保养",
        "rule": {"kind": "fixed", "rrule": "FREQ=WEEKLY;INTERVAL=2", "dtstart": wall},
        "checklist": [check, measured, belt],
    }  # fmt: skip
    yearly = {
        "asset": things["ups-1"].id, "title_en": "UPS discharge test", "title_zh": "UPS 核对性放电",
        "rule": {"kind": "floating", "every": 3, "step": "months", "dtstart": wall + timedelta(days=9)},
        "checklist": [check],
    }  # fmt: skip
    plans = []
    async with server.db.write() as session:
        for body in (monthly, yearly):
            plan = await maintenance.create_plan(session, SYSTEM, PlanIn.model_validate(body), template=None, now=now)
            plans.append(plan.id)
    async with server.db.write() as session:
        await service_of(server, Generator).run(session, now)
    async with server.db.read() as session:
        wanted = OrderFilter(plan=plans[0])
        found, _ = await orders.list_orders(session, SYSTEM, PageRequest(), wanted=wanted, now=now)
    return plans, found[0].id
