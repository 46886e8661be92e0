"""What polling taught the agent, kept in a small file beside the journal so that a restart need not learn it again.

Nothing waits for it: a file that cannot be read or written costs what is in it, and is told of once.
"""

import errno
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from agent.journal import Offload
from collectors.learnt import Learnt
from facility.clock import Clock
from facility.wire import UNREADABLE

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
    devices: dict[str, msgspec.Raw]


_VERSION = 1


@dataclass(slots=True)
class Known:
    """What was learnt, by device; damaged: of which devices it cannot be read, and why."""

    devices: dict[str, Learnt] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Known:
    """What the file holds; OSError where it cannot be read, one of UNREADABLE where it makes no sense."""
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise msgspec.DecodeError(f"it has over {MAX_BYTES} bytes")
    found = msgspec.json.decode(raw, type=_File)
    if found.version != _VERSION:
        raise msgspec.DecodeError(f"it is of version {found.version}, this one reads {_VERSION}")
    known = Known()
    for device, learnt in found.devices.items():
        try:
            known.devices[device] = msgspec.json.decode(learnt, type=Learnt)
        except UNREADABLE as exc:
            known.damaged[device] = str(exc)
    return known


def write(path: Path, devices: Mapping[str, Learnt]) -> None:
    """Replace the file whole: cut off anywhere, the one before stays. OSError where it is not written."""
    parts = {device: msgspec.Raw(msgspec.json.encode(learnt)) for device, learnt in devices.items()}
    raw = msgspec.json.encode(_File(_VERSION, parts))
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
            found = await self._offload.run(read, self.path)
        except FileNotFoundError:
            return
        except OSError as exc:
            log.warning("what was learnt of the devices is lost", extra={"path": str(self.path), "cause": str(exc)})
        except UNREADABLE as exc:
            await self._lost({"": str(exc)})
        else:
            self._known = found.devices
            if found.damaged:
                await self._lost(found.damaged)

    async def _lost(self, damaged: Mapping[str, str]) -> None:
        """Keep the file as it is to be looked at, beside the next one; of which devices nothing is known, and why."""
        aside = self.path.with_name(f"{self.path.name}.corrupt")
        cause = next(iter(damaged.values()))
        detail = {"devices": ", ".join(damaged)[:200], "cause": cause, "kept_as": aside.name}
        log.warning("what was learnt of the devices is lost", extra={"path": str(self.path), **detail})
        with suppress(OSError):
            await self._offload.run(shutil.copyfile, self.path, aside)

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
