"""How long the machine of a test stood still, so that a bound in real time holds for the program and not for it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

STEP_S = 0.05


@dataclass(slots=True)
class Stalls:
    """steps: when each small write to the disk was asked for, and how much later than it should the next one was."""

    steps: list[tuple[float, float]] = field(default_factory=list)

    def longest(self, since: float, until: float) -> float:
        """Of those between two times (monotonic s), in seconds; 0 of a machine that keeps up."""
        return max((late for at, late in self.steps if since - late <= at <= until), default=0.0)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Stalls]:
    """Writes a block to a file in `folder` each STEP_S, to the disk: sees a busy processor, loop and disk alike."""
    found = Stalls()
    path = folder / "stalls"

    def write() -> None:
        with path.open("wb") as file:
            file.write(bytes(4096))
            os.fsync(file.fileno())

    async def go_on() -> None:
        while True:
            at = time.monotonic()
            await asyncio.to_thread(write)
            await asyncio.sleep(STEP_S)
            found.steps.append((at, max(0.0, time.monotonic() - at - STEP_S)))

    task = asyncio.create_task(go_on())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
