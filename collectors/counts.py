"""Counters that only grow: energy, hours of run, starts. A wrap is told from a reset, and a glitch from both.

Pure. Values are in base units; `span` is what one turn of the device's counter is worth, None where it has no end.
"""

from dataclasses import dataclass

# After a wrap the counter has begun anew: what it gained since the last look is far less than a turn. A counter that
# was reset by hand stands anywhere below where it was.
WRAPPED_SHARE = 0.25
# Hours that are counted gain what has passed and no more; this share of a turn is for what counts in coarse steps.
COARSE_SHARE = 0.002


@dataclass(slots=True)
class Count:
    """What is known of one counter. last: as the device said it, at: then (ms UTC); turns: wraps seen."""

    last: float | None = None
    turns: int = 0
    at: int = 0
    doubted: bool = False

    def total(self, value: float, *, at: int, span: float | None, restarted: bool, of_time: bool) -> float | None:
        """The count with its turns, None where it cannot be believed yet: it fell, and nothing says why.

        A fall is a wrap where the way past the end is short, a reset where the device restarted or says it twice.
        of_time: it counts seconds, which gain no more than has passed.
        """
        if self.last is not None and value < self.last:
            if span is not None and not restarted and value + span - self.last <= self._most(at, span, of_time):
                self.turns += 1
            elif restarted or self.doubted:
                self.turns = 0
            else:
                self.doubted = True
                return None
        self.last, self.at, self.doubted = value, at, False
        return value + self.turns * (span or 0.0)

    def _most(self, at: int, span: float, of_time: bool) -> float:
        """The most it can have gained since the last look. Where the clock was set back that is not known."""
        most = span * WRAPPED_SHARE
        if not of_time or at < self.at:
            return most
        return min(most, (at - self.at) / 1000 + span * COARSE_SHARE)
