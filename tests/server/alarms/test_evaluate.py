"""Rules judged at the centre, over several agents, on sample time. On both databases."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner

from facility.alarms import EndReason
from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.clock import to_ms
from facility.config import ConfigErrors
from facility.ids import new_id
from facility.items import HealthItem
from rules.files import library, load_rules
from rules.model import RuleSet
from server.alarms.centre_rules import READINGS_DROPPED
from server.alarms.evaluate import LAG_MS, CentreRules, titles_of
from server.alarms.models import Alarm, CentreRuleState
from server.alarms.service import AlarmService
from server.app import build
from server.cli import app
from server.config import load_config
from server.fleet import repository
from server.fleet import service as fleet
from server.fleet.models import Agent, AgentStatus
from server.history.codes import encode_value
from server.history.service import HistoryService
from server.history.store import PointSamples, ReadingsBlock
from server.kit.scope import Scope
from tests.server.alarms.making import alarms
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import announce, make_agent

RULE = "site-ups-several-on-battery"
SOURCE = "ups.output.source"
STEP = 10


class Site:
    """Two agents with a UPS each, whose readings arrive as told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.start = to_ms(world.clock.now())
        self.points: dict[str, tuple[str, str]] = {}
        self.rules = self.centre(library())

    def centre(self, rules: RuleSet) -> CentreRules:
        """What another process, or this one started again, makes of the same database."""
        server = self.world.server
        alarms = AlarmService(titles=titles_of(rules))
        return CentreRules(alarms, rules=rules, history=service_of(server, HistoryService).history)

    async def announce(self, agent: str, device: str, *, gone: bool = False, **facts: Any) -> None:
        point = CatalogPoint(SOURCE, interval_s=STEP)
        ups = CatalogDevice(id=device, kind="ups", interval_s=STEP, points=(point,), **facts)
        ref = await make_agent(self.world, self.world.home, agent)
        devices = () if gone else (ups,)
        await announce(self.world, ref, Catalog(agent_version="1", devices=devices), seq=2 if gone else 1)
        async with self.world.server.db.read() as session:
            row = await fleet.device(session, Scope.system(), self.world.home.site.id, device)
            points = await fleet.points_of(session, Scope.system(), row.id)
        if not gone:
            self.points[device] = (ref.id, points[0].id)

    async def send(self, device: str, word: str | None, *seconds: int) -> None:
        """Readings taken at these seconds since the start arrive now."""
        agent, point = self.points[device]
        at = [self.start + second * 1000 for second in seconds]
        value = None if word is None else encode_value(SOURCE, word)
        samples = PointSamples(point, 30_000, at, [value] * len(at), [0 if word else 2] * len(at))
        block = ReadingsBlock(agent, new_id(at[0]), 1, "d", [samples])
        await service_of(self.world.server, HistoryService).history.write([block], now_ms=at[-1])

    async def metered(self, every_s: float, spacing_s: float) -> None:
        """Both agents say, by their health, how they send."""
        now = self.world.clock.now()
        health = HealthItem(to_ms(now), "1", "c", 1.0, 0, 0, 0.0, 0, 1, 0, 0, 0)
        item = replace(health, readings_every_s=every_s, spacing_s=spacing_s)
        for code in ("edge1", "edge2"):
            agent = await make_agent(self.world, self.world.home, code)
            async with self.world.server.db.write() as session:
                row = await repository.locked_agent(session, agent.id)
                assert row is not None
                fleet.note_health(row, item, stream="s1", now=now)
                await fleet.note_seen(session, {agent.id: now}, {}, watchers=[], now=now)

    async def at(self, second: int, rules: CentreRules | None = None) -> list[tuple[str, bool]]:
        """Judge what is here when the watermark is at this second; the alarms as (severity, active)."""
        self.world.clock.advance((self.start + second * 1000 + LAG_MS - to_ms(self.world.clock.now())) / 1000)
        async with self.world.server.db.write() as session:
            await (rules or self.rules).look(session, self.world.clock.now())
        return [(row.severity.value, row.active) for row in await alarms(self.world, rule=RULE)]


