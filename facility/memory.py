"""When the cycle collector looks."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """The cycle collector waits meanwhile, for all threads: for some milliseconds of work on many short lists.

    None of them is part of a cycle and all are gone soon after it: to look through them again and again as they grow is
    a tenth of the work of sealing a block, a third of taking one.
    """
    waits = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if waits:
            gc.enable()
