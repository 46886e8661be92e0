"""A block on its way through ingest, and the answers to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from facility.wire import Answer, Kind, RejectedItem, RetryReason, Verdict
from server.fleet.refs import AgentRef
from server.history.store import Entered, ReadingsBlock
from server.ingest.intake import Entry
from server.ingest.readings import Resolved

STORAGE_RETRY_S = 10.0
# An answer lists this many refused items at most: one block can hold tens of thousands, a message must not.
ANSWERED_ITEMS = 100
_PRECEDENCE = {kind: position for position, kind in enumerate((Kind.CATALOG, Kind.ALARMS, Kind.EVENTS, Kind.HEALTH))}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and whom it goes to."""

    site: str
    agent: str
    answer: Answer


@dataclass(slots=True)
class Job:
    """A block on its way, with the answer once it is known. in_pieces: as a whole it failed time and again."""

    entry: Entry
    agent: AgentRef
    answer: Answer | None = None
    resolved: Resolved | None = None
    refused: tuple[RejectedItem, ...] = ()
    in_pieces: bool = False


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """Blocks that are not of readings, given as they came, in the order in which they are taken.

    Agent by agent, so that who else locks agents in order of their ids is not in the way; of an agent, first what the
    opening sent that was heard of first, or one that lived for a moment would be taken for the present one; of an
    opening, catalogs before what speaks of their devices.
    """
    first: dict[tuple[str, str], int] = {}
    for position, job in enumerate(jobs):
        first.setdefault((job.agent.id, _sent_by(job)), position)

    def place(job: Job) -> tuple[str, int, int, int]:
        return job.agent.id, first[job.agent.id, _sent_by(job)], _PRECEDENCE[job.entry.kind], job.entry.header.seq

    return sorted(jobs, key=place)


def _sent_by(job: Job) -> str:
    return job.entry.header.sent_by or job.entry.header.stream


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


def conflict(entry: Entry) -> Answer:
    """The name of the block belongs to another one."""
    return answer_to(entry, Verdict.CONFLICT, "conflict", "this stream and sequence number held another block")


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
    refused = job.refused[:ANSWERED_ITEMS]
    return ReadingsBlock(job.agent.id, header.stream, header.seq, header.digest, job.resolved.series, refused)


def answer_again(entry: Entry, before: Entered) -> Answer:
    """To a block of readings that is in history: as it was answered then, whatever would be refused of it now."""
    if before.digest != entry.header.digest:
        return conflict(entry)
    return answer_to(entry, Verdict.COMMITTED, rejected=before.refused)
