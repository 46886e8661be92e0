"""A small HTTP server for /metrics, /healthz and /readyz: GET and HEAD, one answer a connection, everything bounded.

The edge installs no web framework, and what is asked here is three fixed pages: `asyncio.start_server` is enough. A
request may take `REQUEST_S` and `MAX_REQUEST` bytes; beyond `MAX_CONNECTIONS` at once a caller is told to come later.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

log = logging.getLogger(__name__)

MAX_REQUEST = 8192
MAX_CONNECTIONS = 16
REQUEST_S = 5.0
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = TEXT


Handler = Callable[[], Page]


class HttpServer:
    """Serves pages by exact path. `port` is the one it listens on once started."""

    def __init__(self, host: str, port: int, pages: Mapping[str, Handler]) -> None:
        self.host = host
        self.port = port
        self._pages = dict(pages)
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Listen. OSError when the address is taken."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=MAX_REQUEST, backlog=64)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                method, page = await self._answer(reader)
                writer.write(_head(page) + (b"" if method == "HEAD" else page.body))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as exc:
            log.debug("a request ended early", extra={"cause": repr(exc)})
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, Page]:
        if self._open > MAX_CONNECTIONS:
            return "GET", Page(b"too many requests at once\n", HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return "GET", Page(b"request too large\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return "GET", Page(b"not an HTTP/1 request\n", HTTPStatus.BAD_REQUEST)
        method, target = parts[0], parts[1].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return method, Page(b"only GET and HEAD\n", HTTPStatus.METHOD_NOT_ALLOWED)
        handler = self._pages.get(target)
        if handler is None:
            known = ", ".join(sorted(self._pages))
            return method, Page(f"there is {known}\n".encode(), HTTPStatus.NOT_FOUND)
        try:
            return method, handler()
        except Exception:
            log.exception("a page failed", extra={"path": target})
            return method, Page(b"internal error, see the log\n", HTTPStatus.INTERNAL_SERVER_ERROR)


def _head(page: Page) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Connection: close",
    ]
    if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
