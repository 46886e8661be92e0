"""What is being taken, noted where the death of this process does not reach: a block that kills it is known by that.

One plain write a batch, never synced: what the kernel holds outlives the process, and a power cut is no block's doing.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from facility.clock import Clock, now_ms
from server.ingest.inbox import Message
from server.ingest.intake import MOST_DEATHS

log = logging.getLogger(__name__)

# Workers that share a folder; each has a file of its own.
_MOST_WORKERS = 32
# Blocks over which a process died and that are remembered; the oldest go.
_MOST_REMEMBERED = 1000
_MOST_BYTES = 1 << 20
# A block that kills does so at once, and whoever watches over the process starts it again within seconds. What was
# being taken for longer waited for a database that hangs, and whoever killed the process then did not mean the block:
# it is taken alone from now on, and no death more is counted.
_KILLS_WITHIN_MS = 60_000


class Flights:
    """Which blocks are being taken, and over which a process died before: how often. `close` it at the end.

    A block over which one died is taken alone, so that the next death tells which of a batch it is.
    """

    def __init__(self, file: int | None, clock: Clock) -> None:
        """file: descriptor of a file that is ours alone; None where there is none: nothing is noted then."""
        self._file = file
        self._clock = clock
        self._deaths = {} if file is None else _left_by_the_dead(file, now_ms(clock))
        if self._deaths:
            log.warning("the ingest died over blocks", extra={"blocks": len(self._deaths)})
            self._note([])

    @classmethod
    def open(cls, folder: Path, clock: Clock) -> "Flights":
        """With the first file of a folder that no living process has."""
        try:
            for number in range(_MOST_WORKERS):
                file = os.open(folder / f"ingest-{number}.flights", os.O_RDWR | os.O_CREAT, 0o600)
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return cls(file, clock)
                os.close(file)
        except OSError as error:
            log.warning("blocks are not noted while they are taken", extra={"error": str(error)})
        return cls(None, clock)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def parts(self, batch: Sequence[Message]) -> Iterator[list[Message]]:
        """A batch in the parts in which it is to be taken, in its order; each message says over how many it died."""
        together: list[Message] = []
        for message in batch:
            deaths = self._deaths.get(_name(message), 0) if self._deaths else 0
            if not deaths:
                together.append(message)
                continue
            if together:
                yield together
                together = []
            yield [replace(message, deaths=deaths)]
        if together:
            yield together

    @contextmanager
    def over(self, part: Sequence[Message]) -> Iterator[None]:
        """While these are taken. However it ends here, they did not kill."""
        names = [] if self._file is None else [_name(message) for message in part]
        self._note(names)
        try:
            yield
        finally:
            for message, name in zip(part, names, strict=False):
                if message.deaths < MOST_DEATHS:
                    self._deaths.pop(name, None)
            self._note([])

    def _note(self, names: Sequence[str]) -> None:
        if self._file is None:
            return
        note = {"flying": names, "since": now_ms(self._clock), "deaths": self._deaths}
        text = json.dumps(note, separators=(",", ":"))
        try:
            os.pwrite(self._file, text.encode() + b"\n", 0)
        except OSError as error:
            log.debug("blocks not noted", extra={"error": str(error)})


def _name(message: Message) -> str:
    """By its body: the same block has another header when another opening of its journal sends it."""
    name = hashlib.blake2b(message.topic.encode(), digest_size=16)
    name.update(message.payload.partition(b"\n")[2] or message.payload)
    return name.hexdigest()


def _left_by_the_dead(file: int, now: int) -> dict[str, int]:
    """How often a process died over each block, the last death included; nothing where the file says nothing."""
    try:
        said = json.loads(os.pread(file, _MOST_BYTES, 0).partition(b"\n")[0])
        deaths = {str(name): int(count) for name, count in said["deaths"].items()}
        soon = 0 <= now - int(said["since"]) <= _KILLS_WITHIN_MS
        for name in said["flying"]:
            before = deaths.pop(str(name), 0)
            deaths[str(name)] = before + 1 if soon else max(before, 1)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # new, or cut off while it was written
    return dict(list(deaths.items())[-_MOST_REMEMBERED:])
