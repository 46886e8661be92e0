"""What the browser loads, served by ourselves: style sheets, scripts and fonts under /static."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
_FOREVER = "public, max-age=31536000, immutable"
# Fonts are named by style sheets without a version.
_A_DAY = "public, max-age=86400"

router = APIRouter()
_files = StaticFiles(directory=STATIC)


@cache
def _version(name: str, modified_ns: int) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def asset_url(name: str) -> str:
    """The address of a static file with the version of its content; raises FileNotFoundError when there is none."""
    return f"/static/{name}?v={_version(name, (STATIC / name).stat().st_mtime_ns)}"


@router.get("/static/{path:path}")
async def static(path: str, request: Request) -> Response:
    try:
        response = await _files.get_response(path, request.scope)
    except HTTPException as error:
        return Response(status_code=error.status_code, headers={"Cache-Control": "no-store"})
    response.headers["Cache-Control"] = _FOREVER if "v" in request.query_params else _A_DAY
    return response
