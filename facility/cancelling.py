"""Being told to stop, also where a library swallows it."""

import asyncio


def heed_cancelling() -> None:
    """Raise the cancelling that somebody swallowed; call it after connecting, before settling down.

    aiomqtt waits with `asyncio.wait_for`: on Python 3.11 that returns as if nothing had been, when what it waited for
    comes in the moment of the cancelling, and the session would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
