"""Whether the bare digits of an address column are decimal or hexadecimal. Pure.

`0010` is register 10 or 16, and a column read in the wrong base gives plausible values of other registers. So a column
is hexadecimal only where it says so (its heading, the caller) or where its cells plainly count that way; a cell that
does not fit the rest is doubted by its own place and changes no other.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from collectors.pointtable.cells import address_word

# Of addresses that count through A to F six in sixteen hold a letter; a table of ten registers in a row may have two.
# Slips of a hand are rarer than one in this many.
LETTERS_ONE_IN = 8
# A table that writes its addresses as words (`000A`) writes all four digits.
WORD_DIGITS = 4

_PREFIXED = re.compile(r"(?:0X|16#|&H|\$)[0-9A-F]{1,5}|[0-9A-F]{1,5}H")
_DIGITS = re.compile(r"[0-9A-F]{1,5}")


class Why(StrEnum):
    """What makes a column hexadecimal."""

    TOLD = "--notation hex says so"
    HEADING = "the heading says so"
    ONLY = "no bare address of it could be decimal"
    WORDS = "all are written with four digits, some with A to F"
    COUNTED = "they count through A to F"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A cell that does not fit the others. lost: its row cannot be read."""

    message: str
    lost: bool


@dataclass(frozen=True, slots=True)
class Base:
    """why None: decimal. letters: how many addresses hold A to F; doubts: by the index of the cell."""

    why: Why | None = None
    letters: int = 0
    doubts: Mapping[int, Doubt] = field(default_factory=dict)

    @property
    def hexadecimal(self) -> bool:
        return self.why is not None


def base_of(cells: Sequence[str], *, heading: bool, told: bool) -> Base:
    """The base of a column's bare addresses, from its cells in their order."""
    words = [address_word(text) for text in cells]
    prefixed = [at for at, word in enumerate(words) if _PREFIXED.fullmatch(word)]
    bare = [at for at, word in enumerate(words) if _DIGITS.fullmatch(word)]
    letters = [at for at in bare if not words[at].isdecimal()]
    decimal = [at for at in bare if words[at].isdecimal()]
    why = _why([words[at] for at in bare], len(letters), heading=heading, told=told)
    if why is not None:
        return Base(why, len(letters))
    doubts = {at: Doubt(_letter(cells[at], words[at]), lost=True) for at in letters}
    if len(prefixed) > len(decimal):
        for at in decimal:
            if int(words[at]) > 9:
                doubts[at] = Doubt(_bare(cells[at], words[at]), lost=True)
    elif decimal:
        doubts |= {at: Doubt(_prefix(cells[at], words[at]), lost=False) for at in prefixed}
    return Base(doubts=doubts)


def _why(bare: Sequence[str], letters: int, *, heading: bool, told: bool) -> Why | None:
    if told or heading:
        return Why.TOLD if told else Why.HEADING
    if not letters:
        return None
    if letters == len(bare):
        return Why.ONLY
    # 19 and then 20 is one step in decimal and seven in hexadecimal.
    carried = sum(
        1
        for before, after in pairwise(bare)
        if before.isdecimal() and after.isdecimal() and before[-1] == "9" and int(after) == int(before) + 1
    )
    if letters <= carried:
        return None
    if all(len(word) == WORD_DIGITS for word in bare) and any(word[0] == "0" for word in bare):
        return Why.WORDS
    return Why.COUNTED if letters > 1 and letters * LETTERS_ONE_IN >= len(bare) else None


def _letter(text: str, word: str) -> str:
    return (
        f"{text!r} can only be hexadecimal, and the column is read as decimal; write 0x{word}, "
        "or give --notation hex if the whole column is hexadecimal"
    )


def _bare(text: str, word: str) -> str:
    return (
        f"{text!r} may be {int(word)} or 0x{word}; the other addresses of the column say 0x: write it so, "
        "or give --notation hex"
    )


def _prefix(text: str, word: str) -> str:
    value = int(re.sub(r"^(?:0X|16#|&H|\$)|H$", "", word), 16)
    return f"{text!r} is hexadecimal ({value}), the other addresses of the column are decimal"
