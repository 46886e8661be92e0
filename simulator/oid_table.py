"""A sorted table of SNMP objects whose values are computed when asked. Pure: knows nothing of the network.

A getter that returns None means the instance is not there at this moment (an alarm row that has gone, a cell the
device does not fill): GET answers noSuchInstance, GETNEXT walks past it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Oid = tuple[int, ...]
Value = int | str | Oid


class Syntax(StrEnum):
    """SMI base types the simulated devices use."""

    INTEGER = "integer"
    GAUGE = "gauge"
    COUNTER = "counter"
    TICKS = "ticks"
    TEXT = "text"
    OID = "oid"


class Missing(StrEnum):
    """Why a GET has no value."""

    NO_SUCH_OBJECT = "no_such_object"
    NO_SUCH_INSTANCE = "no_such_instance"


@dataclass(frozen=True, slots=True)
class Bound:
    """A value with the syntax it is encoded in."""

    syntax: Syntax
    value: Value


Getter = Callable[[], Value | None]


def parse_oid(text: str) -> Oid:
    """Dotted numbers to a tuple; a leading dot is allowed."""
    return tuple(int(part) for part in text.strip(".").split("."))


def _constant(value: Value) -> Getter:
    return lambda: value


class OidTable:
    """Objects of one agent. Fill it once with `add`, then ask `get` and `next`."""

    def __init__(self) -> None:
        self._entries: dict[Oid, tuple[Syntax, Getter]] = {}
        self._objects: set[Oid] = set()
        self._order: list[Oid] = []

    def add(self, oid: str, syntax: Syntax, value: Value | Getter) -> None:
        """Add one instance. A plain value is constant; a callable is asked at each request."""
        key = parse_oid(oid)
        if key in self._entries:
            raise ValueError(f"object {oid.lstrip('.')} is there already")
        getter = value if callable(value) else _constant(value)
        self._entries[key] = (syntax, getter)
        self._objects.add(key[:-1])
        self._order = []

    def _sorted(self) -> list[Oid]:
        if not self._order:
            self._order = sorted(self._entries)
        return self._order

    def get(self, oid: Oid) -> Bound | Missing:
        """The instance's value now."""
        entry = self._entries.get(oid)
        if entry is not None:
            value = entry[1]()
            return Missing.NO_SUCH_INSTANCE if value is None else Bound(entry[0], value)
        known = oid[:-1] in self._objects or oid in self._objects
        return Missing.NO_SUCH_INSTANCE if known else Missing.NO_SUCH_OBJECT

    def next(self, oid: Oid) -> tuple[Oid, Bound] | None:
        """The first present instance after `oid`, or None at the end of the view."""
        order = self._sorted()
        for key in order[bisect_right(order, oid) :]:
            syntax, getter = self._entries[key]
            value = getter()
            if value is not None:
                return key, Bound(syntax, value)
        return None
