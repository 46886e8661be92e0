"""What polling taught the agent, kept in a small file beside the journal so that a restart need not learn it again.

Nothing waits for it: a file that cannot be read or written costs what is in it, and is told of once.
"""

import errno
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from agent.journal import Offload
from collectors.learnt import Learnt
from facility.clock import Clock

log = logging.getLogger(__name__)

# A counter may wrap meanwhile and is still told right, for its last value is kept; a hole costs some requests.
SAVE_EVERY_S = 600.0
# 300 devices with 50 counters and some holes each are 1.5 MB.
MAX_BYTES = 32 * 1024 * 1024


class Learns(Protocol):
    """What is asked of a device's poller."""

    def learnt(self) -> Learnt: ...

    def recall(self, learnt: Learnt) -> None: ...


class _File(msgspec.Struct, frozen=True):
    version: int
    devices: dict[str, Learnt]


_VERSION = 1


def read(path: Path) -> dict[str, Learnt]:
    """What the file holds, by device; OSError where it cannot be read, DecodeError where it makes no sense."""
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise msgspec.DecodeError(f"it has over {MAX_BYTES} bytes")
    found = msgspec.json.decode(raw, type=_File)
    if found.version != _VERSION:
        raise msgspec.DecodeError(f"it is of version {found.version}, this one reads {_VERSION}")
    return found.devices


def write(path: Path, devices: Mapping[str, Learnt]) -> None:
    """Replace the file whole: cut off anywhere, the one before stays. OSError where it is not written."""
    raw = msgspec.json.encode(_File(_VERSION, dict(devices)))
    if len(raw) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"over the {MAX_BYTES} bytes that would be read again", str(path))
    fresh = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with fresh.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class LearntFile:
    """Gives each new poller what is known of its device, and writes down what the pollers know."""

    def __init__(self, journal: Path, *, pollers: Callable[[], Mapping[str, Learns]], offload: Offload, clock: Clock):
        self.path = journal.with_suffix(".learnt.json")
        self._pollers = pollers
        self._offload = offload
        self._clock = clock
        self._known: dict[str, Learnt] = {}
        self._told = ""

    async def load(self) -> None:
        """Before the first poller is opened."""
        try:
            self._known = await self._offload.run(read, self.path)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as exc:
            log.warning("what was learnt of the devices is lost", extra={"path": str(self.path), "cause": str(exc)})

    def recall(self, device: str, poller: Learns) -> None:
        learnt = self._known.pop(device, None)
        if learnt is not None:
            poller.recall(learnt)

    async def save(self) -> None:
        try:
            await self._offload.run(write, self.path, {name: each.learnt() for name, each in self._pollers().items()})
        except OSError as exc:
            if str(exc) != self._told:
                log.warning("what was learnt of the devices is not kept", extra={"cause": str(exc)})
            self._told = str(exc)
        else:
            self._told = ""

    async def run(self) -> None:
        """Save from time to time until cancelled."""
        while True:
            await self._clock.sleep(SAVE_EVERY_S)
            await self.save()