@pytest.fixture
async def site(world: World) -> Site:
    made = Site(world)
    await made.announce("edge1", "ups-1")
    await made.announce("edge2", "ups-2")
    await made.at(0)
    return made


def until(second: int, since: int = 0) -> range:
    return range(since, second + 1, STEP)


async def test_two_ups_of_two_agents_on_battery_are_one_critical_alarm_of_the_site(world: World, site: Site) -> None:
    await site.send("ups-1", "battery", *until(60, 10))
    await site.send("ups-2", "normal", *until(30, 10))
    await site.send("ups-2", "battery", *until(60, 40))
    assert await site.at(45) == []
    assert await site.at(60) == [("critical", True)]
    (row,) = await alarms(world, rule=RULE)
    assert (row.origin, row.device, row.subject, row.value) == ("centre", "site", "site", 2.0)
    assert row.device_en == world.home.site.name
    assert row.rule_zh == "站点多台UPS电池供电"
    assert to_ms(row.raised_at) == site.start + 50_000, "on sample time, whenever it was looked at"
    await site.send("ups-1", "battery", *until(120, 70))
    await site.send("ups-2", "normal", *until(120, 70))
    assert await site.at(120) == [("critical", False)]


async def test_late_data_neither_raises_nor_clears(site: Site) -> None:
    await site.send("ups-1", "battery", *until(60, 10))
    assert await site.at(60) == []
    await site.send("ups-2", "battery", *until(60, 10))
    assert await site.at(70) == [], "both were on battery, but that is history by now"
    await site.send("ups-1", "battery", *until(120, 70))
    await site.send("ups-2", "battery", *until(120, 70))
    assert await site.at(120) == [("critical", True)]
    await site.send("ups-1", "normal", 121, 122)
    await site.at(123)
    await site.send("ups-2", "normal", *until(119, 71))
    await site.send("ups-1", "battery", *until(180, 130))
    await site.send("ups-2", "battery", *until(180, 130))
    assert await site.at(180) == [("critical", True)]


