"""What the demo asks the running programs over HTTP: are all devices seen, is there a ticket yet."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 5.0
# A proxy from the environment must not stand between two programs of one machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NotYetError(Exception):
    """The program asked does not answer, or not yet as it should."""


async def fetch(url: str, *, token: str = "", body: dict[str, Any] | None = None) -> Any:
    """The JSON behind a URL; a body makes it a POST. NotYetError for anything but a good answer."""
    return await asyncio.to_thread(_fetch, url, token, body)


def _fetch(url: str, token: str, body: dict[str, Any] | None) -> Any:
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read())
    except (urllib.error.URLError, OSError, ValueError) as exc:
        raise NotYetError(f"{url}: {exc}") from exc
