"""From a message to a block, or to a named refusal. Pure."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from facility.wire import Block, Header, Kind, RejectReason, Topic, WireError, decode, parse_topic, read_header
from server.ingest.inbox import Message

# So often a process may die while it takes a block, the last times it alone; then it is refused unread.
MOST_DEATHS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A block as it came on its topic, with the bytes for quarantine. at: when it came, where that is known."""

    topic: Topic
    block: Block
    payload: bytes
    at: datetime | None = None

    @property
    def header(self) -> Header:
        return self.block.header

    @property
    def kind(self) -> Kind:
        return self.block.header.kind


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that is no block of ours; header is None where none could be read."""

    topic: Topic
    header: Header | None
    reason: RejectReason
    detail: str
    payload: bytes


def kind_of(topic: Topic) -> Kind:
    """The kind a block topic names."""
    return Kind(topic.leaf.removeprefix("blocks/"))


def read(message: Message) -> Entry | Refusal | None:
    """None when the topic itself is not one of ours, so that nobody could be answered."""
    try:
        topic = parse_topic(message.topic)
        kind = kind_of(topic)
    except (WireError, ValueError):
        return None
    if message.deaths >= MOST_DEATHS:
        return _killer(message, topic)
    try:
        block = decode(message.payload)
    except WireError as error:
        return Refusal(topic, error.header, error.reason, error.detail, message.payload)
    if block.header.kind is not kind:
        detail = f"a block of {block.header.kind} on the topic of {kind}"
        return Refusal(topic, block.header, RejectReason.WRONG_TOPIC, detail, message.payload)
    return Entry(topic, block, message.payload, message.at)


def _killer(message: Message, topic: Topic) -> Refusal:
    header: Header | None = None
    with suppress(WireError):
        header, _ = read_header(message.payload)
    detail = f"the centre died {message.deaths} times while it took it"
    return Refusal(topic, header, RejectReason.POISON, detail, message.payload)
