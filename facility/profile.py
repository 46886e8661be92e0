"""The device profile: how one family of devices is recognised, and what its objects or registers mean.

A profile is data: every conversion comes from the closed list below, and no field can hold a credential or an
address. This model is the only validator: it is applied at load, in the tests over every shipped file, and as the JSON
Schema editors use (`Profile.model_json_schema()`). Numbers are converted into the register's base unit exactly.
"""

import hashlib
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from facility.metrics import Metric, metric
from facility.reading import COMMUNICATION, tells_of_device
from facility.sources import (
    LAST_ADDRESS,
    Condition,
    Model,
    Oid,
    Place,
    Protocol,
    RawValues,
    Regex,
    Source,
    TextPlace,
    one_or_more,
)
from facility.states import StateSet
from facility.traps import Trap, merged_traps, trap_problems
from facility.units import Unit, quantity_of

__all__ = [
    "ID_PATTERN",
    "DeviceFacts",
    "DeviceKind",
    "Identify",
    "Maturity",
    "ModbusLimits",
    "Point",
    "Profile",
    "Protocol",
    "Recognition",
    "Text",
    "extended",
]

_PIECE = r"([A-Za-z0-9_.-]|\{(index|[it][1-9]|name)\})+"
_SUBJECT = re.compile(rf"([a-z][a-z0-9_-]*/)?{_PIECE}(/{_PIECE})?")
ID_PATTERN = r"^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*$"
Id = Annotated[str, Field(pattern=ID_PATTERN)]


class Maturity(StrEnum):
    """How a profile was proved: against a recorded device, a device on the bench, or its documents only."""

    RECORDED = "recorded"
    VERIFIED = "verified"
    DOCUMENTED = "documented"


class DeviceKind(StrEnum):
    """What a device is for."""

    UPS = "ups"
    CRAC = "crac"
    ENVIRONMENT = "environment"
    LEAK = "leak"
    PDU = "pdu"
    ATS = "ats"
    METER = "meter"


class Text(Model):
    """A text for people in both languages."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)


class Point(Model):
    """One canonical metric of the device (one for each row where it is read from a column).

    subject: "" or a template: `phase/L{i1}`, `probe/{index}`, `outlet/{name}`; i1..i9 are single sub-identifiers,
    t1..t9 the text that begins there (its length, then its characters), name comes from the `name` place.
    only: rows whose sub-identifier (counted from 1) is one of these, for tables that index by kind.
    when: all must hold, else there is no reading.
    Two points may make the same metric and subject: the first that yields a value is it.
    """

    metric: str
    subject: str = ""
    sources: Annotated[tuple[Source, ...], one_or_more(Source)] = Field(alias="from")
    when: Annotated[tuple[Condition, ...], one_or_more(Condition)] = ()
    only: dict[Annotated[int, Field(ge=1, le=9)], RawValues] = Field(default_factory=dict)
    rows: Place | None = None  # how many rows are real: some cards fill the rest with zeros; rows are numbered by i1
    name: Place | None = None  # the label of the row as the device says it
    label: Text | None = None
    range: tuple[float, float] | None = None  # in the register's base unit; replaces the register's
    slew: Annotated[float, Field(gt=0)] | None = None  # base units a second; replaces the register's
    note: str = ""  # where this is known from, and what is odd about it

    @property
    def entry(self) -> Metric:
        """The register's entry."""
        return metric(self.metric)

    @property
    def is_table(self) -> bool:
        return self.sources[0].column is not None and not self.sources[0].contains

    def places(self) -> Iterator[Place]:
        """Every place this point needs read."""
        for source in self.sources:
            yield from source.places()
        yield from self.when
        if self.rows is not None:
            yield self.rows
        if self.name is not None:
            yield self.name

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        try:
            entry = self.entry
        except KeyError as error:
            raise ValueError(str(error)) from error
        if not self.sources:
            raise ValueError("from is empty: say where the point is read")
        for source in self.sources:
            _check_values(source, entry)
        if self.sources[-1].passes:
            raise ValueError("the last source cannot pass: there is no next one to ask")
        if len({source.column is not None and not source.contains for source in self.sources}) > 1:
            raise ValueError("all sources of a point are columns, or none is")
        if tells_of_device(self.metric, self.subject):
            raise ValueError(
                f"{COMMUNICATION} is the agent's own word of the device; say a subject, e.g. ups behind its card"
            )
        if self.subject and not _SUBJECT.fullmatch(self.subject):
            fields = "{index}, {i1}..{i9}, {t1}..{t9} or {name}"
            raise ValueError(f"subject {self.subject!r}: write kind/text with {fields}")
        if "{" in self.subject and not self.is_table:
            raise ValueError("a subject with {...} needs a column")
        if self.is_table and "{" not in self.subject and not any(condition.column for condition in self.when):
            raise ValueError(
                "a column has a row for each subject: say e.g. subject: probe/{index}, or pick one row by when"
            )
        if self.only and not self.is_table:
            raise ValueError("only picks rows of a table: the point needs a column")
        if self.rows is not None and not (self.is_table and self.rows.column is None):
            raise ValueError("rows counts the rows of a table: the point needs a column, rows one object")
        if "{name}" in self.subject and self.name is None:
            raise ValueError("subject uses {name}: say where the name is read")
        beside = [*self.when, *(other for source in self.sources if not source.contains for other in source.places())]
        if not self.is_table and any(place.column for place in beside):
            raise ValueError("only a point read from a column can refer to another column")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError("range is [lowest, highest]")
        return self


