"""Name plates in registers: which are asked for, and what is a text and what is none."""

import struct

import pytest

from collectors.convert import Converter
from collectors.exchange import Cell, ModbusAnswer, ModbusNeeds, Span, Table
from collectors.library import Library
from collectors.plate import modbus_plate, plate_needs
from facility.sources import TextPlace

LIBRARY = Library.load()


def _words(at: int, text: bytes, *, order: str = ">") -> dict[Cell, int]:
    numbers = struct.unpack(f"{order}{len(text) // 2}H", text)
    return {(Table.HOLDING, at + number): word for number, word in enumerate(numbers)}


def test_a_smart_ups_says_model_serial_firmware_and_name() -> None:
    profile = LIBRARY.get("apc/smart-ups-modbus")
    needs = Converter(profile, device="ups-1").needs()
    assert isinstance(needs, ModbusNeeds)
    wanted = plate_needs(profile, needs)
    assert wanted.spans == tuple(
        Span(Table.HOLDING, at, count) for at, count in ((532, 16), (564, 8), (516, 8), (596, 8))
    )
    assert (wanted.max_block, wanted.pause_ms) == (needs.max_block, needs.pause_ms)
    said = {
        **_words(532, b"Smart-UPS X 3000".ljust(32)),
        **_words(564, b"AS1234567890    "),
        **_words(516, b"UPS 04.2\0\0\0\0\0\0\0\0"),
    }
    assert modbus_plate(profile, ModbusAnswer(values=said)) == {
        "vendor": "APC",
        "model": "Smart-UPS X 3000",
        "serial": "AS1234567890",
        "firmware": "UPS 04.2",
    }


def test_a_model_code_stands_for_a_name_and_the_low_byte_may_come_first() -> None:
    profile = LIBRARY.get("socomec/delphys-modbus")
    said = {(Table.HOLDING, 4097): 516, **_words(4100, b"P123456789", order="<")}
    plate = modbus_plate(profile, ModbusAnswer(values=said), offset=1)
    assert plate == {"vendor": "Socomec", "model": "Delphys MX elite", "serial": "P123456789"}
    unknown = modbus_plate(profile, ModbusAnswer(values={(Table.HOLDING, 4096): 7}))
    assert unknown == {"vendor": "Socomec", "model": "Delphys MX, Digys"}


@pytest.mark.parametrize("text", [b"\xff" * 16, b" " * 16, b"\0" * 16, b"AB\x01\x02".ljust(16), b"\xc3\xa9".ljust(16)])
def test_what_nobody_printed_is_no_serial_number(text: bytes) -> None:
    answer = ModbusAnswer(values=_words(564, text))
    assert "serial" not in modbus_plate(LIBRARY.get("apc/smart-ups-modbus"), answer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"oid": "1.3.6.1", "names": {1: "x"}},
        {"oid": "1.3.6.1", "words": 2},
        {"coil": 1, "words": 2},
        {"holding": 1, "words": 2, "names": {1: "x"}},
    ],
)
def test_a_place_that_makes_no_text_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"words|one register"):
        TextPlace.model_validate(wrong)
