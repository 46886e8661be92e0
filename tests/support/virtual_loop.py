"""An asyncio loop whose time jumps: a day of timers passes in milliseconds, and nothing ever really waits for one.

Invariants, each with a test by its name in `tests/support_tests/test_virtual_loop.py`:

- time moves only when nothing is ready to run, and then exactly to the next timer: order is that of a real loop;
- real file descriptors are still served: they are asked before every jump, with zero timeout, so what has already
  arrived on a socket comes before a timer that is still ahead;
- while a job runs in an executor, time stands still until the job is done: a thread's work is not "an hour late";
- a loop with nothing ready, no timer and no job is stuck, and says so instead of hanging for ever.

A peer in another process lives in real time, so virtual time overtakes it: use a real loop for such tests.
"""

import asyncio
import concurrent.futures
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# Real seconds of complete silence after which a loop without timers is called stuck. Bytes that one socket of this
# process sent to another arrive in far less.
STUCK_S = 5.0
# The descriptor by which a thread wakes its loop. Where there is no other and no job, it is asked now and then: the
# question is a system call in each turn of the loop, a twentieth of a simulation's time.
OWN_PIPE = 1
UNASKED_MOST = 64


class Stuck(RuntimeError):
    """Nothing is ready, no timer is set and no job is running: nothing can ever happen again."""


class _Selector(selectors.BaseSelector):
    """Asks the real descriptors without waiting; where the loop would wait, virtual time passes instead."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self._descriptors = self._unasked = 0
        self.now = 0.0
        self.jobs = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._descriptors <= OWN_PIPE and not self.jobs and timeout is not None and self._unasked < UNASKED_MOST:
            self._unasked += 1
            self.now += max(timeout, 0.0)
            return []
        self._unasked = 0
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if self.jobs:
            # The job's end wakes the loop through its self-pipe; the bound is for a job that never ends.
            return self._real.select(STUCK_S)
        if timeout is None:
            ready = self._real.select(STUCK_S)
            if not ready:
                raise Stuck(f"nothing ready, no timer and no job after {STUCK_S:g} real seconds")
            return ready
        self.now += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self._descriptors += 1
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        self._descriptors -= 1
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop for `asyncio.Runner(loop_factory=VirtualTimeLoop)`; `time()` begins at 0 and jumps."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(  # type: ignore[override]  # the stub's variadic generics cannot be repeated by a subclass
        self, executor: concurrent.futures.Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._virtual.jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _future: asyncio.Future[Any]) -> None:
        self._virtual.jobs -= 1


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time; Stuck when it waits for what cannot come."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