@pytest.mark.parametrize(("late", "spacing_s", "sent", "old"), [(60, 0.0, STEP, 0), (240, 240.0, 240, 200)])
async def test_a_metered_site_is_judged_when_its_readings_have_come(
    world: World, site: Site, late: int, spacing_s: float, sent: int, old: int
) -> None:
    """Its agents send once a minute, or every few minutes, and no more samples than the month bears."""
    await site.metered(float(late), spacing_s)
    judged: list[tuple[str, bool]] = []
    for now in range(STEP, 5 * late, STEP):
        for device in ("ups-1", "ups-2") if now % late == 0 else ():
            word = "battery" if now > late else "normal"
            await site.send(device, word, *range(now - late + sent - old, now - old + 1, sent))
        judged = await site.at(now - LAG_MS // 1000)
    assert judged == [("critical", True)]
    (row,) = await alarms(world, rule=RULE)
    assert to_ms(row.raised_at) == site.start + (late + sent - old + 10) * 1000, "on sample time, after the rule's 10 s"


@pytest.mark.parametrize("silent", [False, True])
async def test_what_was_waited_for_is_judged_when_readings_come_sooner(world: World, site: Site, silent: bool) -> None:
    """The link gets cheaper, or its agents fall silent: the watermark goes on by all that it was behind."""
    await site.metered(1920.0, 1920.0)
    assert await site.at(6000) == []
    for device in ("ups-1", "ups-2"):
        await site.send(device, "normal", *until(4190, 3900))
        await site.send(device, "battery", *until(4500, 4200))
        await site.send(device, "normal", *until(5990, 4510))
    if silent:
        async with world.server.db.write() as session:
            await session.execute(sa.update(Agent).values(status=AgentStatus.SILENT))
    else:
        await site.metered(60.0, 0.0)
    assert await site.at(6060) == [("critical", False)]
    (row,) = await alarms(world, rule=RULE)
    assert to_ms(row.raised_at) == site.start + 4_210_000, "on sample time, after the rule's 10 s"


async def test_silence_clears_nothing(site: Site) -> None:
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    assert await site.at(60) == [("critical", True)]
    await site.send("ups-1", None, *until(90, 70))
    assert await site.at(600) == [("critical", True)]
    assert await site.at(4000) == [("critical", True)], "nor does a pause of the centre"


async def test_a_restart_goes_on_where_the_last_commit_left_off(site: Site) -> None:
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    assert await site.at(15) == []
    assert await site.at(25, site.centre(library())) == [("critical", True)], "a pending timer runs on"
    await site.send("ups-2", "normal", *until(130, 70))
    await site.send("ups-1", "battery", *until(130, 70))
    assert await site.at(85, site.centre(library())) == [("critical", True)]
    assert await site.at(130, site.centre(library())) == [("critical", False)]


async def test_values_known_before_a_restart_are_known_after_it(site: Site) -> None:
    await site.send("ups-1", "battery", 10)
    await site.at(15)
    await site.send("ups-2", "battery", 20, 31)
    assert await site.at(35, site.centre(library())) == [("critical", True)], "ups-1 still holds by its sample of 10 s"


async def look_and_fail(world: World, site: Site) -> None:
    async with world.server.db.write() as session:
        await site.rules.look(session, world.clock.now())
        _ = 1 / 0


async def test_a_transaction_that_fails_leaves_no_trace(world: World, site: Site) -> None:
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    world.clock.advance(60)
    with pytest.raises(ZeroDivisionError):
        await look_and_fail(world, site)
    assert await site.at(60) == [("critical", True)]
    async with world.server.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Alarm).where(Alarm.rule == RULE)) == 1


async def test_a_removed_rule_and_a_retired_device_end_their_alarm_by_name(world: World, site: Site) -> None:
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    assert await site.at(60) == [("critical", True)]
    without = RuleSet(tuple(rule for rule in library() if rule.id != RULE))
    assert await site.at(70, site.centre(without)) == [("critical", False)]
    (row,) = await alarms(world, rule=RULE)
    assert row.end_reason is EndReason.RULE_REMOVED


async def test_a_state_that_cannot_be_read_leaves_no_alarm_standing(world: World, site: Site) -> None:
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    assert await site.at(60) == [("critical", True)]
    async with world.server.db.write() as session:
        await session.execute(sa.update(CentreRuleState).values(state=b"{damaged"))
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(120, 70))
    assert await site.at(120, site.centre(library())) == [("critical", True), ("critical", False)]
    old = (await alarms(world, rule=RULE))[1]
    assert old.end_reason is EndReason.SUPERSEDED


async def test_a_removed_rule_whose_state_cannot_be_read_leaves_no_alarm_standing(world: World, site: Site) -> None:
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    assert await site.at(60) == [("critical", True)]
    now = world.clock.now()
    async with world.server.db.write() as session:
        await session.execute(sa.update(CentreRuleState).values(state=b"{damaged"))
        await AlarmService().raise_centre(
            session,
            customer_id=world.home.site.customer_id,
            site_id=world.home.site.id,
            rule=READINGS_DROPPED,
            device="edge1",
            now=now,
        )
    without = RuleSet(tuple(rule for rule in library() if rule.id != RULE))
    assert await site.at(70, site.centre(without)) == [("critical", False)]
    (row,) = await alarms(world, rule=RULE)
    assert row.end_reason is EndReason.SUPERSEDED
    assert [row.active for row in await alarms(world, rule=READINGS_DROPPED.id)] == [True], "it is not judged here"


