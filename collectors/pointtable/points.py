"""From registers on the wire to the points of a profile: metric, subject, states, type, factor. Pure.

What a name does not plainly say is not guessed: a number goes to `unmapped.<vendor>.<name>`, an alarm bit to the
device's alarm metric under a subject of its own, so that nothing of the table is lost and nothing pretends.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from collectors.exchange import Table
from collectors.pointtable.addresses import Placed
from collectors.pointtable.lists import state_word, states_in
from collectors.pointtable.rows import Remark, Weight
from collectors.pointtable.words import Name, doubtful, guesses, normal, take_apart
from facility.metrics import Metric, UnknownMetricError, metric
from facility.profile import DeviceKind, Point
from facility.sources import NumberType
from facility.states import UNKNOWN, StateSet
from facility.units import Quantity, Unit, quantity_of

# What a number without a unit is taken for; power, energy and times come in too many to take one for granted.
_ASSUMED_UNIT = {
    Quantity.TEMPERATURE: Unit.CELSIUS,
    Quantity.RATIO: Unit.PERCENT,
    Quantity.VOLTAGE: Unit.VOLT,
    Quantity.CURRENT: Unit.AMPERE,
    Quantity.FREQUENCY: Unit.HERTZ,
}
# Where a single bit says "yes": the words of a set for 1 and for 0.
_YES = {
    "health": ("alarm", "normal"),
    "leak": ("leak", "dry"),
    "door": ("open", "closed"),
    "smoke": ("smoke", "clear"),
    "motion": ("motion", "still"),
    "contact": ("alarm", "normal"),
    "communication": ("lost", "ok"),
    "supply": ("abnormal", "normal"),
    "presence": ("absent", "present"),
    "battery": ("fault", "normal"),
    "replace": ("replace", "ok"),
    "redundancy": ("lost", "redundant"),
    "on_off": ("on", "off"),
    "crac_mode": ("on", "off"),
    "breaker": ("closed", "open"),
}
# Sets of what a thing does: a bit that is an alarm is none of their words.
_DOING = frozenset({"on_off", "crac_mode", "output_source", "ups_mode", "charging", "breaker", "ats_source", "test"})
_BATTERY = ((r"低|欠压|low", "low"), (r"断开|未接|脱落|disconnect", "disconnected"), (r"耗尽|deplet", "depleted"))


@dataclass(frozen=True, slots=True)
class Made:
    """A point as the profile file says it, and where in the table it stands."""

    place: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Draft:
    """One value of a register: the register itself or one of its bits."""

    placed: Placed
    name: str
    name_en: str
    bit: int | None
    states: Mapping[int, str]
    listed: bool = False  # named in the list of bits of its register

    @property
    def flag(self) -> bool:
        typed = self.placed.register.type
        single = self.placed.table in (Table.COIL, Table.DISCRETE) or (typed is not None and typed.bit)
        return self.bit is not None or single


class PointMaker:
    """Makes the points of one table; remembers which metric and subject are taken."""

    def __init__(self, vendor: str, kind: DeviceKind, remarks: list[Remark]) -> None:
        self._vendor = vendor
        self._kind = kind
        self._remarks = remarks
        self._taken: dict[tuple[str, str], str] = {}
        self._plain: set[Metric] = set()  # what names of the table say plainly, first of all
        self._slugs: set[str] = set()
        self._said = {remark.place for remark in remarks}
        self.unmapped = 0
        self.wordless = 0  # bits without words beside them

    def make(self, placed: Iterable[Placed]) -> list[Made]:
        """Every point that can be made; what cannot is in the remarks."""
        found = []
        drafts = [draft for each in placed for draft in _drafts(each)]
        named = (name for draft in drafts for name in (draft.name, draft.name_en) if name)
        self._plain = {plain for name in named for plain in guesses(take_apart(name), self._kind)[:1]}
        for draft in drafts:
            data = self._point(draft)
            if data is None:
                continue
            problem = _problem(data)
            if problem:
                self._say(Weight.ERROR, draft, problem)
                continue
            place = draft.placed.register.place
            self._taken[data["metric"], data.get("subject", "")] = place
            found.append(Made(place, data))
        return found

    def _say(self, weight: Weight, draft: _Draft, message: str) -> None:
        bit = "" if draft.bit is None else f" bit {draft.bit}"
        self._said.add(draft.placed.register.place)
        self._remarks.append(Remark(weight, draft.placed.register.place, f"{draft.name}{bit}: {message}"))

    def _point(self, draft: _Draft) -> dict[str, Any] | None:
        register = draft.placed.register
        name = take_apart(draft.name)
        english = take_apart(draft.name_en) if draft.name_en else name
        subject = register.subject or name.subject or english.subject
        if register.metric:
            return self._told(draft, register.metric, register.subject or subject)
        seen: list[Metric] = []
        for guess in (*guesses(name, self._kind), *(guesses(english, self._kind) if english is not name else ())):
            if guess in seen:
                continue
            seen.append(guess)
            source = self._source(draft, guess, name)
            if source is None:
                continue
            before = self._taken.get((guess.name, subject))
            if before is not None:
                self._say(Weight.WARNING, draft, f"{guess.name} is read already from {before}; kept as its own point")
                break
            return self._data(draft, guess, subject, source)
        if not seen:
            found = self._doubtful(draft, doubtful(name, self._kind) or doubtful(english, self._kind), subject, name)
            if found is not None:
                return found
        return self._other(draft, name)

    def _doubtful(self, draft: _Draft, guess: Metric | None, subject: str, name: Name) -> dict[str, Any] | None:
        """A guess by the kind of device, where no other name of the table says plainly that it is this."""
        if guess is None or guess in self._plain or (guess.name, subject) in self._taken:
            return None
        source = self._source(draft, guess, name)
        if source is None:
            return None
        message = f"taken for {guess.name}, a guess by the kind of device; name another in a metric column if it is not"
        self._say(Weight.WARNING, draft, message)
        return self._data(draft, guess, subject, source)

    def _told(self, draft: _Draft, wanted: str, subject: str) -> dict[str, Any] | None:
        try:
            entry = metric(wanted)
        except UnknownMetricError as error:
            self._say(Weight.ERROR, draft, str(error))
            return None
        source = self._source(draft, entry, take_apart(draft.name))
        if source is None:
            what = f"a {entry.quantity}" if entry.states is None else f"one of {', '.join(entry.states.words)}"
            self._say(Weight.ERROR, draft, f"{wanted} is {what}; unit, states or bits of the row say otherwise")
            return None
        before = self._taken.get((wanted, subject))
        if before is not None:
            self._say(Weight.ERROR, draft, f"{wanted} is read already from {before}; give each its own subject")
            return None
        return self._data(draft, entry, subject, source)

    def _other(self, draft: _Draft, name: Name) -> dict[str, Any] | None:
        """A point the register has no word for."""
        slug = self._slug(draft)
        alarming = name.alarm or _says_alarm(draft.states)
        # What stands in an "alarm word" is an alarm, whatever it is called.
        alarming = alarming or (draft.listed and take_apart(draft.placed.register.name).alarm)
        if alarming and (draft.flag or draft.states):
            entry = metric("crac.alarm.state" if self._kind is DeviceKind.CRAC else "device.state")
            source = self._source(draft, entry, replace(name, alarm=True))
            if source is not None:
                return self._data(draft, entry, f"alarm/{slug}", source)
        entry = metric(f"unmapped.{self._vendor}.{slug}")
        if draft.bit is not None:
            self._say(Weight.LEFT_OUT, draft, "a bit that no metric fits; name one in a metric column to read it")
            return None
        self.unmapped += 1
        place = draft.placed.register.name_place
        if not self._said.intersection((place, draft.placed.register.place)):
            message = f"{draft.name}: no metric is known for it; kept as {entry.name}, which no rule judges"
            self._remarks.append(Remark(Weight.WARNING, place, message))
        return self._data(draft, entry, "", self._number(draft, entry) or {})

    def _slug(self, draft: _Draft) -> str:
        """Short, of letters and digits, and unique by the address."""
        words = re.sub(r"[^a-z0-9]+", "-", (draft.name_en or draft.name).lower()).strip("-")[:40].strip("-")
        where = f"{draft.placed.table}-{draft.placed.address}" + ("" if draft.bit is None else f".{draft.bit}")
        plain = words if words and (draft.name_en or draft.name.isascii()) else ""
        if not plain or plain in self._slugs:
            return where
        self._slugs.add(plain)
        return plain

    def _data(self, draft: _Draft, entry: Metric, subject: str, source: Mapping[str, Any]) -> dict[str, Any]:
        register = draft.placed.register
        unmapped = entry.name.startswith("unmapped.")
        unit = f" ({register.unit_text})" if unmapped and register.unit_text else ""
        english = draft.name_en or (draft.name if draft.name.isascii() else entry.en if not unmapped else draft.name)
        note = register.place
        if unmapped and draft.states:
            note += ": " + ", ".join(f"{value} {word}" for value, word in draft.states.items())
        elif register.note and not (draft.states or draft.listed):
            note += f": {register.note}"
        data: dict[str, Any] = {"metric": entry.name}
        if subject:
            data["subject"] = subject
        data["label"] = {"en": english + unit, "zh": draft.name + unit}
        return data | {"from": dict(source), "note": note}

    def _source(self, draft: _Draft, entry: Metric, name: Name) -> dict[str, Any] | None:
        """How the register becomes a value of this metric; None where it cannot be one."""
        if entry.states is None:
            return None if draft.flag or draft.states else self._number(draft, entry)
        if draft.placed.register.measured is not None:
            return None
        if draft.flag:
            return self._flag(draft, entry.states, name)
        if not draft.states or (name.alarm and entry.states.name in _DOING):
            return None
        words = {value: state_word(label, entry.states.words) for value, label in draft.states.items()}
        known = {str(value): word for value, word in words.items() if word is not None}
        if not known or (len(known) > 1 and len(set(known.values())) == 1):
            return None
        for value, label in draft.states.items():
            if words[value] is None:
                self._say(
                    Weight.WARNING, draft, f"{value} {label!r} is no state of {entry.name}; it reads as {UNKNOWN}"
                )
        return self._place(draft, NumberType.U16) | {"states": known}

    def _flag(self, draft: _Draft, states: StateSet, name: Name) -> dict[str, Any] | None:
        if states.name not in _YES or (name.alarm and states.name in _DOING):
            return None
        one: str = _YES[states.name][0]
        zero: str = _YES[states.name][1]
        if states.name == "battery":
            one = next((word for pattern, word in _BATTERY if re.search(pattern, normal(draft.name))), one)
        if draft.states:
            said = {value: state_word(label, states.words) for value, label in draft.states.items()}
            if set(said) - {0, 1} or not any(said.values()):
                return None
            if 1 in said:
                one = said[1] or one
            if 0 in said:
                zero = said[0] or zero
            if 1 not in said and said[0] == one:
                one = _YES[states.name][1]
            if 0 not in said and said[1] == zero:
                zero = _YES[states.name][0]
            if one == zero:
                return None
        else:
            self.wordless += 1
        if draft.bit is None:
            alone = draft.placed.table in (Table.COIL, Table.DISCRETE)
            place = {draft.placed.table.value: draft.placed.address, "type": "flag"} if alone else None
            return (place or self._place(draft, NumberType.U16)) | {"states": {"0": zero, "1": one}}
        return self._place(draft, NumberType.U16) | {"bits": {draft.bit: one}, "otherwise": zero}

    def _number(self, draft: _Draft, entry: Metric) -> dict[str, Any] | None:
        register = draft.placed.register
        if draft.placed.table in (Table.COIL, Table.DISCRETE):
            return {draft.placed.table.value: draft.placed.address, "type": "flag"}
        factor, measured = register.factor, register.measured
        scale = factor.scale if factor is not None else Decimal(1)
        offset = factor.offset if factor is not None else Decimal(0)
        if measured is not None and measured.written is not None and scale != measured.written:
            if factor is not None and factor.scale != 1 and measured.written != 1:
                self._say(
                    Weight.WARNING, draft, f"the unit says {measured.written}, the factor {scale}; the factor is taken"
                )
            elif factor is None:
                scale = measured.written
        unit: Unit | None = None
        if not entry.name.startswith("unmapped."):
            unit = measured.unit if measured is not None else _ASSUMED_UNIT.get(entry.quantity)
            if unit is None and entry.unit is not Unit.NONE:
                if not register.unit_text:
                    self._say(Weight.WARNING, draft, f"may be {entry.name}, but no unit is said")
                return None
            if unit is not None and quantity_of(unit) is not entry.quantity:
                unit = _KINDRED.get((unit, entry.quantity))
                if unit is None:
                    return None
            if measured is None and register.unit_text:
                return None  # it has a unit, which is not known here
            if measured is None and unit is not None:
                self._say(Weight.WARNING, draft, f"no unit is said; taken for {entry.unit.value}")
            if measured is not None:
                scale, offset = scale * measured.multiple, offset * measured.multiple
        source = self._place(draft, _default_type(entry))
        if scale != 1:
            source["scale"] = _short(scale)
        if offset:
            source["offset"] = _short(offset)
        if unit is not None and unit is not Unit.NONE:
            source["unit"] = unit.value
        return source

    def _place(self, draft: _Draft, default: NumberType) -> dict[str, Any]:
        """Table, address, type and word order."""
        register = draft.placed.register
        typed = register.type
        words = register.words
        kind = typed.number if typed is not None and typed.number is not None else None
        if kind is None:
            kind = {2: NumberType.U32, 4: NumberType.U64}.get(words or 1, default)
        elif words is not None and typed is not None and not typed.exact and kind.words != words:
            kind = NumberType(f"{kind.value[0]}{16 * words}")
        source: dict[str, Any] = {draft.placed.table.value: draft.placed.address}
        if kind is not NumberType.U16:
            source["type"] = kind.value
        if typed is not None and typed.little_words and kind.words > 1:
            source["word_order"] = "little"
        if typed is not None and typed.little_bytes:
            source["byte_order"] = "little"
        if register.sentinels:
            source["sentinels"] = [_as_read(value, kind) for value in register.sentinels]
        return source


# Units that tables use for a neighbouring quantity: a dead band in degrees is a difference.
_KINDRED = {
    (Unit.CELSIUS, Quantity.TEMPERATURE_DIFFERENCE): Unit.KELVIN_DELTA,
    (Unit.KELVIN, Quantity.TEMPERATURE_DIFFERENCE): Unit.KELVIN_DELTA,
}


def _drafts(placed: Placed) -> Iterable[_Draft]:
    register = placed.register
    if register.bits and register.bit is None and placed.table in (Table.HOLDING, Table.INPUT):
        for number, label in register.bits.items():
            states = states_in(label)
            name = re.split(r"[(\s,;:]*(?:0|1)\s*[:=\-表]", label)[0].strip() if states else label
            yield _Draft(placed, (name or f"{register.name} {number}")[:100], "", number, states, listed=True)
        return
    bit = register.bit if placed.table in (Table.HOLDING, Table.INPUT) else None
    yield _Draft(placed, register.name, register.name_en, bit, register.states)


def _says_alarm(states: Mapping[int, str]) -> bool:
    return any(state_word(label, ("normal", "alarm")) == "alarm" for label in states.values())


def _default_type(entry: Metric) -> NumberType:
    """A temperature may be below zero; whatever else has no type is taken for unsigned."""
    return NumberType.S16 if entry.quantity is Quantity.TEMPERATURE else NumberType.U16


def _as_read(raw: int, kind: NumberType) -> int | float:
    """A raw value as the register's type reads it: 0x8000 of an s16 is -32768, 32767 of a float 32767.0."""
    if kind in (NumberType.F32, NumberType.F64):
        return float(raw)
    bits = 16 * kind.words
    return raw - (1 << bits) if kind.value[0] == "s" and raw >= 1 << (bits - 1) else raw


def _short(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _problem(data: Mapping[str, Any]) -> str:
    """What the model says against a point, "" where it is good."""
    try:
        Point.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        return str(first["msg"]).removeprefix("Value error, ")
    return ""
