"""Business refusals as problem+json (RFC 9457). Status 422 is kept for malformed payloads alone.

Problem
├── BadRequest            400  understood, but the values make no sense together
├── Unauthenticated       401
├── Forbidden             403  the role does not allow the verb (never used to hide a row)
├── NotFound              404  also for every row outside the caller's scope
├── Conflict              409  the state of the entity refuses it
├── PreconditionFailed    412  the entity changed since it was read
├── TooLarge              413
├── PreconditionRequired  428  a change needs If-Match
├── TooManyRequests       429  with Retry-After
└── Unavailable           503
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A refusal the caller can act on. `code` is stable for programs, `detail` is for people."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.errors = list(errors)
        self.headers = dict(headers or {})


class BadRequest(Problem):
    status, title = 400, "Bad request"


class Unauthenticated(Problem):
    status, title = 401, "Sign in first"


class Forbidden(Problem):
    status, title = 403, "Not allowed"


class NotFound(Problem):
    status, title = 404, "Not found"

    def __init__(self, what: str, key: str) -> None:
        super().__init__(f"no {what} {key!r} is visible to you", code="not_found")


class Conflict(Problem):
    status, title = 409, "Conflict"


class PreconditionFailed(Problem):
    status, title = 412, "Changed meanwhile"


class TooLarge(Problem):
    status, title = 413, "Too large"


class PreconditionRequired(Problem):
    status, title = 428, "If-Match required"


class TooManyRequests(Problem):
    status, title = 429, "Slow down"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, code="too_many", headers={"Retry-After": str(max(1, retry_after))})


class Unavailable(Problem):
    status, title = 503, "Not available"


def problem_response(
    request: Request,
    *,
    status: int,
    title: str,
    detail: str,
    code: str | None = None,
    errors: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if code:
        body["code"] = code
    if errors:
        body["errors"] = list(errors)
    request_id = getattr(request.state, "request_id", None)
    if request_id:
        body["request_id"] = request_id
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


async def _on_problem(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)
    return problem_response(
        request,
        status=exc.status,
        title=exc.title,
        detail=exc.detail,
        code=exc.code,
        errors=exc.errors,
        headers=exc.headers,
    )


async def _on_malformed(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    # The input itself is left out: it may hold a password.
    errors = [
        {"path": ".".join(str(part) for part in error["loc"]), "message": error["msg"], "kind": error["type"]}
        for error in exc.errors()
    ]
    detail = "; ".join(f"{error['path']}: {error['message']}" for error in errors[:5])
    return problem_response(
        request, status=422, title="Malformed payload", detail=detail, code="malformed", errors=errors
    )


async def _on_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return problem_response(
        request, status=exc.status_code, title=str(exc.detail), detail=str(exc.detail), headers=exc.headers
    )


async def _on_stale(request: Request, exc: Exception) -> Response:
    return problem_response(
        request,
        status=PreconditionFailed.status,
        title=PreconditionFailed.title,
        detail="somebody else changed it at the same moment: read it again and repeat the change",
        code="stale",
    )


async def _on_integrity(request: Request, exc: Exception) -> Response:
    # Services check first and speak plainly; what arrives here lost a race between check and commit.
    log.warning("integrity conflict", extra={"path": request.url.path, "error": str(exc)})
    return problem_response(
        request,
        status=Conflict.status,
        title=Conflict.title,
        detail="it clashes with something that exists, or names something that does not: read again and repeat",
        code="integrity",
    )


async def _on_bug(request: Request, exc: Exception) -> Response:
    return problem_response(
        request,
        status=500,
        title="Internal error",
        detail="the server failed; the log holds the reason under this request_id",
        code="bug",
    )


def install(app: FastAPI) -> None:
    """Make the application answer every failure as problem+json."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_malformed)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(StaleDataError, _on_stale)
    app.add_exception_handler(IntegrityError, _on_integrity)
    app.add_exception_handler(Exception, _on_bug)
