"""Readings over REST: raw, in steps, newest, CSV; and the window of a ticket's chart."""

import csv
import io
from datetime import timedelta

import pytest

from facility.clock import to_ms
from server.app import Server
from server.history.codes import encode_value
from server.history.service import HistoryService, Window
from server.history.store import PointSamples, ReadingsBlock
from server.kit.principal import Role
from server.kit.scope import Scope
from tests.server.conftest import START, ClientAs
from tests.server.factories import World
from tests.server.fleet.making import STREAM, a_catalog, announce, make_agent, make_device

T0 = to_ms(START)


def service_of(server: Server) -> HistoryService:
    for domain in server.domains:
        if HistoryService in domain.services:
            service: HistoryService = domain.services[HistoryService]
            return service
    raise AssertionError("the server has no history")


async def fill(world: World, point: str, values: list[float | None], *, pace: int = 10_000) -> None:
    """One value each `pace` ms from START on; None is a bad reading by timeout."""
    at = [T0 + i * pace for i in range(len(values))]
    quality = [0 if value is not None else 2 for value in values]
    reasons = {i: 1 for i, value in enumerate(values) if value is None}
    samples = PointSamples(point, 15_000, at, values, quality, reasons)
    block = ReadingsBlock("agent", STREAM, 1, "d" * 32, [samples])
    await service_of(world.server).history.write([block], now_ms=T0)


async def test_raw_readings_come_as_taken_and_in_pages(world: World, client_as: ClientAs) -> None:
    _, point = await make_device(world, world.home)
    await fill(world, point.id, [21.0, None, 22.5])
    noc = await client_as(Role.NOC)
    query = {"point": point.id, "from": START.isoformat(), "to": (START + timedelta(minutes=1)).isoformat()}
    first = (await noc.get("/api/v1/readings", params={**query, "limit": "2"})).json()
    assert first["items"] == [
        {"taken_at": "2026-03-10T02:00:00Z", "value": 21.0, "quality": "good", "reason": None, "raw": None},
        {"taken_at": "2026-03-10T02:00:10Z", "value": None, "quality": "bad", "reason": "timeout", "raw": None},
    ]
    rest = (await noc.get("/api/v1/readings", params={**query, "from": first["next"], "limit": "2"})).json()
    assert ([row["value"] for row in rest["items"]], rest["next"]) == ([22.5], None)


async def test_steps_hold_min_avg_max_n_and_leave_gaps_out(world: World, client_as: ClientAs) -> None:
    _, point = await make_device(world, world.home)
    await fill(world, point.id, [20.0, 22.0, None, None, None, None, None, None, None, None, None, None, 30.0])
    query = {"point": point.id, "from": START.isoformat(), "to": (START + timedelta(minutes=3)).isoformat()}
    noc = await client_as(Role.NOC)
    page = (await noc.get("/api/v1/readings", params={**query, "step": "60"})).json()
    assert [(row["at"], row["min"], row["avg"], row["max"], row["n"]) for row in page["items"]] == [
        ("2026-03-10T02:00:00Z", 20.0, 21.0, 22.0, 2),
        ("2026-03-10T02:02:00Z", 30.0, 30.0, 30.0, 1),
    ]
    assert (page["step"], page["next"]) == (60, None)


async def test_states_are_words(world: World, client_as: ClientAs) -> None:
    agent = await make_agent(world, world.home)
    await announce(world, agent, a_catalog("door1", metric="door.state"))
    noc = await client_as(Role.NOC)
    (point,) = (await noc.get("/api/v1/points", params={"device": "door1"})).json()["items"]
    await fill(world, point["id"], [encode_value("door.state", word) for word in ("closed", "open")])
    query = {"point": point["id"], "from": START.isoformat(), "to": (START + timedelta(minutes=1)).isoformat()}
    raw = (await noc.get("/api/v1/readings", params=query)).json()["items"]
    assert [row["value"] for row in raw] == ["closed", "open"]
    (step,) = (await noc.get("/api/v1/readings", params={**query, "step": "60"})).json()["items"]
    assert (step["avg"], step["last"], step["n"]) == (None, "open", 2)
    (latest,) = (await noc.get("/api/v1/readings/latest", params={"device": "door1"})).json()["items"]
    assert (latest["value"], latest["taken_at"], latest["site"]) == ("open", "2026-03-10T02:00:10Z", "home")


@pytest.mark.parametrize("how", ["format", "accept"])
async def test_csv_carries_the_same_rows(world: World, client_as: ClientAs, how: str) -> None:
    _, point = await make_device(world, world.home)
    await fill(world, point.id, [21.0, None])
    query = {"point": point.id, "from": START.isoformat(), "to": (START + timedelta(minutes=1)).isoformat()}
    headers = {"Accept": "text/csv"} if how == "accept" else {}
    if how == "format":
        query["format"] = "csv"
    noc = await client_as(Role.NOC)
    answer = await noc.get("/api/v1/readings", params=query, headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["taken_at", "value", "quality", "reason"],
        ["2026-03-10T02:00:00Z", "21.0", "good", ""],
        ["2026-03-10T02:00:10Z", "", "bad", "timeout"],
    ]
    steps = await noc.get("/api/v1/readings", params={**query, "step": "60"}, headers=headers)
    assert list(csv.reader(io.StringIO(steps.text)))[1] == ["2026-03-10T02:00:00Z", "21.0", "21.0", "21.0", "1", "21.0"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"from": "2026-03-10T02:00:00"}, "naive_time"),
        ({"from": "2026-03-11T02:00:00Z"}, "empty_range"),
        ({"from": "2020-03-10T02:00:00Z", "step": "60"}, "too_many_steps"),
    ],
)
async def test_questions_without_sense_are_refused(
    world: World, client_as: ClientAs, changes: dict[str, str], code: str
) -> None:
    _, point = await make_device(world, world.home)
    query = {"point": point.id, "from": START.isoformat(), "to": (START + timedelta(minutes=1)).isoformat()}
    answer = await (await client_as(Role.NOC)).get("/api/v1/readings", params={**query, **changes})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_window_is_raw_while_it_fits_and_steps_beyond(world: World) -> None:
    await make_device(world, world.home)
    _, point = await make_device(world, world.home)
    await fill(world, point.id, [20.0 + i % 3 for i in range(600)])
    service = service_of(world.server)
    end = START + timedelta(minutes=100)

    async def window(device: str = "th1", max_points: int = 1500) -> Window | None:
        async with world.server.db.read() as session:
            return await service.window(
                session,
                Scope.system(),
                site_id=world.home.site.id,
                device=device,
                metric="room.temperature",
                subject="",
                start=START,
                end=end,
                max_points=max_points,
            )

    raw, steps, other = await window(), await window(max_points=50), await window("th9")
    assert raw is not None
    assert (len(raw.raw), raw.steps, raw.step_s) == (600, [], None)
    assert steps is not None
    assert (steps.raw, steps.step_s, len(steps.steps)) == ([], 300, 20)
    assert sum(step.n for step in steps.steps) == 600
    assert other is None
