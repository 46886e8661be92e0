"""What the rules are told of the points of a device: all of them once it answered in full, and what it can have."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.knowledge import complete_of, points_of
from agent.site import Site, read_site
from collectors.convert import FORGET_ROWS_MS, PointInfo
from facility.metrics import metric
from tests.agent.running import ENVIRON, ups, write_config


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
