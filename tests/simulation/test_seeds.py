"""A few short seeds of the simulation; `make sim` runs many long ones."""

from pathlib import Path

import pytest

from tests.simulation.planted import BUGS
from tests.simulation.run import run_seed


@pytest.mark.parametrize("seed", range(1, 6))
def test_nothing_is_lost_and_nothing_told_twice_whatever_befalls(seed: int, databases: Path) -> None:
    result = run_seed(seed, databases, hours=0.25)
    assert result.violations == []
    assert result.faults
    assert result.readings > 200


def test_a_seed_replays_itself(databases: Path) -> None:
    first, second = (run_seed(3, databases, hours=0.1) for _ in range(2))
    assert first.faults == second.faults
    assert (first.readings, first.lost, first.alarms, first.drained_s) == (
        second.readings,
        second.lost,
        second.alarms,
        second.drained_s,
    )


@pytest.mark.parametrize("bug", sorted(BUGS.keys() - {"none"}))
def test_a_planted_bug_is_found(bug: str, databases: Path) -> None:
    with BUGS[bug]():
        for seed in range(1, 13):
            if run_seed(seed, databases, hours=0.5).violations:
                return
    pytest.fail(f"{bug} goes unnoticed")
