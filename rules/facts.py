"""What the engine is told about devices, and which rules judge which of their points."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from facility.reading import PointKey
from rules.model import Rule
from rules.parts import DEFAULT_THRESHOLDS_SET, UNPLACED, Absent, Select

# A value may be missed twice before it no longer holds: the third missed poll is what makes a device lost.
GAP_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device as rules see it.

    room_class: the thresholds set the room chose, "" for the default (`DEFAULT_THRESHOLDS_SET`).
    zone: cold-aisle, hot-aisle, ups-room, battery-room, ... or "" when nobody said.
    points: those the device is expected to give; absent-data rules watch only these, other rules any that come.
        What an agent knows of a device after a restart may be less than before (a dead device shows no table rows), so
        a point once expected stays so, until `complete` says that `points` is the whole list.
    gone_after_ms: how long a complete list must lack such a point until it is gone: a row may be missing from the first
        full answer. A list that was complete with the point and is without it now is taken at its word.
    may_have: (metric, pattern of subjects) of all that the device can ever give, None when nobody said. A point that
        is none of it (the device got another profile) is gone.
    interval_s: how often it is polled, 0 when unknown; a value holds, and may stay away, at least three intervals.
    """

    id: str
    kind: str
    zone: str = ""
    room: str = ""
    room_class: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    points: tuple[PointKey, ...] = ()
    interval_s: float = 0.0
    complete: bool = False
    gone_after_ms: int = 0
    may_have: frozenset[tuple[str, str]] | None = None

    def gap_ms(self, rule: Rule) -> int:
        """How long a value of this device holds for the rule: the rule's gap, or three polls of a slow device."""
        return self._at_least_three_polls(rule.gap)

    def absent_ms(self, absent: Absent) -> int:
        """How long a point of this device may stay away: as the rule says, or three polls of a slow device."""
        return self._at_least_three_polls(absent.after)

    def _at_least_three_polls(self, ms: int) -> int:
        return max(ms, int(self.interval_s * 1000 * GAP_INTERVALS))

    def can_give(self, metric: str, subject: str) -> bool:
        """Whether the device may ever have such a point, as far as is known."""
        return self.may_have is None or any(
            metric == may and fnmatchcase(subject, pattern) for may, pattern in self.may_have
        )


def applies(rule: Rule, facts: DeviceFacts) -> bool:
    """Whether the rule judges points of this device; its metric and subject are not looked at."""
    if rule.thresholds_set is not None and rule.thresholds_set != (facts.room_class or DEFAULT_THRESHOLDS_SET):
        return False
    return selected(rule.select, facts) and not any(selected(other, facts) for other in rule.unless)


def selected(select: Select, facts: DeviceFacts) -> bool:
    """Whether a device is among those selected; the subject is not looked at."""
    if select.kinds and facts.kind not in select.kinds:
        return False
    if select.rooms and facts.room not in select.rooms:
        return False
    if select.zones and (facts.zone or UNPLACED) not in select.zones:
        return False
    if select.devices and not any(fnmatchcase(facts.id, pattern) for pattern in select.devices):
        return False
    return all(facts.labels.get(name) == value for name, value in select.labels.items())
