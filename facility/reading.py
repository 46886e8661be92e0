"""A reading: one value of one point at one instant, with how far it can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import TypeGuard

import msgspec

COMMUNICATION = "device.communication"


class Quality(StrEnum):
    """How far a value can be trusted. Only `GOOD` readings raise or clear alarms."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"
    STALE = "stale"


# Codes are stored in history and on the wire: never reuse one.
QUALITY_CODES = {Quality.GOOD: 0, Quality.UNCERTAIN: 1, Quality.BAD: 2, Quality.STALE: 3}
QUALITY_BY_CODE = {code: quality for quality, code in QUALITY_CODES.items()}


class QualityReason(StrEnum):
    """Why a reading is not good; ends up unchanged in history, metric labels and on the screen."""

    TIMEOUT = "timeout"  # the device did not answer in its deadline
    UNREACHABLE = "unreachable"  # refused, no route, circuit open
    NO_SUCH_OBJECT = "no_such_object"  # the device answered that it has no such point
    EXCEPTION = "exception"  # the device answered with an error for this point
    SENTINEL = "sentinel"  # a "not available" value of the device
    OUT_OF_RANGE = "out_of_range"  # physically impossible by the profile or the register
    SLEW = "slew"  # changed faster than the quantity can
    UNKNOWN_STATE = "unknown_state"  # a state code the profile does not know
    BAD_TYPE = "bad_type"  # the device answered with a value of another type
    CLOCK = "clock"  # the agent's clock was not believable


def tells_of_device(metric: str, subject: str) -> bool:
    """Whether a point is the agent's own word of whether it reaches a device.

    With a subject it is what the device says of a part (a probe, a UPS behind its card): a value like any other.
    """
    return metric == COMMUNICATION and not subject


@dataclass(frozen=True, slots=True)
class PointKey:
    """What names a point within its site: `subject` is "" or e.g. "phase/L2", "outlet/7", "probe/3"."""

    device: str
    metric: str
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.device}/{self.metric}" + (f"#{self.subject}" if self.subject else "")


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value as the agent took it. A struct: some hundred are made a second, and a dataclass costs ten times that.

    `value` is a float in the metric's register unit, or a canonical state word for state metrics, or None when there
    is no value (then `quality` is bad or stale and `reason` says why: not available is never a number).
    `taken_at` is integer milliseconds UTC by the agent's clock, strictly increasing per point until that clock is set.
    `raw` is what the device said, kept only where it cannot be told from the value (unknown states, rejected values).
    """

    device: str
    metric: str
    subject: str
    value: float | str | None
    taken_at: int
    quality: Quality = Quality.GOOD
    reason: QualityReason | None = None
    raw: str | None = None

    @property
    def point(self) -> PointKey:
        return PointKey(self.device, self.metric, self.subject)

    @property
    def good(self) -> bool:
        return self.quality is Quality.GOOD and self.value is not None


def all_numbers(values: Sequence[float | str | None]) -> TypeGuard[Sequence[float]]:
    """Whether they are finite numbers, every one, found out at once; False where each must be looked at."""
    # The sum of numbers one of which is infinite or none at all is not finite either; that of huge ones may not be.
    return set(map(type, values)) == {float} and isfinite(sum(values))  # type: ignore[arg-type]
