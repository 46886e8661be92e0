"""The name plate of a Modbus device: texts in registers. Pure; SNMP devices are told in `collectors.identify`."""

from dataclasses import replace

from collectors.exchange import Cell, ModbusAnswer, ModbusNeeds, Span, Table
from facility.profile import DeviceFacts, Profile
from facility.sources import TextPlace


def plate_needs(profile: Profile, needs: ModbusNeeds, *, offset: int = 0) -> ModbusNeeds:
    """What must be asked for the name plate, within the limits of `needs`; no spans where the profile names none."""
    cells = [_cells(place, offset) for field in DeviceFacts.model_fields for place in _places(profile, field)]
    return replace(needs, spans=tuple(dict.fromkeys(Span(*found[0], len(found)) for found in cells)))


def modbus_plate(profile: Profile, answer: ModbusAnswer, *, offset: int = 0) -> dict[str, str]:
    """vendor, model, serial, firmware and name as the device says them; vendor and model else as the profile does."""
    facts = {"vendor": profile.vendor, "model": profile.model}
    for field in DeviceFacts.model_fields:
        texts = (_text(place, answer, offset) for place in _places(profile, field))
        found = next((text for text in texts if text), None)
        if found is not None:
            facts[field] = found
    return facts


def _places(profile: Profile, field: str) -> tuple[TextPlace, ...]:
    places: tuple[TextPlace, ...] = getattr(profile.identify.device, field)
    return places


def _cells(place: TextPlace, offset: int) -> list[Cell]:
    table, address = place.cell
    return [(Table(table), address + offset + at) for at in range(place.words)]


def _text(place: TextPlace, answer: ModbusAnswer, offset: int) -> str:
    """The text of a place; empty where a register is missing or holds what nobody could have printed."""
    words = [answer.values.get(cell) for cell in _cells(place, offset)]
    if None in words:
        return ""
    if place.names:
        return place.names.get(str(words[0]), "")
    octets = b"".join((word or 0).to_bytes(2, place.byte_order) for word in words)
    text = octets.split(b"\0")[0].decode("ascii", errors="replace").strip()
    return text if text.isprintable() and text.isascii() else ""
