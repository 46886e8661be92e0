"""Somebody who is told: an HTTP endpoint that keeps the notifications the server sends, and shows them as JSON."""

from collections import deque
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# A demo left running over a week-end must not grow without end; a person reads the last few.
KEPT = 500
MAX_BYTES = 64 * 1024


class NotifySink:
    """`POST /notify` keeps a JSON message, `GET /notify` lists those kept, oldest first."""

    def __init__(self) -> None:
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.app = Starlette(
            routes=[Route("/notify", self._keep, methods=["POST"]), Route("/notify", self._show, methods=["GET"])]
        )

    async def _keep(self, request: Request) -> Response:
        if int(request.headers.get("content-length", MAX_BYTES + 1)) > MAX_BYTES:
            return Response(status_code=413)
        try:
            message = await request.json()
        except ValueError:
            return JSONResponse({"title": "the body is no JSON"}, status_code=400)
        self.messages.append(message if isinstance(message, dict) else {"message": message})
        return Response(status_code=204)

    async def _show(self, _: Request) -> Response:
        return JSONResponse({"items": list(self.messages)})
