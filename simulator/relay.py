"""The site's line to the centre: a TCP relay that a fault can cut and a repair can restore on the same port."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger(__name__)

CHUNK = 64 * 1024
MAX_CONNECTIONS = 64  # an agent needs one; more than this is a mistake


class Relay:
    """Relays bytes between its own port and `target`. Cut: connections drop and new ones are refused."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect instead of the target."""
        return "127.0.0.1", self._port

    @property
    def up(self) -> bool:
        return self._server is not None

    async def open(self) -> None:
        """Listen; after a cut, on the same port again. Opening twice is harmless."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse new connections and drop the present ones at once, as a pulled cable's far end would see it."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._server is None or len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._relay(reader, writer)
        except asyncio.CancelledError:
            # Only `cut` cancels; letting it out would make asyncio's stream callback report it as an error.
            return
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5.0):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
        except (OSError, TimeoutError) as error:
            log.warning("relay target does not answer", extra={"target": self._target, "error": str(error)})
            return
        self._writers.add(far_writer)
        directions = [
            asyncio.create_task(_pump(reader, far_writer), name="relay-out"),
            asyncio.create_task(_pump(far_reader, writer), name="relay-in"),
        ]
        try:
            await asyncio.wait(directions)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            self._writers.discard(far_writer)
            far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end; `drain` keeps a slow reader from filling memory."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, OSError):
        # Either end has gone; the other direction must end too.
        writer.transport.abort()
