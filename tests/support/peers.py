"""Finding real peer programs, free ports, and waiting for a condition instead of for time."""

import asyncio
import glob
import inspect
import os
import shutil
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar, overload

import pytest

# Where Debian puts servers: outside an ordinary user's PATH.
EXTRA_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/bin")
POSTGRESQL_FOLDERS = "/usr/lib/postgresql/*/bin"
POLL_S = 0.02

T = TypeVar("T")


def peers_required() -> bool:
    """True where a missing peer is a failure (`.ci/run`), False where it is a skip."""
    return os.environ.get("COLDAISLE_REQUIRE_PEERS", "") == "1"


def find(program: str) -> str | None:
    """The path of a program, also outside the PATH; of several PostgreSQL versions the newest."""
    versions = sorted(glob.glob(POSTGRESQL_FOLDERS), key=lambda path: float(path.split("/")[-2]), reverse=True)
    for folders in (os.environ.get("PATH", ""), os.pathsep.join([*versions, *EXTRA_FOLDERS])):
        path = shutil.which(program, path=folders)
        if path is not None:
            return path
    return None


def require(program: str) -> str:
    """The path of a peer program; without it the test is skipped, or failed with COLDAISLE_REQUIRE_PEERS=1."""
    path = find(program)
    if path is not None:
        return path
    word = f"{program} is not installed (on Debian, `scripts/install-peers` as root installs every peer)"
    if peers_required():
        pytest.fail(word, pytrace=False)
    pytest.skip(word)


def free_port(kind: Literal["tcp", "udp"] = "tcp") -> int:
    """A port of the loopback address that nobody held a moment ago.

    Prefer port 0 where the program reports what it got; two callers never get the same port in quick succession,
    because the kernel hands ephemeral ports out at random.
    """
    sort = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, sort) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers_tcp(port: int, host: str = "127.0.0.1") -> bool:
    """True when something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def until(probe: Callable[[], T], *, timeout: float = 10.0, what: str = "the condition") -> T:
    """Ask until the answer is true, and return it; AssertionError after `timeout` seconds.

    An OSError of the probe means "not yet": a peer that is starting refuses connections. Anything else is raised.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            answer = probe()
            if answer:
                return answer
            last = answer
        except OSError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true within {timeout:g} s; last answer: {last!r}")
        time.sleep(POLL_S)


@overload
async def until_async(probe: Callable[[], Awaitable[T]], *, timeout: float = 10.0, what: str = ...) -> T: ...
@overload
async def until_async(probe: Callable[[], T], *, timeout: float = 10.0, what: str = ...) -> T: ...
async def until_async(probe: Callable[[], object], *, timeout: float = 10.0, what: str = "the condition") -> object:
    """`until` for a running loop; the probe may be an ordinary or an async function."""
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            answer = probe()
            last = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true within {timeout:g} s; last answer: {last!r}")
        await asyncio.sleep(POLL_S)
