"""Who is cancelled stops, also where what it waited for has swallowed that."""

import asyncio


def heed_cancelling() -> None:
    """Raise the cancelling that somebody swallowed; for a loop, before it begins anew.

    gufo-snmp, pymodbus and aiomqtt wait with `asyncio.wait_for`: on Python 3.11 that returns as if nothing had been,
    when what it waited for comes in the moment of the cancelling, and the loop would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
