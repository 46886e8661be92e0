"""Monthly partitions of readings on PostgreSQL: made on demand and ahead, dropped when wholly out of retention.

A partition is made as a table of its own and attached: ATTACH lets inserts into the others go on, where
CREATE ... PARTITION OF would wait for every running one.
"""

from datetime import UTC, datetime

import sqlalchemy as sa

from facility.clock import from_ms, to_ms
from server.db.session import Database

# Serialises the makers of partitions over all processes; the number is arbitrary and only has to be ours.
_LOCK = 0x636F6C70
TABLE = "history_readings"


def month_of(at_ms: int) -> tuple[int, int]:
    at = from_ms(at_ms)
    return at.year, at.month


def bounds(month: tuple[int, int]) -> tuple[int, int]:
    """First millisecond of the month and of the next."""
    year, number = month
    following = (year + number // 12, number % 12 + 1)
    return to_ms(datetime(year, number, 1, tzinfo=UTC)), to_ms(datetime(*following, 1, tzinfo=UTC))


def name_of(month: tuple[int, int]) -> str:
    return f"{TABLE}_{month[0]:04d}_{month[1]:02d}"


class Partitions:
    """Knows which months exist, so that asking again costs nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: set[tuple[int, int]] = set()

    async def ensure(self, months: set[tuple[int, int]]) -> None:
        """Make what is missing, in a transaction of its own that is committed when this returns."""
        if self._db.dialect == "sqlite":
            return
        for month in sorted(months - self._known):
            await self._make(month)
            self._known.add(month)

    async def _make(self, month: tuple[int, int]) -> None:
        name = name_of(month)
        first, end = bounds(month)
        async with self._db.write() as session:
            await session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            if await session.scalar(sa.select(sa.func.to_regclass(name))) is not None:
                return
            await session.execute(sa.text(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING ALL)"))
            await session.execute(
                sa.text(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})")
            )

    async def drop_before(self, cutoff_ms: int) -> list[str]:
        """Drop the partitions that end at or before the cutoff; returns their names."""
        dropped: list[str] = []
        async with self._db.write() as session:
            await session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            query = sa.text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:parent)")
            for name in (await session.scalars(query, {"parent": TABLE})).all():
                year, number = (int(part) for part in name.rsplit("_", 2)[1:])
                if bounds((year, number))[1] <= cutoff_ms:
                    await session.execute(sa.text(f"DROP TABLE {name}"))
                    self._known.discard((year, number))
                    dropped.append(name)
        return dropped
