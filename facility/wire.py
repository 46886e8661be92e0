"""The wire: topics, blocks and answers between agents and the centre. Defined here and nowhere else.

A block on a topic is one header line (JSON, at most `MAX_HEADER` bytes, ended by a newline) and a body. The header is
never compressed, so a block whose body is broken can still be answered by name. The body is a JSON array of items,
compressed by the header's codec. The digest binds kind, catalog and body, so a block altered anywhere is not taken for
itself. Times are integer milliseconds UTC. Golden examples of every message: `tests/data/wire/v1/`.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from facility.ids import is_slug

VERSION = 1
PREFIX = f"coldaisle/v{VERSION}"
MAX_HEADER = 1024
# A phone network drops long messages mid-way and a broker holds a whole message in memory: 256 KiB is a few seconds at
# 512 kbit/s. The uncompressed cap stops a body that unpacks without end.
MAX_BODY = 256 * 1024
MAX_UNPACKED = 4 * 1024 * 1024
# The largest integer of the databases on both sides.
MAX_SEQ = 2**63 - 1


class Kind(StrEnum):
    """What a block carries; also the last level of its topic. In order of precedence on the way out."""

    ALARMS = "alarms"
    EVENTS = "events"
    CATALOG = "catalog"
    HEALTH = "health"
    READINGS = "readings"


class Codec(StrEnum):
    ZLIB = "zlib"
    NONE = "none"


class RejectReason(StrEnum):
    """Why a block can never be taken, or an item of it was not; the agent shows it unchanged."""

    UNKNOWN_VERSION = "unknown_version"
    BAD_HEADER = "bad_header"
    OVERSIZE = "oversize"
    UNKNOWN_CODEC = "unknown_codec"
    BAD_DIGEST = "bad_digest"
    CORRUPT = "corrupt"
    BAD_ITEM = "bad_item"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_METRIC = "unknown_metric"
    BAD_TIME = "bad_time"
    WRONG_TOPIC = "wrong_topic"
    POISON = "poison"  # the centre fails on it


class RetryReason(StrEnum):
    NEED_CATALOG = "need_catalog"
    BUSY = "busy"
    STORAGE = "storage"


class WireError(Exception):
    """A message that can never be taken. `reason` goes into the answer, `header` is there when it could be read."""

    def __init__(self, reason: RejectReason, detail: str, *, header: "Header | None" = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.header = header


@dataclass(frozen=True, slots=True)
class Header:
    """v: wire version. stream: UUID born each time a journal is opened. seq: 1, 2, ... within it, at most `MAX_SEQ`.

    digest: of kind, catalog and body, 32 hex digits. catalog: digest of the catalog the items speak of, "" for none; of
    a catalog or health block the one that holds when it is made. sent_by: the stream of the journal as it is open at
    the sender now, which may send what an earlier opening left; "" is the block's own.
    """

    v: int
    stream: str
    seq: int
    kind: Kind
    codec: Codec
    digest: str
    catalog: str = ""
    sent_by: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A decoded envelope; `items` are the still encoded JSON items, so that one bad item does not void the others."""

    header: Header
    items: tuple[bytes, ...]


_STREAM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_header_decoder = msgspec.json.Decoder(Header)
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()
# Everything the decoder may say of hostile bytes: wrong JSON or shape, broken UTF-8 in a text, nesting without end.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def digest(kind: Kind, catalog: str, body: bytes) -> str:
    """32 hex digits over kind, catalog digest and the body as sent."""
    mark = f"{kind}\n{catalog}\n".encode()
    return hashlib.blake2b(mark + body, digest_size=16).hexdigest()


def pack(items: list[Any]) -> bytes:
    """The compressed body of already valid items (structs, dataclasses or plain JSON values)."""
    return deflate(_encoder.encode(items))


def deflate(text: bytes) -> bytes:
    """The body of a JSON array of items."""
    # Level 6 is zlib's own default: level 9 gains under 1 % on readings for three times the CPU.
    return zlib.compress(text, 6)


def encode(
    *,
    stream: str,
    seq: int,
    kind: Kind,
    body: bytes,
    catalog: str = "",
    codec: Codec = Codec.ZLIB,
    sent_by: str = "",
) -> bytes:
    """The bytes of a block. Raises ValueError when the body is over the cap: the maker of blocks splits before."""
    if len(body) > MAX_BODY:
        raise ValueError(f"block body of {len(body)} bytes is over {MAX_BODY}: split it")
    header = Header(VERSION, stream, seq, kind, codec, digest(kind, catalog, body), catalog, sent_by)
    return _encoder.encode(header) + b"\n" + body


def read_header(payload: bytes) -> tuple[Header, int]:
    """The header of a block and where its body begins. WireError when it cannot be one of ours."""
    end = payload.find(b"\n", 0, MAX_HEADER)
    if end < 0:
        raise WireError(RejectReason.BAD_HEADER, f"no header line within the first {MAX_HEADER} bytes")
    line = payload[:end]
    try:
        version = msgspec.json.decode(line, type=dict[str, Any]).get("v")
    except UNREADABLE as exc:
        raise WireError(RejectReason.BAD_HEADER, f"header is not a JSON object: {exc}") from exc
    if version != VERSION:
        raise WireError(RejectReason.UNKNOWN_VERSION, f"wire version {version!r}; this side speaks {VERSION}")
    try:
        header = _header_decoder.decode(line)
    except UNREADABLE as exc:
        reason = RejectReason.UNKNOWN_CODEC if "$.codec" in str(exc) else RejectReason.BAD_HEADER
        raise WireError(reason, str(exc)) from exc
    if not _STREAM.fullmatch(header.stream) or not _DIGEST.fullmatch(header.digest):
        raise WireError(RejectReason.BAD_HEADER, "stream must be a UUID, digest 32 hex digits")
    if not 1 <= header.seq <= MAX_SEQ:
        raise WireError(RejectReason.BAD_HEADER, f"seq {header.seq} is not between 1 and {MAX_SEQ}")
    if header.sent_by and not _STREAM.fullmatch(header.sent_by):
        raise WireError(RejectReason.BAD_HEADER, "sent_by must be a UUID or empty")
    if header.catalog and not _DIGEST.fullmatch(header.catalog):
        raise WireError(RejectReason.BAD_HEADER, "catalog must be 32 hex digits or empty")
    return header, end + 1