def _check_values(source: Source, entry: Metric) -> None:
    if entry.states is not None:
        _check_states(source, entry.name, entry.states)
        return
    if source.wraps_at is not None and not entry.counter:
        raise ValueError(f"{entry.name} is no counter: wraps_at is for those, e.g. ups.output.energy")
    if source.state_words:
        raise ValueError(f"{entry.name} is a number: states, bits, flags and contains are for state metrics")
    units = {source.unit} if source.unit else set()
    if source.unit_from is not None:
        units = set(source.unit_from.map.values())
    for unit in sorted(units):
        if quantity_of(unit) is not entry.quantity:
            raise ValueError(f"{entry.name} is a {entry.quantity}, {unit} is a {quantity_of(unit)}")
    if not units and entry.unit is not Unit.NONE and not source.date:
        raise ValueError(f"{entry.name} needs a unit: say what the device counts in, e.g. unit: {entry.unit}")


def _check_states(source: Source, name: str, states: StateSet) -> None:
    if not source.state_words:
        raise ValueError(f"{name} is a state: say states, bits, flags or contains")
    for word in sorted(source.state_words):
        if word not in states.words:
            raise ValueError(f"{word!r} is no state of {name}; allowed: {', '.join(states.words)}")


class Recognition(Model):
    """One way to recognise the family: everything said must hold."""

    sys_object_id: Oid | None = None  # itself or a prefix of the device's
    sys_descr: Regex | None = None
    probes: Annotated[tuple[Condition, ...], one_or_more(Condition)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.sys_object_id is None and self.sys_descr is None and not self.probes:
            raise ValueError("say at least one of sys_object_id, sys_descr, probes")
        return self


class DeviceFacts(Model):
    """Where the name plate is read: the first object with a text wins. A column gives its first row."""

    vendor: Annotated[tuple[TextPlace, ...], one_or_more(TextPlace)] = ()
    model: Annotated[tuple[TextPlace, ...], one_or_more(TextPlace)] = ()
    serial: Annotated[tuple[TextPlace, ...], one_or_more(TextPlace)] = ()
    firmware: Annotated[tuple[TextPlace, ...], one_or_more(TextPlace)] = ()
    name: Annotated[tuple[TextPlace, ...], one_or_more(TextPlace)] = ()


class Identify(Model):
    """How the family is recognised. generic: a standard many vendors speak, used only where nothing else fits."""

    any_of: Annotated[tuple[Recognition, ...], one_or_more(Recognition)] = Field(default=(), alias="any")
    generic: bool = False
    device: DeviceFacts = DeviceFacts()


class ModbusLimits(Model):
    """What the device stands. Never over 125 registers a request (Modbus Application Protocol 1.1b3 section 6.3)."""

    gap: int = Field(default=8, ge=0, le=124)
    max_block: int = Field(default=125, ge=1, le=125)
    pause_ms: int = Field(default=0, ge=0, le=5000)  # between two requests
    connect_pause_ms: int = Field(default=0, ge=0, le=10_000)  # between connecting and the first request


class Profile(Model):
    """One family of devices. `id` is the file's path below the profiles folder: `vendor/model`.

    extends: another profile of the same protocol whose points this one takes over; a point of the same metric and
    subject replaces the inherited ones, `without` leaves metrics out.
    """

    id: Id
    title: Text
    vendor: str = Field(min_length=1)
    model: str = Field(min_length=1)
    kind: DeviceKind
    protocol: Protocol
    maturity: Maturity
    provenance: str = Field(min_length=10)
    interval: int = Field(default=30, ge=1, le=3600)  # seconds between polls, unless the site says otherwise
    timeout: float | None = Field(default=None, ge=0.05, le=60)  # seconds one answer may take, unless the site says so
    extends: Id | None = None
    without: tuple[str, ...] = ()
    identify: Identify = Identify()
    modbus: ModbusLimits | None = None
    points: tuple[Point, ...] = ()
    traps: tuple[Trap, ...] = ()

    @property
    def revision(self) -> str:
        """A hash of all that is said: another revision may read the same device differently."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()[:12]

    def outside(self, offset: int) -> Place | None:
        """The first Modbus place that lies outside 0..65535 once `offset` is added to every address."""
        facts = (place for field in DeviceFacts.model_fields for place in getattr(self.identify.device, field))
        places = (place for point in self.points for place in point.places())
        return next(
            (each for each in (*places, *facts) if not 0 <= each.cell[1] + offset <= LAST_ADDRESS + 1 - each.span),
            None,
        )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if not self.points and self.extends is None:
            raise ValueError("a profile without points reads nothing")
        if self.without and self.extends is None:
            raise ValueError("without is for a profile that extends another")
        if self.modbus is not None and self.protocol is not Protocol.MODBUS:
            raise ValueError("modbus limits are for protocol: modbus")
        if self.traps and self.protocol is not Protocol.SNMP:
            raise ValueError("traps are for protocol: snmp")
        for problem in trap_problems(self.traps):
            raise ValueError(problem)
        for number, point in enumerate(self.points):
            for place in point.places():
                if place.protocol is not self.protocol:
                    raise ValueError(
                        f"points[{number}] ({point.metric}) reads {place.protocol}, the profile speaks {self.protocol}"
                    )
        return self


def extended(child: Profile, parent: Profile) -> Profile:
    """The child with its parent's points where it does not replace or drop them; ValueError when they do not fit."""
    if parent.extends is not None:
        raise ValueError(f"{parent.id} itself extends {parent.extends}: extend that one instead")
    if parent.protocol is not child.protocol:
        raise ValueError(f"{parent.id} speaks {parent.protocol}, this profile {child.protocol}")
    known = {point.metric for point in parent.points}
    for name in child.without:
        if name not in known:
            raise ValueError(f"without: {parent.id} has no {name}")
    own = {(point.metric, point.subject) for point in child.points}
    inherited = tuple(
        point
        for point in parent.points
        if point.metric not in child.without and (point.metric, point.subject) not in own
    )
    facts = {
        field: getattr(child.identify.device, field) or getattr(parent.identify.device, field)
        for field in DeviceFacts.model_fields
    }
    identify = child.identify.model_copy(update={"device": DeviceFacts(**facts)})
    return child.model_copy(
        update={
            "points": child.points + inherited,
            "traps": merged_traps(child.traps, parent.traps),
            "identify": identify,
            "modbus": child.modbus or parent.modbus,
            "timeout": child.timeout or parent.timeout,
        }
    )
