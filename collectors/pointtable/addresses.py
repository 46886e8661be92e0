"""How a table counts its registers: 40001 notation or as on the wire, from 0 or from 1. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from collectors.exchange import Table
from collectors.plan import ADDRESSES
from collectors.pointtable.cells import Written
from collectors.pointtable.rows import Register, Remark, Weight


class Notation(StrEnum):
    """AUTO: 40001 notation where all plain numbers of the table fit it, else plain. HEX: plain, in hexadecimal."""

    AUTO = "auto"
    PLAIN = "plain"
    MODICON = "modicon"
    HEX = "hex"


# Modbus reference numbers: the first digit is the table, the rest counts from 1 (Modicon PI-MBUS-300).
_FIRST_DIGIT = {"4": Table.HOLDING, "3": Table.INPUT, "1": Table.DISCRETE}


@dataclass(frozen=True, slots=True)
class Placed:
    """A register on the wire."""

    register: Register
    table: Table
    address: int


@dataclass(frozen=True, slots=True)
class Counting:
    """How addresses were understood; hints: what a person should know of it."""

    placed: tuple[Placed, ...]
    hints: tuple[str, ...] = ()


def place_all(
    registers: Sequence[Register],
    remarks: list[Remark],
    *,
    notation: Notation = Notation.AUTO,
    base: int | None = None,
    function: Table | None = None,
) -> Counting:
    """The wire address of every register. base: what the table calls the first register, for plain numbers.

    function: where the table says none. What cannot be placed is added to `remarks`.
    """
    modicon = notation is Notation.MODICON or (notation is Notation.AUTO and _all_modicon(registers))
    placed: list[Placed] = []
    assumed = 0
    for register in registers:
        written = register.written
        reference = _modicon(written) if modicon else None
        shift = base or 0
        if written.letter is not None:
            table, address = written.letter, written.number - 1
        elif reference is not None:
            table, address = reference
        else:
            assumed += register.function is None and function is None
            table, address = register.function or function or Table.HOLDING, written.number - shift
        if register.function is not None and table is not register.function:
            message = (
                f"names a register of {table}, the function is {register.function.function:02} ({register.function})"
            )
            remarks.append(Remark(Weight.ERROR, register.address_place, message))
        elif not 0 <= address < ADDRESSES:
            message = f"is address {address} on the wire; there are 0 to {ADDRESSES - 1}"
            remarks.append(Remark(Weight.ERROR, register.address_place, message))
        else:
            placed.append(Placed(register, table, address))
    return Counting(tuple(placed), tuple(_hints(placed, modicon, notation, base, assumed)))


def _modicon(written: Written) -> tuple[Table, int] | None:
    """40001 is holding 0, 400001 too; None for a number that is none of these."""
    text = str(written.number)
    if not written.digits or len(text) not in (5, 6) or text[0] not in _FIRST_DIGIT:
        return None
    address = int(text[1:]) - 1
    return (_FIRST_DIGIT[text[0]], address) if 0 <= address < ADDRESSES else None


def _all_modicon(registers: Iterable[Register]) -> bool:
    """Every plain number is a reference that agrees with its function; without functions 1xxxx alone proves nothing."""
    seen: set[Table] = set()
    sure = False
    for register in registers:
        if not register.written.digits:
            continue
        reference = _modicon(register.written)
        if reference is None or (register.function is not None and register.function is not reference[0]):
            return False
        seen.add(reference[0])
        sure = sure or register.function is not None
    return bool(seen) and (sure or seen != {Table.DISCRETE})


def _hints(
    placed: Sequence[Placed], modicon: bool, notation: Notation, base: int | None, assumed: int
) -> Iterable[str]:
    plain = [each for each in placed if each.register.written.digits]
    if modicon and notation is Notation.AUTO and plain:
        first = plain[0]
        yield (
            f"addresses are read in 40001 notation: {first.register.written.number} is {first.table} {first.address} "
            "on the wire; if the device is asked for the number as it stands, give --notation plain"
        )
    if not modicon and base is None and plain and min(each.register.written.number for each in plain) == 1:
        yield "the lowest address is 1: if the table counts from 1 and the wire from 0, give --base 1"
    if assumed:
        yield f"{assumed} rows name no function code: read as holding registers (03); if wrong, say --function"
