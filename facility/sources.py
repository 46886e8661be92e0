"""Where a profile reads from and how a raw value becomes a value: the closed list of conversions.

Every place is an SNMP object, an SNMP column or a Modbus cell; every conversion is named here and nowhere else.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from facility.units import Unit

# Sub-identifiers are 32-bit and an object identifier has at most 128 of them (RFC 2578 section 3.5).
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9})){1,127}")


def _numeric_oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise ValueError(
            f"{text!r} is no numeric object identifier; write it like 1.3.6.1.2.1.33.1.2.4.0, no leading dot"
        )
    return text


def regex(text: str) -> str:
    """The text, if it is a regular expression; ValueError otherwise."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


def one_or_more(kind: type) -> BeforeValidator:
    """For a tuple of `kind`: a single mapping stands for a list of one; editors are told so by the schema."""
    return BeforeValidator(listed, json_schema_input_type=kind | tuple[kind, ...])  # type: ignore[valid-type]


def listed(value: object) -> object:
    """A single mapping stands for a list of one, so that profiles stay short."""
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
Regex = Annotated[str, AfterValidator(regex)]
Word = Annotated[str, BeforeValidator(_word, json_schema_input_type=str | bool)]
RawMap = Annotated[dict[str, Word], BeforeValidator(_texts, json_schema_input_type=dict[str, str | bool])]
RawValues = Annotated[tuple[str, ...], BeforeValidator(_texts, json_schema_input_type=tuple[str | float, ...])]
Address = Annotated[int, Field(ge=0, le=65535)]


class Protocol(StrEnum):
    """What a device speaks."""

    SNMP = "snmp"
    MODBUS = "modbus"


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


