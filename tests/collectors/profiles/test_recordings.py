"""Real devices, read by another system and by us: the numbers agree, also where the device says other numbers."""

import pytest

from collectors.exchange import SnmpValue
from collectors.walk import read_walk
from tests.collectors.profiles.score import by_family, perturbed, sensors, table
from tests.support.recordings import require_recordings

# Of the numbers and states of a family; the rest would be objects a profile deliberately leaves out.
WANTED = 0.95
# Families of the recordings' index that must reach it, every walk being recognised.
FAMILIES = ("apc-ups", "cyberpower", "eaton", "liebert", "rfc1628", "socomec", "tripplite")

pytestmark = pytest.mark.recordings


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_at_least_95_percent_of_the_sensors_of_every_family_are_right(seed: int | None) -> None:
    for family, scores in by_family(
        table(require_recordings(), classes=("ups",), families=FAMILIES, seed=seed)
    ).items():
        matched, total = sum(made.matched for made in scores), sum(made.total for made in scores)
        missed = [f"{made.walk.stem}: {line}" for made in scores for line in made.missed]
        assert matched >= WANTED * total, f"{family}\n" + "\n".join(missed)


def test_every_walk_is_recognised_as_the_family_it_is() -> None:
    scores = table(require_recordings(), classes=("ups",), families=FAMILIES)
    assert [(made.walk.stem, made.profile) for made in scores if not made.identified] == []


def test_perturbing_really_changes_the_numbers() -> None:
    folder = require_recordings()
    values = read_walk(folder / "walks" / "apc_smart1500.snmprec")
    found = sensors(folder, "apc_smart1500")
    changed: dict[str, SnmpValue] = perturbed(values, found, 1)
    assert sum(changed[oid] != values[oid] for oid in values) > len(found) / 2
