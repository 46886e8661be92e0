"""Runs identification and a profile over a recorded walk: what the agent would read of that device."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.convert import Converter, Sourced
from collectors.exchange import SnmpAnswer, SnmpNeeds, SnmpValue
from collectors.identify import Identification, identify
from collectors.library import Library
from collectors.walk import answer_from, read_walk
from facility.metrics import metric
from facility.profile import Profile, Protocol

# A recording has no time of its own; the converter only wants an instant.
_TAKEN_AT = 1


class ReplayError(ValueError):
    """A profile that no walk can be replayed with."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a walk brought. profile: the one the readings were made with, recognised or given; given: it was named."""

    values: Mapping[str, SnmpValue]
    found: Identification
    profile: Profile | None
    given: bool
    readings: tuple[Sourced, ...]

    def as_json(self) -> dict[str, Any]:
        """The object `coldaisle profile replay --json` prints; `profile` is null where only a generic one applied."""
        named = self.profile if self.given else self.found.profile
        return {
            "profile": named.id if named is not None else None,
            "candidates": list(self.found.candidates),
            "device": dict(self.found.device),
            "readings": [row(sourced) for sourced in self.readings],
        }


def replay(walk: Path, library: Library, *, profile_id: str | None = None) -> dict[str, Any]:
    """The object `coldaisle profile replay --json` prints. profile_id overrides the identification.

    WalkError for a file that is no walk, UnknownProfileError for a profile that is not there.
    """
    return replay_values(read_walk(walk), library, profile_id=profile_id)


def replay_values(values: dict[str, SnmpValue], library: Library, *, profile_id: str | None = None) -> dict[str, Any]:
    """As `replay`, of values already read."""
    return replayed(values, library, profile_id=profile_id).as_json()


def replayed(values: dict[str, SnmpValue], library: Library, *, profile_id: str | None = None) -> Replayed:
    """As `replay_values`, with what an explanation needs."""
    found = identify(library, SnmpAnswer(values=values))
    chosen = library.get(profile_id) if profile_id is not None else found.best
    if chosen is not None and chosen.protocol is not Protocol.SNMP:
        raise ReplayError(f"{chosen.id} speaks {chosen.protocol}; a walk is a recording of SNMP")
    readings: list[Sourced] = []
    if chosen is not None:
        converter = Converter(chosen, device="replay")
        needs = converter.needs()
        if isinstance(needs, SnmpNeeds):
            readings = converter.convert_sourced(answer_from(values, needs), taken_at=_TAKEN_AT)
    return Replayed(values, found, chosen, profile_id is not None, tuple(readings))


def row(sourced: Sourced) -> dict[str, Any]:
    """One reading as the command prints it; `reason` says why where the quality is not good."""
    reading = sourced.reading
    shown = {
        "metric": reading.metric,
        "subject": reading.subject,
        "value": reading.value,
        "raw": sourced.raw,
        "unit": metric(reading.metric).unit.value,
        "quality": reading.quality.value,
        "source": sourced.source,
    }
    return shown | ({"reason": reading.reason.value} if reading.reason is not None else {})
