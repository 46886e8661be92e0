"""Counters that only grow: energy, hours of run, starts. A wrap is told from a reset, and a glitch from both.

Pure. Values are in base units; `span` is what one turn of the device's counter is worth, None where it has no end.
"""

from dataclasses import dataclass

# After a wrap the counter has begun anew: what it gained since the last look is far less than a turn. A counter that
# was reset by hand stands anywhere below where it was.
WRAPPED_SHARE = 0.25


@dataclass(slots=True)
class Count:
    """What is known of one counter. last: as the device said it; turns: wraps seen while this lived."""

    last: float | None = None
    turns: int = 0
    doubted: bool = False

    def total(self, value: float, *, span: float | None, restarted: bool) -> float | None:
        """The count with its turns, None where it cannot be believed yet: it fell, and nothing says why.

        A fall is a wrap where the way past the end is short, a reset where the device restarted or says it twice.
        """
        if self.last is not None and value < self.last:
            if span is not None and not restarted and value + span - self.last <= span * WRAPPED_SHARE:
                self.turns += 1
            elif restarted or self.doubted:
                self.turns = 0
            else:
                self.doubted = True
                return None
        self.last, self.doubted = value, False
        return value + self.turns * (span or 0.0)
