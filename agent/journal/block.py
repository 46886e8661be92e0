"""Blocks on their way to the disk: packing items under the wire's caps, and what is stored of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import msgspec

from facility.items import Series, series_of
from facility.memory import uncollected
from facility.reading import Reading
from facility.wire import MAX_BODY, MAX_UNPACKED, Codec, Kind, deflate, digest, encode

_encoder = msgspec.json.Encoder()


class BlockState(IntEnum):
    """What became of a block; stored, never reuse a code."""

    UNSENT = 0
    COMMITTED = 1
    REJECTED = 2  # the centre can never take it: quarantine
    CORRUPT = 3  # the disk changed it: quarantine


class Key(msgspec.Struct, frozen=True, order=True, gc=False):
    """What names a block for ever."""

    stream: str
    seq: int


@dataclass(frozen=True, slots=True)
class Draft:
    """Items of one kind that are not packed yet. catalog: digest the items speak of; names: digest they carry."""

    kind: Kind
    items: Sequence[Any]
    first_at: int
    last_at: int
    catalog: str = ""
    names: str = ""


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """A block as it is stored and sent. count: readings of a readings block, items of any other. Times in ms UTC.

    A struct, as its name is: each look at the outbox makes some, and a dataclass costs ten times that.
    """

    key: Key
    kind: Kind
    first_at: int
    last_at: int
    born_at: int
    count: int
    catalog: str
    names: str
    digest: str
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body)

    def intact(self) -> bool:
        """The body still fits its digest."""
        return digest(self.kind, self.catalog, self.body) == self.digest

    def payload(self, *, sent_by: str = "") -> bytes:
        """The block as it goes over the wire. sent_by: the stream of the journal as it is open now."""
        return encode(
            stream=self.key.stream,
            seq=self.key.seq,
            kind=self.kind,
            body=self.body,
            catalog=self.catalog,
            codec=Codec.ZLIB,
            sent_by=sent_by,
        )


def renamed(block: Sealed, key: Key, catalog: str, *, born_at: int | None = None) -> Sealed:
    """The same content under another name, speaking of a catalog; born anew, if `born_at` is given."""
    born_at = block.born_at if born_at is None else born_at
    named = digest(block.kind, catalog, block.body)
    return msgspec.structs.replace(block, key=key, catalog=catalog, digest=named, born_at=born_at)


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An unsent block as the outbox offers it. position: its row in the journal, 0 while it lives in memory only."""

    block: Sealed
    position: int


@dataclass(slots=True)
class Numbers:
    """The numbers of a stream: counted by the process and never by the file, so none is given twice."""

    stream: str
    last: int = 0

    def next(self) -> Key:
        self.last += 1
        return Key(self.stream, self.last)


Number = Callable[[], int]


def seal_drafts(drafts: Sequence[Draft], stream: str, seq: int, now_ms: int) -> tuple[list[Sealed], int, int]:
    """Blocks of drafts numbered from `seq` + 1, the last number given, and how many items no block can hold."""
    last = seq

    def number() -> int:
        nonlocal last
        last += 1
        return last

    blocks: list[Sealed] = []
    oversize = 0
    with uncollected():
        for draft in drafts:
            more, lost = seal_draft(draft, stream=stream, number=number, now_ms=now_ms)
            blocks += more
            oversize += lost
    return blocks, last, oversize


def seal_draft(draft: Draft, *, stream: str, number: Number, now_ms: int) -> tuple[list[Sealed], int]:
    """Blocks of a draft, split until each is under the caps, and how many items no block can hold."""
    if draft.kind is Kind.READINGS:
        return _seal_readings(list(draft.items), draft.catalog, stream=stream, number=number, now_ms=now_ms)
    body = _packed(list(draft.items))
    if body is None:
        if len(draft.items) == 1:
            return [], 1
        return _halves(draft, stream=stream, number=number, now_ms=now_ms)
    return [_sealed(draft, body, len(draft.items), stream=stream, number=number, now_ms=now_ms)], 0


def seal_series(
    series: list[Series], like: Draft, count: int, *, stream: str, number: Number, now_ms: int
) -> Sealed | None:
    """One block of `count` readings that are series already, like a draft without items; None if over the caps."""
    body = _packed(list(series))
    return None if body is None else _sealed(like, body, count, stream=stream, number=number, now_ms=now_ms)


def _halves(draft: Draft, *, stream: str, number: Number, now_ms: int) -> tuple[list[Sealed], int]:
    middle = len(draft.items) // 2
    blocks: list[Sealed] = []
    lost = 0
    for part in (draft.items[:middle], draft.items[middle:]):
        half = replace(draft, items=part)
        more, less = seal_draft(half, stream=stream, number=number, now_ms=now_ms)
        blocks += more
        lost += less
    return blocks, lost


def _seal_readings(
    readings: list[Reading], catalog: str, *, stream: str, number: Number, now_ms: int
) -> tuple[list[Sealed], int]:
    body = _packed(series_of(readings))
    if body is None:
        if len(readings) == 1:
            return [], 1
        middle = len(readings) // 2
        first, lost = _seal_readings(readings[:middle], catalog, stream=stream, number=number, now_ms=now_ms)
        second, also = _seal_readings(readings[middle:], catalog, stream=stream, number=number, now_ms=now_ms)
        return first + second, lost + also
    times = [reading.taken_at for reading in readings]
    draft = Draft(Kind.READINGS, (), min(times), max(times), catalog)
    return [_sealed(draft, body, len(readings), stream=stream, number=number, now_ms=now_ms)], 0


def _sealed(draft: Draft, body: bytes, count: int, *, stream: str, number: Number, now_ms: int) -> Sealed:
    return Sealed(
        key=Key(stream, number()),
        kind=draft.kind,
        first_at=draft.first_at,
        last_at=draft.last_at,
        born_at=now_ms,
        count=count,
        catalog=draft.catalog,
        names=draft.names,
        digest=digest(draft.kind, draft.catalog, body),
        body=body,
    )


def fits(item: Any) -> bool:
    """A block can hold this item."""
    return _packed([item]) is not None


def _packed(items: list[Any]) -> bytes | None:
    """The body, or None when it is over one of the wire's caps."""
    text = _encoder.encode(items)
    if len(text) > MAX_UNPACKED:
        return None
    body = deflate(text)
    return body if len(body) <= MAX_BODY else None
