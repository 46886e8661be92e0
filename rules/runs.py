"""A run: many good samples of one point at once, and what is known of all of them without looking at each.

History is mostly calm. A judge to whom nothing can happen in a run takes it as a whole (`Judge.absorb`) and is left as
if it had judged sample by sample; all others do just that. So a run changes how long it takes, never what comes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import sub

from facility.reading import all_numbers

# Below this the whole is no faster than its parts.
FEWEST = 4


@dataclass(slots=True)
class Run:
    """times (ms UTC) rise by at least `narrowest` and at most `widest`; low and high bound the values, 0 for words."""

    times: Sequence[int]
    values: Sequence[float | str]
    narrowest: int
    widest: int
    low: float = 0.0
    high: float = 0.0


def run_of(
    times: Sequence[int], values: Sequence[float | str | None], good: Sequence[bool] | None, *, after: int, words: bool
) -> Run | None:
    """The samples as a run; None when one is not good, of another kind than its point's, or not newer than the last."""
    if len(times) < FEWEST or times[0] <= after or not (good is None or all(good)):
        return None
    steps = list(map(sub, times[1:], times))
    narrowest = min(steps)
    if narrowest <= 0:
        return None
    if words:
        return Run(times, values, narrowest, max(steps)) if set(map(type, values)) == {str} else None  # type: ignore[arg-type]
    if not all_numbers(values):
        return None
    return Run(times, values, narrowest, max(steps), min(values), max(values))
