"""What `bench.fuzz` asks of whatever reads bytes of strangers."""

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from facility.config import Document, parse_yaml, validate
from facility.profile import Profile
from facility.reading import Reading

ROOT = Path(__file__).parents[1]


class Target(ABC):
    """inputs: what hypothesis makes; per_input: how many inputs one of them counts for; waits: for peers on loopback,
    and then allowed_s of waiting are no hang.
    """

    inputs: st.SearchStrategy[Any]
    per_input = 1
    waits = False
    allowed_s = 0.0

    @abstractmethod
    def feed(self, value: Any) -> str: ...

    def close(self) -> None:  # noqa: B027 - most have no peers to let go of
        """Let go of peers."""


def sane(readings: list[Reading] | tuple[Reading, ...]) -> str:
    """No reading holds what is no value."""
    for each in readings:
        if isinstance(each.value, float) and not math.isfinite(each.value):
            raise AssertionError(f"{each.metric} is {each.value}")
    values = [each.value for each in readings if each.metric != "device.communication"]
    return "good" if any(value is not None for value in values) else "bad"


def profile_of(text: str, profile_id: str = "fuzz/device") -> Profile:
    document = parse_yaml(text, "fuzz.yaml")
    data = {"id": profile_id, **document.data} if isinstance(document.data, dict) else document.data
    return validate(Document(document.file, data, document.lines), Profile)
