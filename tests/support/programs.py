"""A real program as a test's peer: own folder, own log, gone at the end, its last lines shown when the test fails."""

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.peers import until

STOP_S = 10.0
TAIL_LINES = 40

# Every program that runs now, so that a failing test can show what its peers said.
running: list["Program"] = []


class Program:
    """One child process. `start` returns when `ready` says so; `stop` asks politely, `kill` does not.

    The same object can be started again after `stop` or `kill`: same command, same ports, log appended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        ready: Callable[[], object],
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        start_s: float = 20.0,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._user = user
        self._start_s = start_s
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id; AssertionError when it was never started."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers; AssertionError with the log's end when it does not."""
        assert not self.alive, f"{self.name} is already running"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=None if self._user is None else _group_of(self._user),
                extra_groups=None if self._user is None else [],
            )
        running.append(self)
        try:
            until(lambda: self._ready() or not self.alive, timeout=self._start_s, what=f"{self.name} being ready")
            assert self.alive, f"{self.name} ended at once with code {self._process.poll()}"
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def stop(self) -> None:
        """End it as an operator would; killed when it has not gone in time. Nothing happens when it is not running."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """SIGKILL: as a power cut, no last words. Nothing happens when it is not running."""
        self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The log's last lines."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_S)
        if self in running:
            running.remove(self)


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
