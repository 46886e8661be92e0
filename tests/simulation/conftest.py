"""The databases of the simulated centre, migrated once for all tests here, and a process that runs seeds."""

import multiprocessing
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from tests.simulation.plan import Fault
from tests.simulation.planted import BUGS
from tests.simulation.run import Result, migrated, run_seed

# Far more than any seed here takes; only a process that died does not answer.
GIVE_UP_S = 600.0


@pytest.fixture(scope="session")
def databases() -> Iterator[Path]:
    with migrated() as folder:
        yield folder


@dataclass(frozen=True)
class Simulation:
    """Runs seeds as `python -m tests.simulation` does, which replays them."""

    pool: Pool
    databases: Path

    def run(self, seed: int, *, hours: float, only: Collection[Fault] = tuple(Fault), plant: str = "none") -> Result:
        """plant: the planted bug that is switched on."""
        return self.pool.apply_async(_run, (seed, self.databases, hours, only, plant)).get(GIVE_UP_S)


def _run(seed: int, databases: Path, hours: float, only: Collection[Fault], plant: str) -> Result:
    with BUGS[plant]():
        return run_seed(seed, databases, hours=hours, only=only)


@pytest.fixture(scope="session")
def simulation(databases: Path) -> Iterator[Simulation]:
    """In a process of its own: the order of sets depends on what an interpreter was started with."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONHASHSEED", "0")
        pool = multiprocessing.get_context("spawn").Pool(1)
    with pool:
        yield Simulation(pool, databases)
