"""How fast blocks become committed, judged history, and where the time goes: `python -m bench.ingest [--postgresql]`.

Blocks made beforehand go through the true processor, no broker in between: decoding, resolving, ledger, readings, one
transaction a batch. After each batch the centre's rules are brought up to it, with two made for this run that look at
every value: a limit for each device and the mean of the site; production's only look at UPS. Then all is rolled up.
CPU seconds are this process's; PostgreSQL spends its own beside them.
"""

import asyncio
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
import yaml
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.clock import ManualClock, from_ms, to_ms
from facility.ids import new_id
from facility.items import Series
from facility.wire import Kind, Verdict, block_topic, encode, pack
from rules.files import library, load_rules
from server.alarms.evaluate import LAG_MS, CentreRules
from server.alarms.models import Alarm
from server.alarms.service import AlarmService
from server.config import RetentionConfig, load_config
from server.db import migrate
from server.db.session import Database
from server.history.domain import open_database
from server.history.rolling import Roller, keep_of
from server.history.store import ReadingsBlock, Stored
from server.history.stores import SqlStore
from server.ingest import contents
from server.ingest.inbox import Message
from server.ingest.intake import Entry, read
from server.ingest.metrics import IngestMetrics
from server.ingest.processor import Processor
from tests.support.postgresql import Postgresql

SITE, AGENT = "bench", "edge1"
METRIC = "room.temperature"
STEP_MS = 10_000
START_MS = 1_790_000_000_000
PARTS = ("decode", "resolve, ledger", "history", "rules", "roll-up")
RULES = [
    {
        "id": "bench-hot", "title": {"en": "Hot", "zh": "过热"}, "metric": METRIC, "where": "centre",
        "levels": {"hi": {"limit": 35, "severity": "major"}}, "for": "30s", "clear_for": "30s",
        "source": "made for this measurement",
    },
    {
        "id": "bench-mean", "title": {"en": "Mean", "zh": "均值"}, "where": "centre",
        "metric": "room.temperature.average",
        "expression": {"over": "site", "signals": {"t": {"metric": METRIC, "missing": "ignore"}}, "value": "avg(t)"},
        "levels": {"hi": {"limit": 35, "severity": "major"}}, "for": "30s", "clear_for": "30s",
        "source": "made for this measurement",
    },
]  # fmt: skip
console = Console(width=140)


class Spent(Counter[str]):
    """CPU seconds by part."""

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        before = time.process_time()
        yield
        self[part] += time.process_time() - before  # type: ignore[assignment]  # seconds, not counts


class TimedStore(SqlStore):
    """The true store, its writing timed."""

    def __init__(self, db: Database, spent: Spent) -> None:
        super().__init__(db)
        self.spent = spent

    async def write(self, blocks: Sequence[ReadingsBlock], *, now_ms: int) -> list[Stored]:
        with self.spent.on("history"):
            return await super().write(blocks, now_ms=now_ms)


def block_of(stream: str, seq: int, *, points: int, samples: int) -> Message:
    """One block: the next `samples` of every point, 10 s apart; point 0 is hot."""
    first = START_MS + (seq - 1) * samples * STEP_MS
    at = [first + i * STEP_MS for i in range(samples)]
    items = [
        Series(f"p{p}", METRIC, at=at, value=[20.0 + 20 * (p == 0) + (p + i) % 50 / 10 for i in range(samples)])
        for p in range(points)
    ]
    payload = encode(stream=stream, seq=seq, kind=Kind.READINGS, body=pack(items))
    return Message(str(block_topic(SITE, AGENT, Kind.READINGS)), payload)


def catalog_of(stream: str, points: int) -> Message:
    devices = tuple(
        CatalogDevice(f"p{p}", "sensor", interval_s=10.0, points=(CatalogPoint(METRIC, interval_s=10.0),))
        for p in range(points)
    )
    payload = encode(stream=stream, seq=1_000_000, kind=Kind.CATALOG, body=pack([Catalog("bench", devices=devices)]))
    return Message(str(block_topic(SITE, AGENT, Kind.CATALOG)), payload)


