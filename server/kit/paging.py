"""Cursor paging: `{items, next}`. A cursor is the sort key and id of the last row seen, so inserts shift nothing."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import sqlalchemy as sa
from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy.orm import InstrumentedAttribute

from server.db.session import ReadSession
from server.kit.problems import BadRequest

DEFAULT_LIMIT = 50
MAX_LIMIT = 500  # a list of 500 tickets is about 400 kB of JSON

T = TypeVar("T")
Out = TypeVar("Out")


class Page(BaseModel, Generic[T]):
    """One page of a list. `next` is the cursor of the following page, null on the last one."""

    items: list[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What the caller asked for; `limit` is already within bounds."""

    cursor: str | None = None
    limit: int = DEFAULT_LIMIT


def page_request(
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> PageRequest:
    return PageRequest(cursor, limit)


Paging = Annotated[PageRequest, Depends(page_request)]


@dataclass(frozen=True, slots=True)
class Order:
    """A list order: a column that is never null, then the id, both in one direction. `name` guards foreign cursors."""

    name: str
    column: InstrumentedAttribute[Any]
    id: InstrumentedAttribute[str]
    descending: bool = False


def encode_cursor(order: Order, value: Any, row_id: str) -> str:
    if isinstance(value, datetime):
        value = {"t": value.isoformat()}
    text = json.dumps([order.name, value, row_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(order: Order, cursor: str) -> tuple[Any, str]:
    """The sort value and id in a cursor; raises BadRequest for one that is not of this list."""
    try:
        name, value, row_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(value, dict):
            value = datetime.fromisoformat(value["t"])
            value.astimezone()
    except (binascii.Error, ValueError, TypeError, KeyError) as error:
        raise BadRequest("the cursor is not one of ours: start again without it", code="bad_cursor") from error
    if name != order.name or not isinstance(row_id, str):
        raise BadRequest("the cursor belongs to a list in another order: start again without it", code="bad_cursor")
    return value, row_id


async def fetch_page(
    session: ReadSession,
    query: sa.Select[T],
    *,
    order: Order,
    page: PageRequest,
) -> tuple[Sequence[T], str | None]:
    """The rows of one page of `query` (which must have no ORDER BY) and the cursor of the next, None at the end."""
    column, key = order.column, order.id
    if page.cursor is not None:
        value, row_id = decode_cursor(order, page.cursor)
        past = column < value if order.descending else column > value
        tie = key < row_id if order.descending else key > row_id
        query = query.where(sa.or_(past, sa.and_(column == value, tie)))
    ends = (column.desc(), key.desc()) if order.descending else (column.asc(), key.asc())
    rows = (await session.scalars(query.order_by(*ends).limit(page.limit + 1))).all()
    if len(rows) <= page.limit:
        return rows, None
    rows = rows[: page.limit]
    last = rows[-1]
    return rows, encode_cursor(order, getattr(last, column.key), getattr(last, key.key))


def page_of(found: tuple[Sequence[T], str | None], show: Callable[[T], Out]) -> Page[Out]:
    """A page of schemas from what `fetch_page` found."""
    rows, following = found
    return Page(items=[show(row) for row in rows], next=following)
