"""A few short seeds of the simulation; `make sim` runs many long ones."""

from pathlib import Path

import pytest

from tests.simulation.plan import Fault
from tests.simulation.planted import BUGS
from tests.simulation.run import run_seed


@pytest.mark.parametrize("seed", range(1, 6))
def test_nothing_is_lost_and_nothing_told_twice_whatever_befalls(seed: int, databases: Path) -> None:
    result = run_seed(seed, databases, hours=0.15)
    assert result.violations == []
    assert result.faults
    assert result.readings > 100


def test_a_seed_replays_itself(databases: Path) -> None:
    first, second = (run_seed(3, databases, hours=0.1) for _ in range(2))
    assert first.faults == second.faults
    assert (first.readings, first.lost, first.alarms, first.drained_s) == (
        second.readings,
        second.lost,
        second.alarms,
        second.drained_s,
    )


@pytest.mark.parametrize(
    ("bug", "only", "hours", "says"),
    [
        ("acknowledge-before-commit", Fault.KILL, 0.25, "is told that block"),
        ("no-revision-check", Fault.LINK_BAD, 0.5, "2: "),
        ("timers-on-arrival-time", Fault.DEVICE_SLOW, 0.25, "2: "),
    ],
)
def test_a_planted_bug_is_found_within_a_few_seeds(
    bug: str, only: Fault, hours: float, says: str, databases: Path
) -> None:
    with BUGS[bug]():
        # The fourth seed finds each of them today; the others are for when a change of the programs moves things.
        for seed in (4, 5, 6, 7, 8, 9):
            found = run_seed(seed, databases, hours=hours, only=[only]).violations
            if any(says in text for text in found):
                return
    pytest.fail(f"{bug} goes unnoticed")


def test_without_a_bug_the_same_seed_finds_nothing(databases: Path) -> None:
    assert run_seed(4, databases, hours=0.5, only=[Fault.LINK_BAD]).violations == []
