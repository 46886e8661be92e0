"""Ending a component without breaking what it is in the middle of."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

GRACE_SECONDS = 10.0


async def unbroken(work: Coroutine[Any, Any, T], *, grace: float = GRACE_SECONDS) -> T:
    """Await `work`; when cancelled, let it finish for `grace` seconds more, then pass the cancellation on.

    A cancelled database call leaves a connection in an unknown state and, on SQLite, a thread that outlives the loop.
    Components wrap each round of theirs in this, and are cancelled between rounds.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task}, timeout=grace)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        raise
