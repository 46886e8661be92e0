"""Subjects of table rows: from a row's index (and name) to `phase/L2`, `probe/3`, `outlet/7`."""

import re
from dataclasses import dataclass

_FIELD = re.compile(r"\{(index|[it][1-9]|name)\}")
_UNWANTED = re.compile(r"[^A-Za-z0-9_.-]+")
# Subjects are label values and topic text; longer ones come only from a device whose names are no names.
_LONGEST = 60


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


def row_of(suffix: str) -> Row:
    """The row of an instance's suffix; cards are seen that add a stray `.0` to single-column indexes."""
    return Row(suffix, tuple(suffix.split(".")))


class Subjects:
    """A compiled subject template."""

    def __init__(self, template: str) -> None:
        self._pieces = _FIELD.split(template)
        self._shape = re.compile("".join(
            re.escape(piece) if number % 2 == 0 else "[A-Za-z0-9_.-]+" for number, piece in enumerate(self._pieces)
        ))  # fmt: skip

    def of(self, row: Row, name: str | None) -> str:
        """The subject of a row; a row without a name is called by its index."""
        made = ""
        for number, piece in enumerate(self._pieces):
            if number % 2 == 0:
                made += piece
            elif piece == "index":
                made += row.index
            elif piece == "name" or piece[0] == "t":
                text = (name or "") if piece == "name" else row.text(int(piece[1:]))
                made += _UNWANTED.sub("-", text).strip("-.")[:_LONGEST] or row.index
            else:
                made += row.pick((int(piece[1:]),)) or row.index
        return made

    def made(self, subject: str) -> bool:
        """Whether this template can make the subject."""
        return self._shape.fullmatch(subject) is not None
