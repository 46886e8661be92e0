"""Column types that mean the same on SQLite and PostgreSQL. Migrations may import this module and no other of ours."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

ID_LENGTH = 36  # canonical text of a UUID
ENUM_LENGTH = 32
# 2026-11-23T09:04:39.123456Z: fixed width, so that text order is time order.
_SQLITE_TIME_LENGTH = 27


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in, an aware UTC datetime out; raises ValueError for a naive one.

    PostgreSQL keeps `timestamptz`, SQLite a fixed-width text whose order is the order of time.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(_SQLITE_TIME_LENGTH))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value!r}: times are aware, UTC")
        utc = value.astimezone(UTC)
        if dialect.name != "sqlite":
            return utc
        return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return datetime.fromisoformat(value)
        at: datetime = value
        return at.astimezone(UTC)


def str_enum(kind: type[StrEnum], name: str) -> sa.Enum:
    """The type of a StrEnum column called `name`: text of at most 32 characters with a CHECK over the values."""
    return sa.Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=ENUM_LENGTH,
        values_callable=lambda members: [str(member.value) for member in members],
    )


def one_of(column: str, values: Iterable[str]) -> sa.CheckConstraint:
    """What `str_enum` gives a table, written out for a migration: CHECK (column IN (values))."""
    quoted = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({quoted})", name=column)


def json_type() -> TypeEngine[Any]:
    """JSON text on SQLite, JSONB on PostgreSQL; Python None is SQL NULL."""
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
