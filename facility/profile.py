"""The device profile: how one family of devices is recognised, and what its objects or registers mean.

A profile is data: every conversion comes from the closed list below, and no field can hold a credential or an
address. This model is the only validator: it is applied at load, in the tests over every shipped file, and as the JSON
Schema editors use (`Profile.model_json_schema()`). Numbers are converted into the register's base unit exactly.
"""

import hashlib
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from facility.metrics import Metric, metric
from facility.states import StateSet
from facility.units import Unit, quantity_of

# Sub-identifiers are 32-bit and an object identifier has at most 128 of them (RFC 2578 section 3.5).
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9})){1,127}")
_SUBJECT = re.compile(
    r"([a-z][a-z0-9_-]*/)?(([A-Za-z0-9_.-]|\{(index|i[1-9]|name)\})+)(/([A-Za-z0-9_.-]|\{(index|i[1-9]|name)\})+)?"
)


def _numeric_oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise ValueError(
            f"{text!r} is no numeric object identifier; write it like 1.3.6.1.2.1.33.1.2.4.0, no leading dot"
        )
    return text


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, dict) else value


def _word(value: object) -> object:
    """YAML 1.1 reads a bare `on` or `off` as a truth value; here they are state words."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def _texts(value: object) -> object:
    """Raw values are compared as text, so `1` and `"1"` in a profile mean the same."""
    if isinstance(value, dict):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return value


Oid = Annotated[str, AfterValidator(_numeric_oid)]
Regex = Annotated[str, AfterValidator(_regex)]
Word = Annotated[str, BeforeValidator(_word)]
RawMap = Annotated[dict[str, Word], BeforeValidator(_texts)]
RawValues = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Address = Annotated[int, Field(ge=0, le=65535)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*$")]


class Protocol(StrEnum):
    """What a device speaks."""

    SNMP = "snmp"
    MODBUS = "modbus"


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


class NumberType(StrEnum):
    """How register words make a number; `flag` is one bit of a coil or discrete input."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    F64 = "f64"
    FLAG = "flag"

    @property
    def words(self) -> int:
        """How many consecutive registers hold the number."""
        return 1 if self is NumberType.FLAG else int(self.value[1:]) // 16


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Model):
    """A text for people in both languages."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)


class Place(_Model):
    """Where something is read: exactly one of an SNMP instance, an SNMP column, or a cell of one Modbus table.

    index picks the sub-identifiers of the row a column is looked up by, counted from 1 (`[1]` for a table indexed by
    the first part of this row's index); all of them where it is left out.
    """

    oid: Oid | None = None
    column: Oid | None = None
    holding: Address | None = None
    input: Address | None = None
    coil: Address | None = None
    discrete: Address | None = None
    index: tuple[Annotated[int, Field(ge=1, le=9)], ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in _PLACES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"say exactly one of {', '.join(_PLACES)}; given: {', '.join(given) or 'none'}")
        if self.index and self.column is None:
            raise ValueError("index is for column only")
        return self

    @property
    def protocol(self) -> Protocol:
        return Protocol.MODBUS if self.oid is None and self.column is None else Protocol.SNMP

    @property
    def cell(self) -> tuple[Literal["holding", "input", "coil", "discrete"], int]:
        """The Modbus table and zero-based address; ValueError for an SNMP place."""
        for name in _TABLES:
            address = getattr(self, name)
            if address is not None:
                return name, address
        raise ValueError("an SNMP place has no Modbus cell")


_TABLES: tuple[Literal["holding", "input", "coil", "discrete"], ...] = ("holding", "input", "coil", "discrete")
_PLACES = ("oid", "column", *_TABLES)


class UnitFrom(Place):
    """The unit stands in another object: its raw value to unit."""

    map: Annotated[dict[str, Unit], BeforeValidator(_texts)] = Field(min_length=1)


class ScaleFrom(Place):
    """The scale stands in another object: its raw value to factor, or the number of decimals itself."""

    map: Annotated[dict[str, float], BeforeValidator(_texts)] = Field(default_factory=dict)
    decimals: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.map) == self.decimals:
            raise ValueError("say either map or decimals: true")
        return self


class Condition(Place):
    """True when the object holds one of `in`, none of `not_in`, or is there at all (`present`).

    An object the device does not have makes `in` false and `not_in` true.
    """

    one_of: RawValues = Field(default=(), alias="in")
    not_in: RawValues = ()
    present: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if sum((bool(self.one_of), bool(self.not_in), self.present is not None)) != 1:
            raise ValueError("say exactly one of in, not_in, present")
        return self


class NotAvailable(_Model):
    """Raw values that mean "not available" only while another object holds certain values."""

    raw: RawValues = Field(min_length=1)
    when: Condition


class Source(Place):
    """One place a point is read from, and how its raw value becomes a value.

    Order of the steps: absent and sentinels (raw) -> pattern, date, flags, bits, contains or states -> scale, binary
    scale, scale_from -> offset -> unit or unit_from -> the register's base unit.
    sentinels: raw values that mean "not available": a bad reading. absent: raw values that mean "this unit has no
    such sensor": no reading at all. doubtful: believed only when no later source has anything better.
    bits: bit number to state of an integer, first set bit wins, else `otherwise`; flags: the same for characters
    counted from 1 of a text of `0` and `1`; contains: the same for values found anywhere in a column (an object
    identifier stands for all below it), in rows where `where` holds.
    """

    type: NumberType = NumberType.U16
    word_order: Literal["big", "little"] = "big"  # which word comes first: the high one or the low one
    byte_order: Literal["big", "little"] = "big"  # within a word
    scale: float = 1.0
    binary_scale: int = Field(default=0, ge=0, le=31)  # divide by 2 to this power
    scale_from: ScaleFrom | None = None
    offset: float = 0.0  # in the source's unit, after scaling
    unit: Unit | None = None
    unit_from: UnitFrom | None = None
    sentinels: RawValues = ()
    sentinel_when: NotAvailable | None = None
    absent: RawValues = ()
    doubtful: RawValues = ()
    pattern: Regex | None = None  # its first group is the number
    date: tuple[str, ...] = ()  # strptime formats, tried in order; the value is seconds since 1970 UTC
    states: RawMap = Field(default_factory=dict)
    bits: dict[Annotated[int, Field(ge=0, le=63)], Word] = Field(default_factory=dict)
    flags: dict[Annotated[int, Field(ge=1, le=64)], Word] = Field(default_factory=dict)
    contains: RawMap = Field(default_factory=dict)
    where: Condition | None = None
    otherwise: Word | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        state_ways = [name for name in ("states", "bits", "flags", "contains") if getattr(self, name)]
        if len(state_ways) > 1:
            raise ValueError(f"say one of {', '.join(state_ways)}, not several")
        if state_ways and state_ways[0] != "states" and self.otherwise is None:
            raise ValueError(f"{state_ways[0]} needs `otherwise`: the state when none of them is set")
        if self.otherwise is not None and state_ways in ([], ["states"]):
            raise ValueError("otherwise belongs to bits, flags or contains; an unlisted state is `unknown` by itself")
        if self.contains and self.column is None:
            raise ValueError("contains looks through a column")
        if self.where is not None and not self.contains:
            raise ValueError("where belongs to contains")
        if self.unit is not None and self.unit_from is not None:
            raise ValueError("say unit or unit_from, not both")
        if self.pattern is not None and re.compile(self.pattern).groups < 1:
            raise ValueError("pattern needs a group around the number")
        if self.scale == 0:
            raise ValueError("a scale of 0 makes every value 0")
        if (self.coil is not None or self.discrete is not None) and self.type is not NumberType.FLAG:
            raise ValueError("a coil or discrete input is of `type: flag`")
        return self

    @property
    def state_words(self) -> frozenset[str]:
        words = {*self.states.values(), *self.bits.values(), *self.flags.values(), *self.contains.values()}
        return frozenset(words | ({self.otherwise} if self.otherwise is not None else set()))

    def places(self) -> Iterator[Place]:
        """Every place read for this source, itself first."""
        yield self
        if self.scale_from is not None:
            yield self.scale_from
        if self.unit_from is not None:
            yield self.unit_from
        if self.sentinel_when is not None:
            yield self.sentinel_when.when
        if self.where is not None:
            yield self.where


class Point(_Model):
    """One canonical metric of the device (one for each row where it is read from a column).

    subject: "" or a template: `phase/L{i1}`, `probe/{index}`, `outlet/{name}`; i1..i9 are single sub-identifiers,
    name comes from the `name` place. when: all must hold, else there is no reading.
    Two points may make the same metric and subject: the first that yields a value is it.
    """

    metric: str
    subject: str = ""
    sources: Annotated[tuple[Source, ...], BeforeValidator(_listed)] = Field(alias="from", min_length=1)
    when: Annotated[tuple[Condition, ...], BeforeValidator(_listed)] = ()
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
        for source in self.sources:
            _check_values(source, entry)
        if len({source.column is not None and not source.contains for source in self.sources}) > 1:
            raise ValueError("all sources of a point are columns, or none is")
        if self.subject and not _SUBJECT.fullmatch(self.subject):
            raise ValueError(f"subject {self.subject!r}: write kind/text with {{index}}, {{i1}}..{{i9}} or {{name}}")
        if "{" in self.subject and not self.is_table:
            raise ValueError("a subject with {...} needs a column")
        if self.is_table and "{" not in self.subject and not any(condition.column for condition in self.when):
            raise ValueError(
                "a column has a row for each subject: say e.g. subject: probe/{index}, or pick one row by when"
            )
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


class Probe(Condition):
    """A look at one object of a device to recognise it; `matches` is a regular expression over its text."""

    matches: Regex | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = (bool(self.one_of), bool(self.not_in), self.present is not None, self.matches is not None)
        if sum(tests) != 1:
            raise ValueError("say exactly one of in, not_in, present, matches")
        return self


class Recognition(_Model):
    """One way to recognise the family: everything said must hold."""

    sys_object_id: Oid | None = None  # itself or a prefix of the device's
    sys_descr: Regex | None = None
    probes: Annotated[tuple[Probe, ...], BeforeValidator(_listed)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.sys_object_id is None and self.sys_descr is None and not self.probes:
            raise ValueError("say at least one of sys_object_id, sys_descr, probes")
        return self


class DeviceFacts(_Model):
    """Where the name plate is read: the first object with a text wins. A column gives its first row."""

    vendor: Annotated[tuple[Place, ...], BeforeValidator(_listed)] = ()
    model: Annotated[tuple[Place, ...], BeforeValidator(_listed)] = ()
    serial: Annotated[tuple[Place, ...], BeforeValidator(_listed)] = ()
    firmware: Annotated[tuple[Place, ...], BeforeValidator(_listed)] = ()
    name: Annotated[tuple[Place, ...], BeforeValidator(_listed)] = ()


class Identify(_Model):
    """How the family is recognised. generic: a standard many vendors speak, used only where nothing else fits."""

    any_of: Annotated[tuple[Recognition, ...], BeforeValidator(_listed)] = Field(default=(), alias="any")
    generic: bool = False
    device: DeviceFacts = DeviceFacts()


class ModbusLimits(_Model):
    """What the device stands. Never over 125 registers a request (Modbus Application Protocol 1.1b3 section 6.3)."""

    gap: int = Field(default=8, ge=0, le=124)
    max_block: int = Field(default=125, ge=1, le=125)
    pause_ms: int = Field(default=0, ge=0, le=5000)


class Profile(_Model):
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
    extends: Id | None = None
    without: tuple[str, ...] = ()
    identify: Identify = Identify()
    modbus: ModbusLimits | None = None
    points: tuple[Point, ...] = ()

    @property
    def revision(self) -> str:
        """A hash of all that is said: another revision may read the same device differently."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()[:12]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if not self.points and self.extends is None:
            raise ValueError("a profile without points reads nothing")
        if self.without and self.extends is None:
            raise ValueError("without is for a profile that extends another")
        if self.modbus is not None and self.protocol is not Protocol.MODBUS:
            raise ValueError("modbus limits are for protocol: modbus")
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
        update={"points": child.points + inherited, "identify": identify, "modbus": child.modbus or parent.modbus}
    )
