"""What the rules are told of the points of a device: all of them once it answered in full, and what it can have."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from agent.app import Agent
from agent.knowledge import complete_of, points_of
from agent.site import Site, read_site
from collectors.convert import FORGET_ROWS_MS, PointInfo
from facility.metrics import metric
from tests.agent.running import ENVIRON, running, ups, write_config
from tests.agent.test_end_to_end import UPS
from tests.support.peers import until_async
from tests.support.snmpd import Snmpd


@dataclass
class Poller:
    subjects: Sequence[str]
    complete: bool = True
    forgotten: int = 0

    def points(self) -> list[PointInfo]:
        return [
            PointInfo("ups.input.voltage", each, metric("ups.input.voltage").unit, each, each) for each in self.subjects
        ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    config = write_config(tmp_path, devices=[ups(161)], rooms=[{"id": "hall"}])
    return read_site(config, environ=ENVIRON)


def test_the_rules_hear_whose_points_are_all_known(site: Site) -> None:
    whole, partly = {"ups-1": Poller(["phase/L1"])}, {"ups-1": Poller(["phase/L1"], complete=False)}
    for pollers in (whole, partly):
        (facts,) = site.facts(points_of(pollers), complete=complete_of(pollers))
        assert facts.complete is pollers["ups-1"].complete
        assert facts.gone_after_ms == FORGET_ROWS_MS
        assert [point.subject for point in facts.points] == ["phase/L1"]


def test_what_a_profile_has_is_what_a_device_can_give(site: Site) -> None:
    (facts,) = site.facts({})
    assert facts.can_give("ups.output.source", "")
    assert facts.can_give("ups.input.voltage", "phase/L3"), "rows have what subject they like"
    assert not facts.can_give("ups.output.source", "module/1")
    assert not facts.can_give("room.temperature", "")


LOADS = [(f"{UPS}.4.4.1.5.{line}", "integer", 30) for line in (1, 2)]
NO_LOAD = {
    "id": "no-load",
    "title": {"en": "No load told", "zh": "负载无数据"},
    "metric": "ups.output.load",
    "select": {"subject": "phase/*"},
    "absent": {"after": "1s", "severity": "minor"},
    "source": "a test",
}


@pytest.mark.peer("snmpd")
async def test_a_row_that_left_while_the_agent_was_stopped_ends_its_alarm_in_the_end(
    tmp_path: Path, snmpd: Snmpd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.site.FORGET_ROWS_MS", 5000)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [NO_LOAD]}, allow_unicode=True))
    rules = {"files": ["rules.yaml"]}
    config = write_config(tmp_path, devices=[ups(snmpd.port)], rules=rules, rooms=[{"id": "hall"}])

    def absent(agent: Agent) -> list[str]:
        return [held.subject for held in agent.engine.active() if held.rule == "no-load"]

    snmpd.serve(LOADS)
    async with running(config) as agent:
        await until_async(lambda: len(agent.engine.rules_for("ups-1")) > 1, timeout=30)
        snmpd.serve(LOADS[:1])
        await until_async(lambda: absent(agent) == ["phase/L2"], timeout=30)
    async with running(config) as agent:
        await until_async(lambda: agent.engine.rules_for("ups-1"), timeout=30)
        assert absent(agent) == ["phase/L2"], "it may come back"
        await until_async(lambda: absent(agent) == [], timeout=30)
