"""A few short seeds of the simulation; `make sim` runs many long ones."""

import os
import re

import pytest

from tests.simulation.conftest import Simulation
from tests.simulation.plan import Fault
from tests.simulation.planted import BUGS

# What finds each: the faults drawn, the hours, and what is said first.
PLANTED = [
    ("acknowledge-before-commit", Fault.KILL, 0.25, r"1: \S+ is told that block"),
    ("no-revision-check", Fault.LINK_BAD, 1.0, "2: "),
    ("resolves-under-an-alarm", Fault.LINK_BAD, 1.0, r"3: ticket \S+ resolved itself"),
    ("timers-on-arrival-time", Fault.DEVICE_SLOW, 0.25, "2: "),
    ("unrecovered-resolves", Fault.DEVICE_RETIRED, 0.5, "3: no ticket that stays open"),
    ("unsynced-centre", Fault.POWER_CUT, 0.25, r"1: .* are missing"),
    ("unsynced-journal", Fault.POWER_CUT, 0.25, r"1: .* are missing"),
]


@pytest.mark.parametrize("seed", range(1, 6))
def test_nothing_is_lost_and_nothing_told_twice_whatever_befalls(seed: int, simulation: Simulation) -> None:
    result = simulation.run(seed, hours=0.15)
    assert result.violations == []
    assert result.faults
    assert result.readings > 100


def test_a_seed_replays_itself(simulation: Simulation) -> None:
    first, second = (simulation.run(3, hours=0.1) for _ in range(2))
    assert first.faults == second.faults
    assert (first.readings, first.lost, first.alarms, first.drained_s) == (
        second.readings,
        second.lost,
        second.alarms,
        second.drained_s,
    )


@pytest.mark.parametrize(("bug", "only", "hours", "says"), PLANTED)
def test_a_planted_bug_is_found_within_a_few_seeds_and_is_all_that_these_find(
    bug: str, only: Fault, hours: float, says: str, simulation: Simulation
) -> None:
    # The fourth seed finds most of them today; the others are for when a change of the programs moves things.
    for seed in (4, 5, 6, 7, 8, 9):
        found = simulation.run(seed, hours=hours, only=[only], plant=bug).violations
        if any(re.match(says, text) for text in found):
            assert simulation.run(seed, hours=hours, only=[only]).violations == []
            return
    pytest.fail(f"{bug} goes unnoticed")


def test_sets_have_the_same_order_in_each_run(simulation: Simulation) -> None:
    assert simulation.pool.apply(os.getenv, ("PYTHONHASHSEED",)) == "0"


def test_every_planted_bug_is_looked_for() -> None:
    assert {bug for bug, *_ in PLANTED} == BUGS.keys() - {"none"}
