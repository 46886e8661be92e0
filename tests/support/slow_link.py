"""A link of so many kilobits a second to a TCP server, as a phone network gives it. It delays and loses nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# What a segment of a phone network carries.
SEGMENT = 1_400
# Small, so that the sender waits for the link as it would for a modem, and no kernel takes it all at once.
RECEIVE_BUFFER = 8_192


@asynccontextmanager
async def slow_link(port: int, kbit_s: float) -> AsyncIterator[int]:
    """A loopback port that leads to `port`, at this rate in each direction for each connection."""
    lines: set[asyncio.Task[None]] = set()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        try:
            while data := await source.read(SEGMENT):
                free_at = max(free_at, loop.time()) + len(data) * 8 / (kbit_s * 1000)
                await asyncio.sleep(free_at - loop.time())
                sink.write(data)
                await sink.drain()
        except OSError:
            return  # an end of the line is gone
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=SEGMENT)
        for way in (carry(reader, back), carry(there, writer)):
            task = asyncio.create_task(way)
            lines.add(task)
            task.add_done_callback(lines.discard)

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    server = await asyncio.start_server(serve, sock=listening, limit=SEGMENT)
    try:
        yield listening.getsockname()[1]
    finally:
        server.close()
        for task in lines:
            task.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
