"""Real air conditioners and room sensors: every one is recognised, and read as another system read it."""

import pytest

from tests.collectors.profiles.score import by_family, table
from tests.support.recordings import require_recordings

CLASSES = ("crac", "env")
# Of the numbers and states of each family; the rest would be objects a profile deliberately leaves out.
WANTED = 0.95

pytestmark = pytest.mark.recordings


def test_every_air_conditioner_and_room_monitor_is_recognised() -> None:
    scores = table(require_recordings(), classes=CLASSES)
    assert len(scores) >= 41
    assert [(made.walk.stem, made.profile) for made in scores if not made.identified] == []


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_their_numbers_and_states_are_right_also_when_they_change(seed: int | None) -> None:
    scores = table(require_recordings(), classes=CLASSES, seed=seed)
    assert sum(made.total for made in scores) > 550
    for family, group in by_family(scores).items():
        missed = [f"{made.walk.stem}: {line}" for made in group for line in made.missed]
        assert sum(made.matched for made in group) >= WANTED * sum(made.total for made in group), (
            f"{family}\n" + "\n".join(missed)
        )
