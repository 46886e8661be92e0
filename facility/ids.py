"""Identifiers: names given by people, and UUIDv7 given by programs."""

import re
from typing import Protocol
from uuid import UUID

from uuid_utils import uuid7

# Ids become MQTT topic levels, Prometheus label values and file names: lower-case ASCII, no separators of any of them.
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


class NewId(Protocol):
    """Makes an id whose order follows `at_ms` (milliseconds UTC)."""

    def __call__(self, at_ms: int) -> str: ...


def new_id(at_ms: int) -> str:
    """A UUIDv7 whose time part is `at_ms`, as the canonical 36-character text."""
    return str(uuid7(nanoseconds=at_ms * 1_000_000))


def made_at(id_: str) -> int:
    """The time part of a UUIDv7, in ms UTC; ValueError for what is no UUID."""
    return UUID(id_).int >> 80


def is_slug(text: str) -> bool:
    """True for a site, agent, device or rule id: 1 to 63 of a-z 0-9 _ -, a letter or digit at both ends."""
    return SLUG.fullmatch(text) is not None
