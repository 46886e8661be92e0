"""A block on its way through ingest, and the answers to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from facility.wire import Answer, RejectedItem, RetryReason, Verdict
from server.fleet.refs import AgentRef
from server.history.store import ReadingsBlock
from server.ingest.intake import Entry
from server.ingest.readings import Resolved

STORAGE_RETRY_S = 10.0
# An answer lists this many refused items at most: one block can hold tens of thousands, a message must not.
ANSWERED_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and whom it goes to."""

    site: str
    agent: str
    answer: Answer


@dataclass(slots=True)
class Job:
    """A block on its way, with the answer once it is known."""

    entry: Entry
    agent: AgentRef
    answer: Answer | None = None
    resolved: Resolved | None = None
    refused: tuple[RejectedItem, ...] = ()


def answer_to(
    entry: Entry,
    verdict: Verdict,
    reason: str = "",
    detail: str = "",
    after_s: float = 0.0,
    rejected: tuple[RejectedItem, ...] = (),
) -> Answer:
    """The answer that names a block."""
    header = entry.header
    return Answer(header.stream, header.seq, verdict, str(reason), detail, after_s, rejected[:ANSWERED_ITEMS])


def refused_now(entry: Entry, detail: str) -> Answer:
    """A database refuses: the block is asked for again."""
    return answer_to(entry, Verdict.RETRY, RetryReason.STORAGE, detail, STORAGE_RETRY_S)


def put_off(jobs: Sequence[Job], detail: str) -> None:
    """Ask for these again, whatever was answered on the way."""
    for job in jobs:
        job.answer = refused_now(job.entry, detail)


def name_of(entry: Entry) -> str:
    """A block as logs call it."""
    return f"{entry.topic}/{entry.header.stream}/{entry.header.seq}"


def block_of(job: Job) -> ReadingsBlock:
    """The readings of a block whose points are resolved, for history."""
    assert job.resolved is not None, "only resolved blocks are stored"
    header = job.entry.header
    return ReadingsBlock(job.agent.id, header.stream, header.seq, header.digest, job.resolved.series)
