"""A history database on both backends."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from facility.clock import to_ms
from server.config import load_config
from server.db.session import Database
from server.history.domain import open_database
from server.history.rolling import Keep, Roller
from server.history.rollup import Sample
from server.history.store import PointSamples, ReadingsBlock, Stored
from server.history.stores import SqlStore

START = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
T0 = to_ms(START)
KEEP = Keep(raw=timedelta(days=90), fine=timedelta(days=730), hours=timedelta(days=3650))
STREAM = "0190f3c0-0000-7000-8000-000000000000"


@dataclass
class Shelf:
    """A store with its roller, and one block after the other."""

    db: Database
    store: SqlStore
    roller: Roller
    seq: int = 0

    async def write(self, point: str, samples: list[Sample], *, hold: int = 15_000) -> Stored:
        self.seq += 1
        columns = PointSamples(
            point, hold, [s.at for s in samples], [s.value for s in samples], [s.quality for s in samples]
        )
        block = ReadingsBlock("agent", STREAM, self.seq, f"{self.seq:032x}", [columns])
        (outcome,) = await self.store.write([block], now_ms=T0)
        return outcome

    async def roll(self, now: datetime) -> None:
        """Until nothing is left to do."""
        while await self.roller.roll(now):
            pass


@pytest.fixture
async def shelf(database_url: str) -> AsyncIterator[Shelf]:
    config = load_config(overrides={"database_url": database_url}, environment={})
    main = Database(config.url)
    try:
        async with open_database(config, main) as db:
            yield Shelf(db, SqlStore(db), Roller(db, KEEP))
    finally:
        await main.close()
