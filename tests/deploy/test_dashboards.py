"""The dashboards against a real Prometheus that scrapes the demo's own agent: every query answered, none empty."""

import json
import re
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coldaisle.demo import site
from deploy.grafana.make_dashboards import DASHBOARDS, FOLDER, text_of
from facility.metrics import REGISTER
from simulator.app import RoomServer
from tests.support.peers import free_port, until_async
from tests.support.programs import Program
from tests.support.prometheus import Prometheus

VARIABLE = re.compile(r"\$(\w+)")
OUR_METRIC = re.compile(r"coldaisle_[a-z0-9_]+")
SCRAPES = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: coldaisle-agent
    honor_labels: true
    static_configs: [{targets: ["%s"]}]
"""


def panels(name: str) -> Iterator[tuple[str, str]]:
    """(panel title, expression) of every query of a dashboard's file."""
    for panel in json.loads((FOLDER / f"{name}.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def variables(name: str) -> dict[str, dict[str, Any]]:
    listed = json.loads((FOLDER / f"{name}.json").read_text())["templating"]["list"]
    return {variable["name"]: variable for variable in listed}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_file_is_what_the_script_writes(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text_of(name), (
        "run: python -m deploy.grafana.make_dashboards"
    )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_used_exists_and_its_all_matches_anything(name: str) -> None:
    known = variables(name)
    for title, expression in panels(name):
        for used in VARIABLE.findall(expression):
            assert used in known, f"{title}: ${used}"
            assert known[used]["allValue"] == ".*", f"{title}: 'all' of ${used} must not depend on existing series"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_metric_asked_for_is_one_the_product_has(name: str) -> None:
    ours = {entry.prometheus_name for entry in REGISTER.values()}
    for title, expression in panels(name):
        for metric in OUR_METRIC.findall(expression):
            assert metric in ours or metric.startswith(("coldaisle_agent_", "coldaisle_device_")), f"{title}: {metric}"


@pytest.fixture
async def scraped(
    tmp_path: Path, prometheus: Callable[[str], Prometheus], request: pytest.FixtureRequest
) -> AsyncIterator[Prometheus]:
    """Prometheus with some seconds of the demo's agent in it: simulated room, true agent, no broker."""
    async with RoomServer() as room:
        port = free_port()
        config = site.write_agent_config(
            tmp_path, room.devices, broker="mqtt://127.0.0.1:9", metrics_port=port, trap_port=0
        )
        agent = Program(
            "agent",
            [sys.executable, "-m", "coldaisle", "agent", "run", "--config", str(config)],
            folder=tmp_path,
            ready=lambda: True,
        )
        agent.start()
        try:
            address = f"127.0.0.1:{port}"
            await until_async(lambda: devices_up(address) == len(room.devices), timeout=30, what="all devices polled")
            server = prometheus(SCRAPES % address)
            await until_async(
                lambda: (server.value("sum(increase(coldaisle_agent_readings_total[1m]))") or 0) > 0,
                timeout=30,
                what="two scrapes",
            )
            yield server
        finally:
            agent.stop()


def devices_up(address: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return sum(1 for line in text.splitlines() if line.startswith("coldaisle_device_up{") and line.endswith(" 1.0"))


async def test_every_query_of_every_panel_is_answered_and_none_is_empty(scraped: Prometheus) -> None:
    empty = []
    count = 0
    for name in DASHBOARDS:
        for title, expression in panels(name):
            count += 1
            if not scraped.query(VARIABLE.sub(".*", expression)):
                empty.append(f"{name} / {title}: {expression}")
    assert not empty, "\n".join(empty)
    assert count >= 30


async def test_variables_offer_what_is_there(scraped: Prometheus) -> None:
    for name in DASHBOARDS:
        for variable, entry in variables(name).items():
            asked = re.fullmatch(r"label_values\((.*), (\w+)\)", entry["query"])
            assert asked, entry["query"]
            found = {series["metric"][asked[2]] for series in scraped.query(VARIABLE.sub(".*", asked[1]))}
            assert found - {""}, f"{name}: ${variable} offers nothing"
