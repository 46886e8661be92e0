"""Recognising a device from a few of its objects: which profile, and what stands on its name plate.

sysObjectID alone is not enough: many cards answer with their operating system's, one card family answers its sister's.
So a recognition may also look at sysDescr and at objects, and the most specific one that holds wins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from collectors.decode import text_of
from collectors.exchange import ModbusAnswer, ModbusNeeds, SnmpAnswer, SnmpNeeds, SnmpValue, Span, Table
from collectors.library import Library
from facility.profile import Profile, Protocol, Recognition
from facility.sources import Place

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
SYS_NAME = "1.3.6.1.2.1.1.5.0"
_FACTS = ("vendor", "model", "serial", "firmware", "name")


@dataclass(frozen=True, slots=True)
class Identification:
    """What a device is.

    profile: the family it certainly belongs to, or None; generic: the standard it speaks, to fall back on;
    candidates: the ids of all that fit, best first; device: vendor, model, serial, firmware, name as far as known.
    """

    profile: Profile | None
    candidates: tuple[str, ...] = ()
    generic: Profile | None = None
    device: Mapping[str, str] = field(default_factory=dict)

    @property
    def fallback(self) -> bool:
        """True where only a generic standard fits."""
        return self.profile is None and self.generic is not None

    @property
    def best(self) -> Profile | None:
        return self.profile or self.generic


# What a device says of itself before anything is known of it.
FIRST_NEEDS = SnmpNeeds(gets=(SYS_DESCR, SYS_OBJECT_ID, SYS_NAME))


def identity_needs(library: Library, said: SnmpAnswer | None = None) -> SnmpNeeds:
    """Everything any profile looks at to recognise a device: ask once, then `identify`.

    said: the device's answer to FIRST_NEEDS; what only families look at that it has excluded is left out then.
    """
    gets = dict.fromkeys(FIRST_NEEDS.gets)
    walks: dict[str, None] = {}
    for profile in library.all():
        for recognition in profile.identify.any_of:
            if said is not None and not _says_so(recognition, said.values):
                continue
            for probe in recognition.probes:
                if probe.oid is not None:
                    gets[probe.oid] = None
                elif probe.column is not None:
                    walks[probe.column] = None
    return SnmpNeeds(gets=tuple(gets), walks=tuple(walks))


def fact_needs(profile: Profile) -> SnmpNeeds:
    """What must be asked for the name plate of a device of this profile."""
    places = [place for name in _FACTS for place in getattr(profile.identify.device, name)]
    return SnmpNeeds(
        gets=tuple(dict.fromkeys([SYS_NAME, *(place.oid for place in places if place.oid is not None)])),
        walks=tuple(dict.fromkeys(place.column for place in places if place.column is not None)),
    )


def identify(library: Library, answer: SnmpAnswer) -> Identification:
    """The best profile for what a device answered; a generic standard only as fall-back."""
    found = _identified(library, Protocol.SNMP, answer.values)
    return replace(found, device=name_plate(found.best, answer))


def register_needs(library: Library) -> ModbusNeeds:
    """Every register a Modbus profile looks at to recognise a device; not merged over gaps, as few have them."""
    spans: dict[Span, None] = {}
    for profile in library.all():
        if profile.protocol is Protocol.MODBUS:
            for recognition in profile.identify.any_of:
                for probe in recognition.probes:
                    table, address = probe.cell
                    spans[Span(Table(table), address)] = None
    return ModbusNeeds(spans=tuple(spans))


def identify_registers(library: Library, answer: ModbusAnswer) -> Identification:
    """As `identify`, of a Modbus unit: it cannot say what it is, but some hold their kind in a register."""
    return _identified(library, Protocol.MODBUS, {f"{table}:{at}": word for (table, at), word in answer.values.items()})


def _identified(library: Library, protocol: Protocol, values: Mapping[str, SnmpValue]) -> Identification:
    ranked: list[tuple[tuple[int, int], str, Profile]] = []
    for profile in library.all():
        if profile.protocol is not protocol:
            continue
        ranks = [_rank(recognition) for recognition in profile.identify.any_of if recognises(recognition, values)]
        if ranks:
            ranked.append((max(ranks), profile.id, profile))
    # Most specific first; equally specific by name, so that the answer never depends on the order of files.
    ranked.sort(key=lambda item: (item[2].identify.generic, -item[0][0], -item[0][1], item[1]))
    families = [profile for _, _, profile in ranked if not profile.identify.generic]
    generics = [profile for _, _, profile in ranked if profile.identify.generic]
    return Identification(
        profile=families[0] if families else None,
        candidates=tuple(profile_id for _, profile_id, _ in ranked),
        generic=generics[0] if generics else None,
    )


def name_plate(profile: Profile | None, answer: SnmpAnswer) -> dict[str, str]:
    """vendor, model, serial, firmware and name as the device says them; the profile's own where it is silent."""
    facts: dict[str, str] = {}
    if profile is not None:
        for name in _FACTS:
            for place in getattr(profile.identify.device, name):
                text = first_text(answer.values, place)
                if text:
                    facts[name] = text
                    break
        if not profile.identify.generic:
            facts.setdefault("vendor", profile.vendor)
            facts.setdefault("model", profile.model)
    for name, oid in (("name", SYS_NAME), ("model", SYS_DESCR)):
        text = _text_at(answer.values, oid)
        if text:
            facts.setdefault(name, text)
    return {name: facts[name] for name in _FACTS if name in facts}


def _rank(recognition: Recognition) -> tuple[int, int]:
    """More conditions on objects beat a longer prefix: a card that lies about its prefix is told by its objects."""
    prefix = recognition.sys_object_id.count(".") + 1 if recognition.sys_object_id else 0
    return len(recognition.probes) + (recognition.sys_descr is not None), prefix


def _says_so(recognition: Recognition, values: Mapping[str, SnmpValue]) -> bool:
    """What the device says of itself is as the recognition wants it; its objects are another matter."""
    if recognition.sys_object_id is not None:
        said = _text_at(values, SYS_OBJECT_ID).lstrip(".")
        if said != recognition.sys_object_id and not said.startswith(recognition.sys_object_id + "."):
            return False
    return recognition.sys_descr is None or re.search(recognition.sys_descr, _text_at(values, SYS_DESCR)) is not None


def recognises(recognition: Recognition, values: Mapping[str, SnmpValue]) -> bool:
    """True where everything the recognition says holds for these values."""
    return _says_so(recognition, values) and all(
        probe.accepts(first_text(values, probe) or None) for probe in recognition.probes
    )


def first_text(values: Mapping[str, SnmpValue], place: Place) -> str:
    """The text of an object or register, of a column the first that is not empty; "" where there is none."""
    if place.oid is not None:
        return _text_at(values, place.oid)
    if place.column is None:
        return _text_at(values, ":".join(map(str, place.cell)))
    prefix = f"{place.column}."
    return next((text for oid, raw in values.items() if oid.startswith(prefix) and (text := text_of(raw))), "")


def _text_at(values: Mapping[str, SnmpValue], oid: str) -> str:
    raw = values.get(oid)
    return "" if raw is None else text_of(raw)