async def test_devices_that_are_gone_leave_no_state(world: World, site: Site) -> None:
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    assert await site.at(60) == [("critical", True)]
    await site.announce("edge1", "ups-1", gone=True)
    await site.announce("edge2", "ups-2", gone=True)
    assert await site.at(70) == [("critical", False)]
    async with world.server.db.read() as session:
        assert (await session.scalars(sa.select(CentreRuleState))).all() == []


async def test_a_rule_about_a_room_is_named_after_it(world: World, tmp_path: Path) -> None:
    site = Site(world)
    room = world.home.room
    own = own_rule(tmp_path, "room-ups", expression={"over": "room"})
    site.rules = site.centre(load_rules([own], over=library()))
    await site.announce("edge1", "ups-1", room=room.code)
    await site.announce("edge2", "ups-2", room=room.code)
    await site.at(0)
    for device in ("ups-1", "ups-2"):
        await site.send(device, "battery", *until(60, 10))
    await site.at(60)
    (row,) = await alarms(world, rule="room-ups")
    assert (row.device, row.subject, row.device_en, row.room) == (room.code, "room", room.name, room.name)


@pytest.mark.parametrize(
    ("chosen", "facts"),
    [
        ({"select": {"labels": {"feed": "a"}}}, {"labels": {"feed": "a", "tier": "4"}}),
        ({"thresholds_set": "tight"}, {"room": "home-room", "room_class": "tight"}),
    ],
)
async def test_a_rule_chooses_by_what_the_agent_says_of_its_devices(
    world: World, tmp_path: Path, chosen: dict[str, Any], facts: dict[str, Any]
) -> None:
    site = Site(world)
    site.rules = site.centre(load_rules([own_rule(tmp_path, "chosen-ups", **chosen)], over=library()))
    for number in (1, 2):
        await site.announce(f"edge{number}", f"ups-{number}", **facts)
    await site.announce("edge3", "ups-3")
    await site.at(0)
    for device in ("ups-1", "ups-2", "ups-3"):
        await site.send(device, "battery", *until(60, 10))
    await site.at(60)
    (row,) = await alarms(world, rule="chosen-ups")
    assert (row.active, row.value) == (True, 2.0), "the third is none of those chosen"


def own_rule(folder: Path, rule_id: str, *, expression: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A rule file with the library's rule, changed."""
    (rule,) = [rule for rule in library() if rule.id == RULE]
    body = rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    body = {**body, **changes, "id": rule_id, "expression": {**body["expression"], **(expression or {})}}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "rules": [body]}, allow_unicode=True))
    return path


async def test_wrong_rule_files_of_the_centre_are_said_at_the_start(tmp_path: Path, migrated_url: str) -> None:
    (tmp_path / "own.yaml").write_text("version: 1\nrules: [{id: x}]\n")
    overrides = {
        "data_dir": str(tmp_path / "data"),
        "database_url": migrated_url,
        "alarms": {"rules": [str(tmp_path / "own.yaml")]},
    }
    with pytest.raises(ConfigErrors, match=r"own\.yaml:2"):
        async with build(load_config(overrides=overrides, environment={})):
            pass


async def test_a_rule_of_the_agents_in_the_centres_files_is_said_and_stops_nothing(
    tmp_path: Path, migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    rule = own_rule(tmp_path, "too-hot", where="edge")
    overrides = {
        "data_dir": str(tmp_path / "data"),
        "database_url": migrated_url,
        "alarms": {"rules": [str(rule)]},
    }
    settings = load_config(overrides=overrides, environment={})
    async with build(settings):
        pass
    (said,) = [record for record in caplog.records if record.msg == "a rule of the centre's files judges nothing"]
    assert "own.yaml:" in str(said.__dict__["problem"])
    assert "too-hot is judged by the agents" in str(said.__dict__["problem"])
    config = tmp_path / "server.yaml"
    config.write_text(yaml.safe_dump({"version": 1, **overrides}))
    checked = await asyncio.to_thread(CliRunner().invoke, app, ["check", "--config", str(config)])
    assert checked.exit_code == 2
    assert "too-hot is judged by the agents" in checked.output
