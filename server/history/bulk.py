"""Many rows at once, past the ORM: executemany on SQLite, one statement over arrays on PostgreSQL.

Measured here: asyncpg with unnest and ON CONFLICT 178,000 rows/s, COPY into the clustered key 272,000; unnest needs no
temporary table and is idempotent by itself, so it is taken. SQLite executemany: 55,000 to 246,000 by transaction size.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from server.db.session import ReadSession

Row = Sequence[Any]


async def connection(session: ReadSession) -> AsyncConnection:
    return await session.connection()


def is_sqlite(link: AsyncConnection) -> bool:
    return link.dialect.name == "sqlite"


async def insert(link: AsyncConnection, table: str, types: str, rows: Sequence[Row], *, replace: str = "") -> None:
    """Insert rows; one whose key exists is left as it is, or updated when `replace` names the key columns.

    types: columns with their PostgreSQL types, such as "series int, at bigint".
    """
    if not rows:
        return
    pairs = [column.split() for column in types.split(", ")]
    names = ", ".join(name for name, _ in pairs)
    if replace:
        keys = replace.split(", ")
        others = ", ".join(f"{name} = excluded.{name}" for name, _ in pairs if name not in keys)
        conflict = f"ON CONFLICT ({replace}) DO UPDATE SET {others}"
    else:
        conflict = "ON CONFLICT DO NOTHING"
    if is_sqlite(link):
        marks = ", ".join("?" for _ in pairs)
        await link.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict}", list(map(tuple, rows)))
        return
    arrays = ", ".join(f"${position}::{kind}[]" for position, (_, kind) in enumerate(pairs, 1))
    await _execute(link, f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {conflict}", rows)


async def update_series(link: AsyncConnection, types: str, rows: Sequence[Row]) -> None:
    """Set columns of history_series by id; `types` without the id, which stands last in each row."""
    if not rows:
        return
    pairs = [column.split() for column in types.split(", ")]
    if is_sqlite(link):
        sets = ", ".join(f"{name} = ?" for name, _ in pairs)
        await link.exec_driver_sql(f"UPDATE history_series SET {sets} WHERE id = ?", list(map(tuple, rows)))
        return
    sets = ", ".join(f"{name} = new.{name}" for name, _ in pairs)
    arrays = ", ".join(f"${position}::{kind}[]" for position, (_, kind) in enumerate([*pairs, ("id", "int")], 1))
    names = ", ".join([*(name for name, _ in pairs), "id"])
    statement = (
        f"UPDATE history_series SET {sets} FROM unnest({arrays}) AS new({names}) WHERE history_series.id = new.id"
    )
    await _execute(link, statement, rows)


async def _execute(link: AsyncConnection, statement: str, rows: Sequence[Row]) -> None:
    # The driver's transaction begins with SQLAlchemy's first statement; the raw connection must find it open.
    await link.execute(sa.text("SELECT 1"))
    raw = (await link.get_raw_connection()).driver_connection
    assert raw is not None
    try:
        await raw.execute(statement, *(list(column) for column in zip(*rows, strict=True)))
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise sa.exc.DataError(statement, None, error) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise sa.exc.OperationalError(statement, None, error) from error


def among(column: str, link: AsyncConnection, name: str) -> str:
    """`column` is one of the list bound to `name`: one parameter however long the list."""
    if is_sqlite(link):
        return f"{column} IN (SELECT value FROM json_each(:{name}))"
    return f"{column} = ANY(:{name})"
