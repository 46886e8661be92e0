"""Subjects of table rows: from a row's index (and name) to `phase/L2`, `probe/3`, `outlet/7`.

A row whose subject is made of its name keeps it when it moves to another index, as rows do after a restart of the card.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_FIELD = re.compile(r"\{(index|[it][1-9]|name)\}")
# Letters of any script: names are Chinese here more often than not, and two of them must not become the same remains.
_UNWANTED = re.compile(r"[^\w.-]+")
# Subjects are label values and topic text; longer ones come only from a device whose names are no names.
_LONGEST = 60
# The same rows come at every poll; more of them than this are made anew.
_REMEMBERED = 8192


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its index as text and as sub-identifiers."""

    index: str
    parts: tuple[str, ...]

    def pick(self, wanted: tuple[int, ...]) -> str:
        """The whole index, or only the sub-identifiers asked for (counted from 1)."""
        if not wanted:
            return self.index
        return ".".join(self.parts[at - 1] for at in wanted if at <= len(self.parts))

    def text(self, at: int) -> str:
        """The string in the index whose length stands at sub-identifier `at`; "" if there is none."""
        length = self.parts[at - 1] if at <= len(self.parts) else ""
        characters = self.parts[at : at + int(length)] if length.isdigit() else ()
        return "".join(chr(int(part)) for part in characters if part.isdigit() and int(part) < 128)


@lru_cache(maxsize=_REMEMBERED)
def row_of(suffix: str) -> Row:
    """The row of an instance's suffix; cards are seen that add a stray `.0` to single-column indexes."""
    return Row(suffix, tuple(suffix.split(".")))


def plain(text: str) -> str:
    """A name as part of a subject; "" where nothing of it is left."""
    return _UNWANTED.sub("-", unicodedata.normalize("NFC", text)).strip("-.")[:_LONGEST]


class Names:
    """The names of a column's rows, each once: of rows with the same name the first by index keeps it, the next ones
    are called NAME-2, NAME-3 and so on. Who once had a name keeps it as long as his row says the same.

    within: sub-identifiers (counted from 1) that already tell rows apart; only rows alike in them need other names.
    """

    def __init__(self, within: tuple[int, ...] = ()) -> None:
        self._within = within
        self._said: Mapping[str, str] = {}
        self._given: dict[str, tuple[str, str]] = {}  # by index: name without and with its number

    def unique(self, said: Mapping[str, str]) -> Mapping[str, str]:
        """By index: what is unique, for what the rows say now; rows without a name are left out."""
        if said != self._said:
            self._said = dict(said)
            named = {index: name for index, text in said.items() if (name := plain(text))}
            self._given = _numbered(named, self._given, self._within)
        return {index: unique for index, (_, unique) in self._given.items()}


def _numbered(
    named: Mapping[str, str], before: Mapping[str, tuple[str, str]], within: tuple[int, ...]
) -> dict[str, tuple[str, str]]:
    owner = {index: row_of(index).pick(within) if within else "" for index in named}
    given = {index: before[index] for index, name in named.items() if index in before and before[index][0] == name}
    taken = {(owner[index], unique) for index, (_, unique) in given.items()}
    said = {(owner[index], name) for index, name in named.items()}
    for index in sorted(named.keys() - given.keys(), key=_by_number):
        name = unique = named[index]
        number = 1
        while (owner[index], unique) in taken or (number > 1 and (owner[index], unique) in said):
            number += 1
            unique = f"{name}-{number}"
        taken.add((owner[index], unique))
        given[index] = (name, unique)
    return given


def _by_number(index: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in index.split(".")]


class Subjects:
    """A compiled subject template."""

    def __init__(self, template: str) -> None:
        self._pieces = _FIELD.split(template)
        self.by_name = "name" in self._pieces[1::2]
        # Which sub-identifiers stand beside the name, as in device/{i1}/{name}.
        self.beside = tuple(int(piece[1:]) for piece in self._pieces[1::2] if piece[0] == "i" and piece[1:].isdigit())
        self._made: dict[tuple[str, str | None], str] = {}

    def of(self, row: Row, name: str | None) -> str:
        """The subject of a row by its unique name; a row without one is called by its index."""
        known = self._made.get((row.index, name))
        if known is not None:
            return known
        made = ""
        for number, piece in enumerate(self._pieces):
            if number % 2 == 0:
                made += piece
            elif piece == "index":
                made += row.index
            elif piece == "name":
                made += name or row.index
            elif piece[0] == "t":
                made += plain(row.text(int(piece[1:]))) or row.index
            else:
                made += row.pick((int(piece[1:]),)) or row.index
        if len(self._made) >= _REMEMBERED:
            self._made.clear()
        self._made[row.index, name] = made
        return made
