"""The databases of the simulated centre, migrated once for all tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.run import migrated


@pytest.fixture(scope="session")
def databases() -> Iterator[Path]:
    with migrated() as folder:
        yield folder
