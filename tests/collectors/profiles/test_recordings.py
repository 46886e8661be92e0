"""Real devices, read by another system and by us: the numbers agree, also where the device says other numbers."""

import pytest

from collectors.library import Library
from collectors.walk import read_walk
from tests.collectors.profiles.score import perturbed, score, sensors, table, walks
from tests.support.recordings import require_recordings

# Of the numeric sensors of all shipped families; the rest would be objects a profile deliberately leaves out.
WANTED = 0.95

pytestmark = pytest.mark.recordings


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_at_least_95_percent_of_the_numeric_sensors_are_right(seed: int | None) -> None:
    scores = table(require_recordings(), seed=seed)
    matched, total = sum(made.matched for made in scores), sum(made.total for made in scores)
    missed = [f"{made.walk}: {line}" for made in scores for line in made.missed]
    assert total > 200
    assert matched / total >= WANTED, "\n".join(missed)


def test_perturbing_really_changes_the_numbers() -> None:
    folder = require_recordings()
    values = read_walk(folder / "walks" / "apc_smart1500.snmprec")
    objects = {sensor["sensor_oid"].lstrip(".") for sensor in sensors(folder, "apc_smart1500")}
    changed = perturbed(values, objects, 1)
    assert sum(changed[oid] != values[oid] for oid in values) > len(objects) / 2


def test_a_recording_with_independent_readings_is_never_read_by_the_wrong_family() -> None:
    folder = require_recordings()
    library = Library.load()
    made = {stem: score(folder, stem, library).profile for stem in walks(folder)}
    assert made["hwg-wld_600415"] == "hwg/wld"
    assert made["netvision-rfc"] == "socomec/net-vision"
    assert made["liebert"] == "liebert/rack-pdu"
    assert made["apc-inrow"] == "apc/inrow-rc"
    assert "-" not in made.values()
