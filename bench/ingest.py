"""How fast blocks become committed history: `python -m bench.ingest [--postgresql]`.

Blocks made beforehand go through the true processor, no broker in between: decoding, resolving, ledger, readings, one
transaction a batch. CPU seconds are this process's; PostgreSQL spends its own beside them.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.clock import SystemClock, now_ms
from facility.ids import new_id
from facility.items import Series
from facility.wire import Kind, Verdict, block_topic, encode, pack
from server.alarms.service import AlarmService
from server.config import RetentionConfig, load_config
from server.db import migrate
from server.db.session import Database
from server.history.domain import open_database
from server.history.rolling import Roller, keep_of
from server.history.stores import SqlStore
from server.ingest.inbox import Message
from server.ingest.metrics import IngestMetrics
from server.ingest.processor import Processor
from tests.support.postgresql import Postgresql

SITE, AGENT = "bench", "edge1"
METRIC = "room.temperature"
console = Console()


def block_of(stream: str, seq: int, *, points: int, samples: int, start_ms: int) -> Message:
    """One block: the next `samples` of every point, 10 s apart."""
    first = start_ms + (seq - 1) * samples * 10_000
    at = [first + i * 10_000 for i in range(samples)]
    items = [
        Series(f"p{p}", METRIC, at=at, value=[20.0 + (p + i) % 50 / 10 for i in range(samples)]) for p in range(points)
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


async def measure(url: str, *, points: int, samples: int, values: int, batch: int) -> tuple[float, float, float, float]:
    """(values/s, CPU seconds per 10,000 values, the same two of rolling up) with `batch` blocks in one transaction."""
    clock = SystemClock(asyncio.sleep)
    config = load_config(overrides={"database_url": url}, environment={})
    await migrate.upgrade(config.url)
    db = Database(config.url)
    try:
        async with open_database(config, db) as history_db:
            store, keep = SqlStore(history_db), keep_of(RetentionConfig())
            processor = Processor(
                db=db,
                history=store,
                alarms=AlarmService(),
                clock=clock,
                metrics=IngestMetrics(CollectorRegistry()),
                keep=keep,
                auto_enrol_zone="UTC",
            )
            now = now_ms(clock)
            stream, count = new_id(now), max(batch, values // (points * samples))
            start = now - count * samples * 10_000 - 3_600_000
            await processor.take([catalog_of(stream, points)])
            sent = [
                block_of(stream, seq, points=points, samples=samples, start_ms=start) for seq in range(1, count + 1)
            ]
            taken = 0
            began, cpu = time.perf_counter(), time.process_time()
            for first in range(0, count, batch):
                for reply in await processor.take(sent[first : first + batch]):
                    assert reply.answer.verdict is Verdict.COMMITTED, reply.answer
                    assert not reply.answer.rejected, reply.answer
                    taken += points * samples
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            roller = Roller(history_db, keep)
            began, roll_cpu = time.perf_counter(), time.process_time()
            while await roller.roll(clock.now()):
                pass
            rolling, roll_cpu = time.perf_counter() - began, time.process_time() - roll_cpu
    finally:
        await db.close()
    return taken / seconds, cpu / taken * 10_000, taken / rolling, roll_cpu / taken * 10_000


def main(
    postgresql: Annotated[bool, typer.Option(help="Also on a PostgreSQL cluster made for this run.")] = False,
    points: int = 500,
    values: int = 200_000,
) -> None:
    head = ("database", "block", "blocks a transaction", "values/s", "CPU s/10k", "rolled up/s", "CPU s/10k")
    table = Table(*head, title="ingest")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls: dict[str, Callable[[], str]] = {"sqlite": lambda: f"sqlite:///{folder / new_id(0) / 'main.db'}"}
        if postgresql:
            cluster = Postgresql()
            stack.callback(cluster.dispose)
            cluster.start()
            urls["postgresql"] = cluster.new_database
        for name, url_of in urls.items():
            for samples, batch in ((1, 1), (1, 16), (6, 1), (6, 8)):
                figures = asyncio.run(measure(url_of(), points=points, samples=samples, values=values, batch=batch))
                rate, cpu, rolled, roll_cpu = figures
                speeds = (f"{rate:,.0f}", f"{cpu:.3f}", f"{rolled:,.0f}", f"{roll_cpu:.3f}")
                table.add_row(name, f"{points} points x {samples}", str(batch), *speeds)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
