"""The virtual-time loop keeps its word; the names are the invariants of its docstring."""

import asyncio
import socket
import threading
import time
from typing import Any

import pytest

from facility.clock import SystemClock
from tests.support import virtual_loop
from tests.support.virtual_loop import Stuck, run_virtual

DAY_S = 86_400.0


def test_a_day_of_timers_passes_without_waiting_and_in_order() -> None:
    seen: list[tuple[float, str]] = []

    async def tick(name: str, every: float, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(every)
            seen.append((asyncio.get_running_loop().time(), name))

    async def main() -> float:
        await asyncio.gather(tick("hourly", 3600.0, 24), tick("half-daily", DAY_S / 2, 2))
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(main()) == pytest.approx(DAY_S)
    assert time.monotonic() - began < 5.0
    assert seen == sorted(seen, key=lambda entry: entry[0])
    assert len(seen) == 26


def test_time_moves_exactly_to_the_next_timer_and_only_when_nothing_is_ready() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        for _ in range(1000):
            await asyncio.sleep(0)
        times.append(loop.time())
        await asyncio.sleep(0.25)
        times.append(loop.time())
        return times

    assert run_virtual(main()) == [0.0, 0.0, 0.25]


def test_a_timeout_fires_at_its_virtual_moment() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(DAY_S)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 30.0


def test_what_has_arrived_on_a_socket_comes_before_a_timer_ahead() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            await loop.sock_sendall(left, b"21.5")
            async with asyncio.timeout(0.001):
                return await loop.sock_recv(right, 10)

    assert run_virtual(main()) == b"21.5"


def test_a_real_tcp_conversation_works() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()
        await writer.wait_closed()

    async def main() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            writer.write(b"leak\n")
            reply = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return reply

    assert run_virtual(main()) == b"LEAK\n"


def test_time_stands_still_while_a_job_runs_in_a_thread() -> None:
    gate = threading.Event()

    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(None, gate.wait, 10)
        impatient = asyncio.create_task(asyncio.sleep(60))
        # Real time, from another thread: the job outlasts many turns of the loop.
        threading.Timer(0.2, gate.set).start()
        waiting: set[asyncio.Future[Any]] = {job, impatient}
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        at = loop.time()
        impatient.cancel()
        return ("job" if job in done else "timer"), at

    assert run_virtual(main()) == ("job", 0.0)


def test_a_loop_in_which_nothing_can_happen_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_loop, "STUCK_S", 0.05)

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="no timer and no job"):
        run_virtual(main())


def test_the_products_clock_follows_virtual_time() -> None:
    async def main() -> float:
        clock = SystemClock(asyncio.sleep, monotonic=asyncio.get_running_loop().time)
        began = clock.now()
        await clock.sleep(DAY_S)
        return (clock.now() - began).total_seconds()

    assert run_virtual(main()) == DAY_S
