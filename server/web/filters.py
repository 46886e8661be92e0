"""Filters of lists, as a form sends them: an empty choice means all."""

from enum import StrEnum
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request

from server.kit.problems import BadRequest

E = TypeVar("E", bound=StrEnum)

Chosen = Annotated[str, Query(max_length=120)]


def choice(kind: type[E], text: str) -> E | None:
    """The member a form chose, None for all; BadRequest for a word that is none of them."""
    if not text:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is none of {', '.join(kind)}", code="unknown_choice") from error


def older(request: Request, cursor: str | None) -> str | None:
    """The address of the following page of this list with the same filters; None at the end."""
    if cursor is None:
        return None
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in ("cursor", "done")]
    return f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"
