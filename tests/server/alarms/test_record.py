"""Rules tried over a site's history at the centre. On both databases."""

import asyncio
import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.clock import to_ms
from facility.ids import new_id
from rules.files import library
from server.alarms.record import record_of
from server.backtest_cli import app, play
from server.fleet import service as fleet
from server.history.codes import encode_value
from server.history.rollup import HOUR_MS
from server.history.service import HistoryService
from server.history.store import PointSamples, ReadingsBlock
from server.kit.scope import Scope
from tests.server.factories import World
from tests.server.finding import service_of
from tests.server.fleet.making import announce, make_agent

SOURCE, WARM = "ups.output.source", "room.temperature"
STEP_MS = 30_000


class Past:
    """Two agents with a UPS and a sensor each, and what history has of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.start = to_ms(world.clock.now()) - 6 * HOUR_MS
        self.points: dict[tuple[str, str], tuple[str, str]] = {}

    async def announce(self, code: str, number: int) -> None:
        devices = tuple(
            CatalogDevice(id=f"{name}-{number}", kind=kind, interval_s=30, zone=zone,
                          points=(CatalogPoint(metric, interval_s=30),))
            for name, kind, zone, metric in (("ups", "ups", "", SOURCE), ("th", "sensor", "cold-aisle", WARM))
        )  # fmt: skip
        agent = await make_agent(self.world, self.world.home, code)
        await announce(self.world, agent, Catalog(agent_version="1", devices=devices))
        async with self.world.server.db.read() as session:
            for device in devices:
                row = await fleet.device(session, Scope.system(), self.world.home.site.id, device.id)
                (point,) = await fleet.points_of(session, Scope.system(), row.id)
                self.points[device.id, point.metric] = (agent.id, point.id)

    async def took(self, device: str, metric: str, value: float | str, begin: float, end: float) -> None:
        """The same value from one hour to another."""
        agent, point = self.points[device, metric]
        at = list(range(self.start + int(begin * HOUR_MS), self.start + int(end * HOUR_MS), STEP_MS))
        code = encode_value(metric, value)
        block = ReadingsBlock(
            agent, new_id(at[0]), 1, "d", [PointSamples(point, 30_000, at, [code] * len(at), [0] * len(at))]
        )
        await service_of(self.world.server, HistoryService).history.write([block], now_ms=at[-1])

    async def run(self, *more: str) -> Result:
        """The command, as in a process of its own."""
        config = self.world.server.kit.config
        words = ["--database-url", config.url, "--data-dir", str(config.data_dir), *more]
        return await asyncio.to_thread(CliRunner().invoke, app, words)


@pytest.fixture
async def past(world: World) -> Past:
    """Both UPS are on battery from 1:00 to 2:00; the first agent was off from 3:00 to 5:00."""
    made = Past(world)
    for code, number in (("edge1", 1), ("edge2", 2)):
        await made.announce(code, number)
        for metric, name, spans in (
            (SOURCE, "ups", [("normal", 0, 1), ("battery", 1, 2), ("normal", 2, 3), ("normal", 5, 6)]),
            (WARM, "th", [(26.5, 0, 3), (27.2, 5, 5.5), (26.5, 5.5, 6)]),
        ):
            for value, begin, end in spans:
                await made.took(f"{name}-{number}", metric, value, begin, end)
    for name, metric, value in (("ups", SOURCE, "normal"), ("th", WARM, 26.5)):
        await made.took(f"{name}-2", metric, value, 3, 5)
    return made


async def test_a_sites_history_is_played_through_rules_of_edge_and_centre(past: Past) -> None:
    result = await past.run("--json")
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["samples"] == 2 * 120 * (4 + 6)
    assert report["raised"] == {
        "ups-on-battery": 2, "site-ups-several-on-battery": 1, "room-temperature-high-gb": 2,
    }  # fmt: skip
    hours = [(each["raised_ms"] - past.start) / HOUR_MS for each in report["alarms"]]
    assert [round(hour) for hour in hours] == [1, 1, 1, 5, 5]
    hole = {"agent": "edge1", "from_ms": past.start + 3 * HOUR_MS - STEP_MS, "until_ms": past.start + 5 * HOUR_MS}
    assert report["holes"] == [hole]
    shown = (await past.run()).stdout
    assert "no record of edge1" in shown


async def test_rules_are_tried_over_those_of_the_centre(past: Past, tmp_path: Path) -> None:
    trial = tmp_path / "trial.yaml"
    trial.write_text(
        "version: 1\noverrides:\n  - {name: trial, rules: [room-temperature-high-gb], select: {}, "
        "set: {levels: {hi: {limit: 21}}}, source: a trial}\n"
    )
    report = json.loads((await past.run(str(trial), "--json", "--days", "0.05")).stdout)
    assert report["raised"] == {"room-temperature-high-gb-trial": 2}
    wrong = await past.run(str(tmp_path / "none.yaml"))
    assert wrong.exit_code == 2


async def test_the_bar_advances_hour_by_hour(past: Past) -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    config = past.world.server.kit.config
    await asyncio.to_thread(play, config, library(), past.world.home.site.code, 6 * HOUR_MS, console)
    assert 0 <= shown.getvalue().find("0/6") < shown.getvalue().find("6/6")


async def test_what_cannot_be_played_is_said(past: Past, tmp_path: Path) -> None:
    unknown = await past.run("--site", "elsewhere")
    assert (unknown.exit_code, "no site 'elsewhere'" in unknown.stderr) == (1, True)
    words = ["--database-url", f"sqlite:///{tmp_path}/none.db", "--data-dir", str(tmp_path)]
    none = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert (none.exit_code, "there is no database" in none.stderr) == (1, True)
    assert not (tmp_path / "none.db").exists()


async def test_a_record_holds_what_rules_need_and_no_other_site(past: Past) -> None:
    async with past.world.server.db.read() as session:
        record = await record_of(session, past.world.home.site.id, {WARM})
        other = await record_of(session, past.world.sibling.site.id, {WARM})
    assert (record.agents, other.facts) == ({"th-1": "edge1", "th-2": "edge2"}, ())
    assert {key.metric for key in record.points.values()} == {WARM}