def decode(payload: bytes) -> Block:
    """The block in a message. WireError says which of the named reasons makes it untakeable; it never runs away.

    The header is attached to the error where it could be read, so the sender can be answered by (stream, seq).
    """
    header, start = read_header(payload)
    body = payload[start:]
    if len(body) > MAX_BODY:
        raise WireError(RejectReason.OVERSIZE, f"body of {len(body)} bytes is over {MAX_BODY}", header=header)
    if digest(header.kind, header.catalog, body) != header.digest:
        raise WireError(RejectReason.BAD_DIGEST, "digest does not fit kind, catalog and body", header=header)
    if header.codec is Codec.ZLIB:
        body = inflate(body, header)
    try:
        items = _items_decoder.decode(body)
    except UNREADABLE as exc:
        raise WireError(RejectReason.CORRUPT, f"body is not a JSON array: {exc}", header=header) from exc
    return Block(header, tuple(bytes(item) for item in items))


def inflate(body: bytes, header: Header | None = None) -> bytes:
    """The JSON array of a compressed body, at most MAX_UNPACKED bytes of it. WireError, with the header if given."""
    inflater = zlib.decompressobj()
    try:
        unpacked = inflater.decompress(body, MAX_UNPACKED)
    except zlib.error as exc:
        raise WireError(RejectReason.CORRUPT, f"body does not unpack: {exc}", header=header) from exc
    if inflater.unconsumed_tail:
        raise WireError(RejectReason.OVERSIZE, f"body unpacks to over {MAX_UNPACKED} bytes", header=header)
    if not inflater.eof:
        raise WireError(RejectReason.CORRUPT, "body is cut short", header=header)
    return unpacked


# --- answers -------------------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What the centre says of one block. Only after `COMMITTED` may the agent forget it as unsent."""

    COMMITTED = "committed"
    REJECTED = "rejected"
    RETRY = "retry"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """An item of a committed block that was not taken; `path` like `[3]` or `[3].value[2]` in block order."""

    path: str
    reason: RejectReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """stream and seq name the block; reason is a RejectReason or RetryReason word; after_s says when to try again."""

    stream: str
    seq: int
    verdict: Verdict
    reason: str = ""
    detail: str = ""
    after_s: float = 0.0
    rejected: tuple[RejectedItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """None at all is the word of a centre that begins to listen: what was sent to it before and has no answer yet may
    be nowhere, and is to be sent again.
    """

    v: int
    answers: tuple[Answer, ...]


class AgentState(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Status:
    """Retained, and the agent's last will. A cache: silence is judged by the centre too.

    goodbye: the agent itself says offline, because it was told to stop; its last will does not.
    """

    v: int
    state: AgentState
    version: str
    since: int
    goodbye: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """From the centre, retained: whether the centre notifies for this agent, and the config revision it expects."""

    v: int
    centre_notifies: bool
    config_revision: str = ""


Message = Answers | Status | Control
T = TypeVar("T", Answers, Status, Control)


def dump(message: Message) -> bytes:
    """The bytes of an answer, status or control message."""
    return _encoder.encode(message)


def load(payload: bytes, kind: type[T]) -> T:
    """The message of the given type. WireError for another version or shape."""
    try:
        version = msgspec.json.decode(payload, type=dict[str, Any]).get("v")
        if version != VERSION:
            raise WireError(RejectReason.UNKNOWN_VERSION, f"wire version {version!r}; this side speaks {VERSION}")
        return msgspec.json.decode(payload, type=kind)
    except UNREADABLE as exc:
        raise WireError(RejectReason.CORRUPT, str(exc)) from exc


# --- topics --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Topic:
    """`coldaisle/v1/<site>/<agent>/<leaf>`; leaf is status, answers, control or blocks/<kind>."""

    site: str
    agent: str
    leaf: str

    def __str__(self) -> str:
        return f"{PREFIX}/{self.site}/{self.agent}/{self.leaf}"


STATUS, ANSWERS, CONTROL = "status", "answers", "control"
ALL_BLOCKS = f"{PREFIX}/+/+/blocks/+"
ALL_STATUS = f"{PREFIX}/+/+/{STATUS}"


def block_topic(site: str, agent: str, kind: Kind) -> Topic:
    return Topic(site, agent, f"blocks/{kind}")


def parse_topic(text: str) -> Topic:
    """The parts of one of our topics; WireError(WRONG_TOPIC) for any other text."""
    parts = text.split("/", 4)
    if len(parts) == 5 and "/".join(parts[:2]) == PREFIX and is_slug(parts[2]) and is_slug(parts[3]):
        leaf = parts[4]
        if leaf in (STATUS, ANSWERS, CONTROL) or (leaf.startswith("blocks/") and leaf[7:] in set(Kind)):
            return Topic(parts[2], parts[3], leaf)
    raise WireError(RejectReason.WRONG_TOPIC, f"{text!r} is not {PREFIX}/<site>/<agent>/<leaf>")
