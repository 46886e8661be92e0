"""The last samples of a point, as far back as a rule looks: two columns of plain numbers.

A site has some ten thousand of these, so what a sample weighs decides what the agent weighs: 16 bytes here, over 100 as
a tuple of objects.
"""

from array import array
from bisect import bisect_left

from rules.runs import Run

# A window keeps at most this many samples: at 15 min that is one in 14 s, finer than any default poll interval.
MAX_SAMPLES = 64


class Window:
    """Samples not older than `span` ms behind the newest, thinned to MAX_SAMPLES. times: ms UTC, rising."""

    __slots__ = ("spacing", "span", "times", "values")

    def __init__(self, span: int) -> None:
        self.span = span
        self.spacing = span // MAX_SAMPLES
        self.times = array("q")
        self.values = array("d")

    def add(self, at: int, value: float) -> None:
        """Take a sample newer than all before; what has become too old goes."""
        times = self.times
        if times and times[0] < at - self.span:
            old = bisect_left(times, at - self.span)
            del times[:old], self.values[:old]
        if not times or at - times[-1] >= self.spacing:
            times.append(at)
            self.values.append(value)

    def even(self, run: Run) -> bool:
        """Whether each sample of the run would be kept, until it is too old."""
        return bool(self.times) and min(run.narrowest, run.times[0] - self.times[-1]) >= self.spacing

    def add_all(self, run: Run) -> None:
        """`add` each sample of an even run."""
        self.times.extend(run.times)
        self.values.extend(run.values)  # type: ignore[arg-type]  # a window's values are numbers
        old = bisect_left(self.times, self.times[-1] - self.span)
        del self.times[:old], self.values[:old]

    def slope(self) -> float:
        """Units a second of the least-squares line; 0 where there is no line."""
        first, base = self.times[0], self.values[0]
        times, values, squares, products = 0, 0.0, 0, 0.0
        for at, value in zip(self.times, self.values, strict=True):
            when, above = at - first, value - base
            times += when
            values += above
            squares += when * when
            products += when * above
        count = len(self.times)
        spread = count * squares - times * times
        return 1000 * (count * products - times * values) / spread if spread else 0.0

    def rows(self) -> list[tuple[int, float]]:
        """(ms, value), as a snapshot keeps them."""
        return list(zip(self.times, self.values, strict=True))

    def extend(self, rows: list[tuple[int, float]]) -> None:
        """Take rows of a snapshot back."""
        self.times.extend(at for at, _ in rows)
        self.values.extend(value for _, value in rows)
