"""How `bench.fuzz` spoils inputs: edits of bytes and of text as hypothesis strategies, applied to good inputs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from hypothesis import strategies as st

# Lengths, signs and tags that decoders trip over, and what JSON, YAML and CSV give a meaning to.
AWKWARD = (
    b"\x00", b"\x7f", b"\x80", b"\x84\xff\xff\xff\xff", b"\xff" * 9, b"\x30", b"\x30\x80", b"\x02\x00", b'"', b"\n",
)  # fmt: skip
WORDS = (
    "", "0", "-1", "1e999", "nan", ".inf", "~", "true", "99999999999999999999", "0x", "[", "{}", "[]", "&a", "*a",
    "!!set", "!!int", "!!bool", "!!timestamp", "!!binary",
    "\\", "'", '"', "\t", "\u0000", "\ufeff", "\u202e", "\U0001f525", "：", "℃", "，", "1~65535", "Bit99:x", "40001.99",
    "(a+)+$", "{index}", "{t9}", "2024-02-30", "12:34:56", "1_000", "=1+1", "%", "9" * 400, "a" * 5000,
)  # fmt: skip


class Op(Enum):
    FLIP = "flip"
    PUT = "put"
    INSERT = "insert"
    CUT = "cut"
    REPEAT = "repeat"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Edit:
    """One change. at: where, as a share of the length; size: of how many bytes; stuff: what comes there."""

    op: Op
    at: float
    size: int
    stuff: bytes


_edit = st.builds(
    Edit,
    st.sampled_from(Op),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 24),
    st.one_of(st.sampled_from(AWKWARD), st.binary(min_size=1, max_size=12)),
)
edits = st.lists(_edit, max_size=6).map(tuple)


def spoilt(good: bytes, changes: Sequence[Edit]) -> bytes:
    """The bytes after all changes; at most a few hundred longer than before."""
    data = bytearray(good)
    for each in changes:
        at = int(each.at * len(data))
        match each.op:
            case Op.FLIP if data:
                data[at] ^= 1 << each.size % 8
            case Op.PUT:
                data[at : at + len(each.stuff)] = each.stuff
            case Op.INSERT:
                data[at:at] = each.stuff
            case Op.CUT:
                del data[at:]
            case Op.REPEAT:
                data[at:at] = data[at : at + each.size] * 4
            case Op.DROP:
                del data[at : at + each.size]
            case Op.FLIP:
                pass
    return bytes(data)


@dataclass(frozen=True, slots=True)
class Rewording:
    """One change of a text's words: the word at a share of them becomes another, or a line goes or comes twice."""

    at: float
    word: str | None
    twice: bool = False


_word = st.one_of(st.sampled_from(WORDS), st.text(max_size=12), st.integers(-(2**40), 2**40).map(str))
rewordings = st.lists(
    st.builds(Rewording, st.floats(0, 1, exclude_max=True), st.one_of(st.none(), _word), st.booleans()), max_size=5
).map(tuple)


def reworded(text: str, changes: Sequence[Rewording]) -> str:
    """The text after all changes."""
    for each in changes:
        if each.word is None:
            lines = text.splitlines(keepends=True)
            if lines:
                at = int(each.at * len(lines))
                lines[at : at + 1] = [lines[at]] * (2 if each.twice else 0)
            text = "".join(lines)
            continue
        spots = list(re.finditer(r"[^\s,:\[\]{}\"']+", text))
        if spots:
            spot = spots[int(each.at * len(spots))]
            text = text[: spot.start()] + each.word + text[spot.end() :]
    return text