class Model(BaseModel):
    """Whatever a profile file holds: nothing unknown is taken, nothing changes after load."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Place(Model):
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
    def span(self) -> int:
        """How many consecutive cells of its Modbus table it takes."""
        return 1

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
# Addresses go over the wire in 16 bits (Modbus Application Protocol 1.1b3 section 4.4).
LAST_ADDRESS = 65535


def _check_end(place: Place, what: str) -> None:
    if place.protocol is Protocol.MODBUS and (address := place.cell[1]) + place.span - 1 > LAST_ADDRESS:
        raise ValueError(f"{what} takes {place.span} registers from {address}, the last is {LAST_ADDRESS}")


class TextPlace(Place):
    """Where a text of the name plate is read.

    words: how many registers hold it, two characters each, the first in the high byte unless byte_order says so; names:
    a number that stands for a text, e.g. a model code.
    """

    words: int = Field(default=1, ge=1, le=32)
    byte_order: Literal["big", "little"] = "big"
    names: Annotated[dict[str, str], BeforeValidator(_texts)] = Field(default_factory=dict)

    @property
    def span(self) -> int:
        return self.words

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _check_end(self, "the text")
        register = self.holding is not None or self.input is not None
        if self.words > 1 and not register:
            raise ValueError("words counts registers: it is for holding or input")
        if self.names and (self.words > 1 or not register):
            raise ValueError("names is for the number in one register")
        return self


class UnitFrom(Place):
    """The unit stands in another object: its raw value to unit."""

    map: Annotated[dict[str, Unit], BeforeValidator(_texts)] = Field(min_length=1)


class ScaleFrom(Place):
    """The scale stands in another object: its raw value to factor, the number of decimals, or the factor itself."""

    map: Annotated[dict[str, float], BeforeValidator(_texts)] = Field(default_factory=dict)
    decimals: bool = False
    factor: bool = False  # e.g. the ratio of a current transformer

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum((bool(self.map), self.decimals, self.factor)) != 1:
            raise ValueError("say one of map, decimals: true, factor: true")
        return self


class ScaleStep(Model):
    """From this size on the factor is this one."""

    at_least: float
    factor: float

    @model_validator(mode="after")
    def _scales(self) -> Self:
        if self.factor == 0:
            raise ValueError("a factor of 0 makes every value 0")
        return self


class ScaleBy(Model):
    """The factor is told by the size of what the device says elsewhere: its nominal values, or others of the quantity.

    The last step that the largest number of all `of` reaches is it, 1 below the first. Numbers above `at_most` are no
    values. A step once reached holds: a dead output does not make tenths of volts out of volts.
    """

    of: Annotated[tuple[Place, ...], one_or_more(Place)] = Field(min_length=1)
    steps: Annotated[tuple[ScaleStep, ...], one_or_more(ScaleStep)] = Field(min_length=1)
    at_most: float

    @model_validator(mode="after")
    def _rising(self) -> Self:
        limits = [step.at_least for step in self.steps] + [self.at_most]
        if limits != sorted(set(limits)):
            raise ValueError("steps rise, and at_most is above the last")
        return self


class Condition(Place):
    """True when the object holds one of `in`, none of `not_in`, is there at all (`present`), or its text matches.

    An object the device does not have makes `in` and `matches` false, `not_in` and `not_matches` true.
    """

    one_of: RawValues = Field(default=(), alias="in")
    not_in: RawValues = ()
    present: bool | None = None
    matches: Regex | None = None
    not_matches: Regex | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        regexes = (self.matches is not None, self.not_matches is not None)
        if sum((bool(self.one_of), bool(self.not_in), self.present is not None, *regexes)) != 1:
            raise ValueError("say exactly one of in, not_in, present, matches, not_matches")
        return self

    def accepts(self, text: str | None) -> bool:
        """Whether this raw text (None: not there) fulfils the condition."""
        if self.present is not None:
            return bool(text) is self.present
        if self.one_of:
            return text in self.one_of
        if self.not_in:
            return text not in self.not_in
        if self.matches is not None:
            return text is not None and re.search(self.matches, text) is not None
        return text is None or re.search(self.not_matches or "", text) is None


class NotAvailable(Model):
    """Raw values that mean "not available" only while another object holds certain values."""

    raw: RawValues = Field(min_length=1)
    when: Condition


class Source(Place):
    """One place a point is read from, and how its raw value becomes a value.

    Order of the steps: bit_range, bcd -> absent and sentinels (raw) -> pattern, date, flags, bits, contains or states
    -> scale, binary scale, scale_from, scale_by -> offset -> unit or unit_from -> the register's base unit.
    bit_range: lowest and highest bit of registers that hold several things; what stands there is the raw value.
    sentinels: raw values that mean "not available": a bad reading. absent: raw values that mean "this unit has no
    such sensor": no reading at all. doubtful: believed only when no later source has anything better.
    bits: bit number to state of an integer, first set bit wins, else `otherwise`; flags: the same for characters
    counted from 1 of a text of `0` and `1`; contains: the same for values found anywhere in a column (an object
    identifier stands for all below it), in rows where `where` holds.
    passes: an alarm kept in several places: with none of the listed bits, states or values the next source is asked.
    wraps_at: the raw count at which a counter begins again at 0 (65536, 4294967296, or a meter's own 1000000).
    """

    type: NumberType = NumberType.U16
    word_order: Literal["big", "little"] = "big"  # which word comes first: the high one or the low one
    byte_order: Literal["big", "little"] = "big"  # within a word
    bcd: bool = False  # registers: each four bits are one decimal digit; anything else there is no number
    bit_range: tuple[Annotated[int, Field(ge=0, le=63)], Annotated[int, Field(ge=0, le=63)]] | None = None
    scale: float = 1.0
    binary_scale: int = Field(default=0, ge=0, le=31)  # divide by 2 to this power
    scale_from: ScaleFrom | None = None
    scale_by: ScaleBy | None = None
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
    passes: bool = False
    wraps_at: Annotated[int, Field(ge=2, le=2**64)] | None = None

    @property
    def span(self) -> int:
        return self.type.words

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _check_end(self, self.type)
        state_ways = [name for name in ("states", "bits", "flags", "contains") if getattr(self, name)]
        if len(state_ways) > 1:
            raise ValueError(f"say one of {', '.join(state_ways)}, not several")
        if self.passes and (state_ways not in (["bits"], ["states"], ["contains"]) or self.otherwise is not None):
            raise ValueError(
                "passes is for bits, states or contains without `otherwise`: the next source is asked instead"
            )
        if state_ways and state_ways[0] != "states" and self.otherwise is None and not self.passes:
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
        if self.scale_by is not None and self.scale_from is not None:
            raise ValueError("say scale_from or scale_by, not both")
        if self.scale_by is not None and (state_ways or self.date):
            raise ValueError("scale_by is for numbers")
        if self.scale == 0:
            raise ValueError("a scale of 0 makes every value 0")
        if (self.coil is not None or self.discrete is not None) and self.type is not NumberType.FLAG:
            raise ValueError("a coil or discrete input is of `type: flag`")
        self._check_digits()
        return self

    def _check_digits(self) -> None:
        if not self.bcd and self.bit_range is None:
            return
        if self.protocol is not Protocol.MODBUS or self.type in (NumberType.FLAG, NumberType.F32, NumberType.F64):
            raise ValueError("bcd and bit_range are for integers in registers")
        if self.bcd and self.type.value[0] == "s":
            raise ValueError("digits have no sign: say an unsigned type with bcd")
        if self.bit_range is not None:
            low, high = self.bit_range
            if not low <= high < 16 * self.type.words:
                raise ValueError(f"bit_range is [lowest, highest] within 0..{16 * self.type.words - 1}")

    @property
    def state_words(self) -> frozenset[str]:
        words = {*self.states.values(), *self.bits.values(), *self.flags.values(), *self.contains.values()}
        return frozenset(words | ({self.otherwise} if self.otherwise is not None else set()))

    def places(self) -> Iterator[Place]:
        """Every place read for this source, itself first."""
        yield self
        if self.scale_from is not None:
            yield self.scale_from
        if self.scale_by is not None:
            yield from self.scale_by.of
        if self.unit_from is not None:
            yield self.unit_from
        if self.sentinel_when is not None:
            yield self.sentinel_when.when
        if self.where is not None:
            yield self.where
