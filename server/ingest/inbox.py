"""Messages waiting to be taken, bounded in number and bytes. What does not fit is dropped; the sender repeats it."""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from facility.clock import Clock

MAX_MESSAGES = 2000
MAX_BYTES = 64 * 1024 * 1024
# One transaction: enough for SQLite's bulk speed (20,000 readings), short enough for an answer within a second.
BATCH_MESSAGES = 256
BATCH_BYTES = 2 * 1024 * 1024
# A commit costs an fsync: what comes within this time shares it.
LINGER_S = 0.05


@dataclass(frozen=True, slots=True)
class Message:
    """at: when it came, where that matters. deaths: of processes that were taking it."""

    topic: str
    payload: bytes
    at: datetime | None = None
    deaths: int = 0


class Inbox:
    """One side puts, one side takes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message) -> bool:
        """False when it does not fit."""
        if len(self._waiting) >= MAX_MESSAGES or self._bytes + len(message.payload) > MAX_BYTES:
            return False
        self._waiting.append(message)
        self._bytes += len(message.payload)
        self._some.set()
        return True

    async def take(self) -> list[Message]:
        """The next batch, at least one message; waits for it, and a moment longer for company."""
        await self._some.wait()
        if len(self._waiting) < BATCH_MESSAGES:
            await self._clock.sleep(LINGER_S)
        batch: list[Message] = []
        size = 0
        while self._waiting and len(batch) < BATCH_MESSAGES and (size < BATCH_BYTES or not batch):
            message = self._waiting.popleft()
            batch.append(message)
            size += len(message.payload)
        self._bytes -= size
        if not self._waiting:
            self._some.clear()
        return batch
