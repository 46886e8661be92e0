"""Blocks on which the centre fails: told apart from others of their batch, asked for again, in the end put aside."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from facility.wire import Answer, RejectReason, Verdict
from server.ingest.intake import Entry, Refusal
from server.ingest.jobs import Reply, refused_now

log = logging.getLogger(__name__)

# A block that fails by itself is tried again this often: the first failures may be a race or a bug of the moment.
POISON_TRIES = 5
_REMEMBERED = 1000

Take = Callable[[Sequence[Entry], Sequence[Refusal]], Awaitable[list[Reply]]]
Keep = Callable[[Sequence[Refusal]], Awaitable[bool]]


class Failures:
    """How often blocks failed; of the last thousand."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    def verdict(self, block: Entry | Refusal, error: Exception) -> Refusal | None:
        """A block failed: what it is refused for, to be kept in quarantine; None to ask for it again."""
        tries = self._again(block)
        if tries < POISON_TRIES:
            return None
        if isinstance(block, Refusal):
            return block
        detail = f"the centre failed on it {tries} times: {type(error).__name__}: {error}"[:500]
        return Refusal(block.topic, block.header, RejectReason.POISON, detail, block.payload)

    def _again(self, block: Entry | Refusal) -> int:
        """It failed; how often it did by now."""
        header = block.header
        name = (str(block.topic), *((header.stream, header.seq) if header is not None else ("", 0)))
        tries = self._tries[name] = self._tries.pop(name, 0) + 1
        while len(self._tries) > _REMEMBERED:
            self._tries.popitem(last=False)
        return tries

    async def each_alone(
        self,
        entries: Sequence[Entry],
        refusals: Sequence[Refusal],
        *,
        take: Take,
        keep: Keep,
        forget: Callable[[], None],
    ) -> tuple[list[Reply], list[tuple[Entry | Refusal, Answer]]]:
        """Take each block of a batch that failed as a whole by itself: the replies, and answers for what fails again.

        forget: called after each failure. Where nothing of several is taken no block is to blame: all are asked for
        again.
        """
        forget()
        blocks: list[Entry | Refusal] = [*entries, *refusals]
        replies: list[Reply] = []
        guilty: list[tuple[Entry | Refusal, Exception]] = []
        for block in blocks:
            try:
                replies += await (take([block], []) if isinstance(block, Entry) else take([], [block]))
            except Exception as error:
                log.exception("block failed alone", extra={"topic": str(block.topic)})
                forget()
                guilty.append((block, error))
        told = len(blocks) == 1 or any(reply.answer.verdict is Verdict.COMMITTED for reply in replies)
        answers: list[tuple[Entry | Refusal, Answer]] = []
        for block, cause in guilty:
            refusal = await self._put_aside(block, cause, keep) if told else None
            if refusal is None and isinstance(block, Entry):
                answers.append((block, refused_now(block, "the centre failed on it")))
            elif refusal is not None and refusal.header is not None:
                name = refusal.header.stream, refusal.header.seq
                answers.append((block, Answer(*name, Verdict.REJECTED, refusal.reason.value, refusal.detail[:500])))
        return replies, answers

    async def _put_aside(self, block: Entry | Refusal, error: Exception, keep: Keep) -> Refusal | None:
        """What it is refused for; None to ask for it again."""
        refusal = self.verdict(block, error)
        if refusal is None:
            return None
        # What cannot be kept whole is kept by its name: if that cannot be kept either, no block is to blame.
        for kept in (refusal, replace(refusal, detail="", payload=b"")):
            try:
                return refusal if await keep([kept]) else None
            except Exception:
                log.exception("a refused block is not kept here", extra={"topic": str(block.topic)})
        return None
