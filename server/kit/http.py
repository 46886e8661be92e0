"""What wraps every request: its id, the access log, metrics and security headers."""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facility.clock import Clock
from server.kit.metrics import Metrics
from server.kit.secrets import new_token

log = logging.getLogger("server.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Everything comes from ourselves. Tabler and uPlot set style attributes, hence style 'unsafe-inline'; scripts may not.
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"content-security-policy": (
        b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
        b"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
}
_HSTS = (b"strict-transport-security", b"max-age=31536000")
# Probes and scrapes every few seconds would drown the log.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestWrapper:
    """ASGI middleware; the outermost of ours."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, clock: Clock, prefix: str, https: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock
        self._prefix = prefix
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_token()[:22]
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        started, status = self._clock.monotonic(), 500

        async def send_wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                extra = [(name, value) for name, value in _HEADERS.items() if name not in present]
                if self._https:
                    extra.append(_HSTS)
                message["headers"] = [*message["headers"], *extra, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_wrapped)
        finally:
            self._record(scope, status, self._clock.monotonic() - started, request_id)

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        # The route's template, never the path: a label value per id would grow without bound.
        route = getattr(scope.get("route"), "path", None) or "(none)"
        if scope["path"].startswith(f"{self._prefix}/") and not route.startswith(("(", self._prefix)):
            route = self._prefix + route  # a router's route knows its path without the prefix it is mounted under
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} else "OTHER"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)
        if scope["path"] in _QUIET:
            return
        principal = scope["state"].get("principal")
        log.info(
            "%s %s %d",
            method,
            scope["path"],
            status,
            extra={
                "request_id": request_id,
                "ms": round(seconds * 1000, 1),
                "principal": principal.id if principal else None,
                "address": scope["client"][0] if scope.get("client") else None,
            },
        )