async def measure(
    url: str, rules: Path, *, points: int, samples: int, values: int, batch: int
) -> tuple[int, float, Spent]:
    """(values, seconds, CPU seconds by part) with `batch` blocks in one transaction."""
    clock, spent = ManualClock(from_ms(START_MS)), Spent()
    config = load_config(overrides={"database_url": url}, environment={})
    await migrate.upgrade(config.url)
    db = Database(config.url)
    try:
        async with open_database(config, db) as history_db:
            store, keep, alarms = TimedStore(history_db, spent), keep_of(RetentionConfig()), AlarmService()
            centre = CentreRules(alarms, rules=load_rules([rules], over=library()), history=store)
            processor = Processor(
                db=db,
                history=store,
                alarms=alarms,
                clock=clock,
                metrics=IngestMetrics(CollectorRegistry()),
                keep=keep,
                auto_enrol_zone="UTC",
            )
            stream, count = new_id(START_MS), max(batch, values // (points * samples))

            async def judge() -> None:
                async with db.write() as session:
                    await centre.look(session, clock.now())

            await processor.take([catalog_of(stream, points)])
            await judge()
            sent = [block_of(stream, seq, points=points, samples=samples) for seq in range(1, count + 1)]
            with spent.on("decode"):  # once more by itself, to be taken off what the processor spends
                entries = [entry for message in sent if isinstance(entry := read(message), Entry)]
                assert all(contents.series_of(entry, now_ms=1 << 50)[0] for entry in entries)
            spent["resolve, ledger"] -= spent["decode"]
            taken, began = 0, time.perf_counter()
            for first in range(0, count, batch):
                newest = START_MS + min(first + batch, count) * samples * STEP_MS
                clock.advance((newest + LAG_MS - to_ms(clock.now())) / 1000)
                before = spent["history"]
                with spent.on("resolve, ledger"):
                    replies = await processor.take(sent[first : first + batch])
                spent["resolve, ledger"] -= spent["history"] - before
                for reply in replies:
                    assert reply.answer.verdict is Verdict.COMMITTED, reply.answer
                    assert not reply.answer.rejected, reply.answer
                    taken += points * samples
                with spent.on("rules"):
                    await judge()
            roller = Roller(history_db, keep)
            with spent.on("roll-up"):
                while await roller.roll(clock.now()):
                    pass
            seconds = time.perf_counter() - began
            async with db.read() as session:
                raised = await session.scalars(sa.select(Alarm.rule).where(Alarm.active))
                assert list(raised) == ["bench-hot"], "the rules did not judge"
    finally:
        await db.close()
    return taken, seconds, spent


def main(
    postgresql: Annotated[bool, typer.Option(help="Also on a PostgreSQL cluster made for this run.")] = False,
    points: int = 500,
    values: int = 200_000,
) -> None:
    title = f"ingest, coldaisle {version('coldaisle')}, Python {platform.python_version()}; CPU seconds a 10,000 values"
    table = Table("database", "block", "blocks at once", "values/s", *PARTS, "all", title=title)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rules = folder / "rules.yaml"
        rules.write_text(yaml.safe_dump({"version": 1, "rules": RULES}, allow_unicode=True))
        urls: dict[str, Callable[[], str]] = {"sqlite": lambda: f"sqlite:///{folder / new_id(0) / 'main.db'}"}
        if postgresql:
            cluster = Postgresql()
            stack.callback(cluster.dispose)
            cluster.start()
            urls["postgresql"] = cluster.new_database
        for name, url_of in urls.items():
            for samples, batch in ((1, 1), (1, 16), (6, 1), (6, 8)):
                taken, seconds, spent = asyncio.run(
                    measure(url_of(), rules, points=points, samples=samples, values=values, batch=batch)
                )
                parts = [10_000 * spent[part] / taken for part in PARTS]
                figures = (f"{taken / seconds:,.0f}", *(f"{part:.3f}" for part in (*parts, sum(parts))))
                table.add_row(name, f"{points} points x {samples}", str(batch), *figures)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
