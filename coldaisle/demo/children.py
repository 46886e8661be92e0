"""The true agent and the true server as child processes: started, restarted when they die, ended together."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

# A child that dies at once is restarted at this pace: quick enough to watch, slow enough not to burn a core.
RESTART_S = 1.0
# After SIGTERM: long enough for the journal's last commit and the server's open requests.
STOP_S = 8.0


@dataclass(slots=True)
class Child:
    """One supervised program. `pid` is 0 while it is not running; `restarts` counts the times it had to be revived."""

    name: str
    arguments: Sequence[str]
    log_file: Path
    environment: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    restarts: int = 0

    async def run(self, on_start: Callable[[], None]) -> None:
        """Keep the program running until cancelled, then end it: SIGTERM first, SIGKILL after `STOP_S`."""
        while True:
            with self.log_file.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "coldaisle", *self.arguments,
                    stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                    env={**os.environ, **self.environment},
                    # A terminal's Ctrl-C must reach the demo alone, which then ends its children in order.
                    start_new_session=True,
                )  # fmt: skip
            self.pid = process.pid
            on_start()
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                await _end(process)
                raise
            finally:
                self.pid = 0
            log.warning("%s ended with code %s; starting it again (see %s)", self.name, code, self.log_file)
            self.restarts += 1
            await asyncio.sleep(RESTART_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        log.warning("process %d did not end in %s s and was killed", process.pid, STOP_S)
        process.kill()
        await process.wait()
