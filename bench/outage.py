"""Three days without the centre, on virtual time: `python -m bench.outage [--hours 72 --rate 20]`.

The true journal and uplink on the virtual-time loop; in place of broker and centre a link of 200 ms to and fro that
can be cut, and a ledger that reads blocks with json and zlib alone and answers them. Value n of a point is n, so every
reading is known to the ledger. Reports loss, doubles, what came wrong, how late live readings are after the return,
what came first, and at how many times the rated load the backlog drained. Exits with 1 if anything is lost, doubled or
wrong, if old readings come before events, or if the backlog does not drain. Without options: 72 h at 20 values/s, then
2 h at 600.
"""

import asyncio
import json
import logging
import platform
import tempfile
import time
import zlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import aiomqtt
import typer
from rich.console import Console
from rich.table import Table

import agent.uplink
from agent.broker import Broker
from agent.config import Uplink as UplinkConfig
from agent.figures import Figures
from agent.journal import InlineOffload, Journal, Store
from agent.uplink import Uplink
from facility.clock import SystemClock, from_ms, now_ms
from facility.ids import new_id
from facility.items import EventItem, EventKind
from facility.reading import Reading
from facility.wire import Kind
from tests.server.ingest.wire_by_hand import digest
from tests.support.virtual_loop import run_virtual

console = Console(width=140)
START = from_ms(1_790_000_000_000)
# Half of the way there and back, and what the centre takes to commit a block.
HALF_WAY_S = 0.1
COMMIT_S = 0.02
# Before the cut and after the backlog is gone.
AROUND_S = 120
# An alarm-like item each so many seconds; events go as alarms do, ahead of readings.
EVENT_EVERY_S = 600


@dataclass
class Ledger:
    """What arrived. seen: per point, how often each value came.

    fed_at: the time of each value, by the feeder. wrong: other content under a name that was there, a digest that is
    not the body's, a value at another time than its own.
    """

    seen: list[bytearray]
    clock: SystemClock
    fed_at: list[int] = field(default_factory=list)
    fed_events: set[str] = field(default_factory=set)
    events: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    returned_at: float | None = None
    connected_at: float | None = None
    readings: int = 0
    twice: int = 0
    blocks: dict[tuple[str, int], str] = field(default_factory=dict)
    old_left: int = 0
    drained_at: float | None = None
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    latencies: list[float] = field(default_factory=list)
    first_old_reading: float | None = None
    last_old_event: float | None = None

    def take(self, topic: str, payload: bytes) -> tuple[str, bytes]:
        """Read a block; the answer and its topic."""
        line, _, body = payload.partition(b"\n")
        header = json.loads(line)
        name = (header["stream"], header["seq"])
        again = name in self.blocks
        found = digest(header["kind"], header.get("catalog", ""), body)
        self.wrong += header["digest"] != found or self.blocks.setdefault(name, found) != found
        if not again:
            items = json.loads(zlib.decompress(body))
            if header["kind"] == "readings":
                self._readings(items)
            elif header["kind"] == "events":
                self.events.update(item["id"] for item in items)
                if self._old(items[0]["at"]):
                    self.last_old_event = self.clock.monotonic()
        answer = {"stream": name[0], "seq": name[1], "verdict": "committed"}
        return topic.rsplit("/blocks/", 1)[0] + "/answers", json.dumps({"v": 1, "answers": [answer]}).encode()

    def _old(self, at: int) -> bool:
        return self.returned_at is not None and (at - 1_790_000_000_000) / 1000 < self.returned_at

    def _readings(self, items: list[Any]) -> None:
        now = self.clock.monotonic()
        newest = max(series["at"][-1] for series in items)
        old = self._old(newest)
        for series in items:
            row = self.seen[int(series["subject"].rpartition("/")[2])]
            for at, value in zip(series["at"], series["value"], strict=True):
                self.readings += 1
                self.wrong += at != self.fed_at[int(value)]
                self.twice += row[int(value)]
                row[int(value)] = 1
                self.old_left -= old
        if old:
            self.first_old_reading = self.first_old_reading or now
            if self.old_left <= 0 and self.drained_at is None:
                self.drained_at = now
                self.drained.set()
        elif self.connected_at is not None and newest > self.connected_at * 1000 + 1_790_000_000_000:
            self.latencies.append(now - (newest - 1_790_000_000_000) / 1000)


@dataclass
class Link:
    """The way to the ledger; while it is down connecting fails and every session ends."""

    ledger: Ledger
    up: bool = True
    sessions: set["Client"] = field(default_factory=set)
    sent_bytes: int = 0

    def cut(self) -> None:
        self.up = False
        for session in list(self.sessions):
            session.end()


class Client:
    """As much of `aiomqtt.Client` as the uplink uses."""

    link: Link

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.pending_calls_threshold = 0
        self._incoming: deque[SimpleNamespace] = deque()
        self._wake = asyncio.Event()
        self._ended = False

    async def __aenter__(self) -> "Client":
        await asyncio.sleep(HALF_WAY_S)
        self._check()
        self.link.sessions.add(self)
        ledger = self.link.ledger
        if ledger.returned_at is not None and ledger.connected_at is None:
            ledger.connected_at = ledger.clock.monotonic()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.link.sessions.discard(self)

    def _check(self) -> None:
        if not self.link.up or self._ended:
            raise aiomqtt.MqttError("no link")

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def subscribe(self, topic: str, qos: int) -> None:
        self._check()

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False, timeout: float = 0) -> None:
        self._check()
        self.link.sent_bytes += len(payload)
        await asyncio.sleep(HALF_WAY_S)
        self._check()
        if "/blocks/" in topic:
            asyncio.get_running_loop().call_later(COMMIT_S, self._commit, topic, payload)
        await asyncio.sleep(HALF_WAY_S)
        self._check()

    def _commit(self, topic: str, payload: bytes) -> None:
        topic, answer = self.link.ledger.take(topic, payload)
        asyncio.get_running_loop().call_later(HALF_WAY_S, self._deliver, SimpleNamespace(topic=topic, payload=answer))

    def _deliver(self, message: SimpleNamespace) -> None:
        if not self._ended:
            self._incoming.append(message)
            self._wake.set()

    @property
    async def messages(self) -> AsyncIterator[SimpleNamespace]:
        while True:
            while self._incoming:
                yield self._incoming.popleft()
            if self._ended:
                raise aiomqtt.MqttError("the link was cut")
            self._wake.clear()
            await self._wake.wait()


class _Unheard:
    def connected(self) -> None: ...

    def say_health(self) -> None: ...

    def publish_catalog(self) -> None: ...

    def notice(self, what: str, detail: dict[str, str]) -> None: ...


async def feed(journal: Journal, clock: SystemClock, ledger: Ledger, points: int, going: Callable[[], bool]) -> int:
    """A reading of every point each second; an event each ten minutes. Returns the seconds fed."""
    n = 0
    while going():
        await asyncio.sleep(1.0)
        at = now_ms(clock)
        ledger.fed_at.append(at)
        for row in ledger.seen:
            row.append(0)
        journal.take([Reading("unit-1", "room.temperature", f"probe/{i}", float(n), at) for i in range(points)])
        if n % EVENT_EVERY_S == 0:
            event = EventItem(new_id(at), at, EventKind.JOURNAL)
            ledger.fed_events.add(event.id)
            journal.append(Kind.EVENTS, [event], at=at)
        n += 1
    return n


async def measure(folder: Path, hours: float, rate: int, backlog_rate: float) -> tuple[dict[str, object], bool]:
    """The figures, and whether everything arrived once and as it was."""
    loop = asyncio.get_running_loop()
    clock = SystemClock(asyncio.sleep, monotonic=loop.time, wall=lambda: START)
    store = Store(folder / "journal.db", max_bytes=8 << 30, max_age_ms=30 * 86_400_000)
    journal = Journal(store, clock=clock, offload=InlineOffload(), new_id=new_id)
    await journal.open()
    ledger = Ledger([bytearray() for _ in range(rate)], clock)
    link = Client.link = Link(ledger)
    fake = SimpleNamespace(Client=Client, MqttError=aiomqtt.MqttError, Will=aiomqtt.Will)
    setattr(agent.uplink, "aiomqtt", fake)  # noqa: B010
    uplink = Uplink(
        Broker("nowhere", 1883), site="s1", agent="edge-1", version="bench", journal=journal, figures=Figures(),
        reports=_Unheard(), clock=clock, backlog_rate=backlog_rate,
    )  # fmt: skip
    feeding = True
    feeder = asyncio.create_task(feed(journal, clock, ledger, rate, lambda: feeding))
    running = [asyncio.create_task(journal.run()), asyncio.create_task(uplink.run())]
    await asyncio.sleep(AROUND_S)
    link.cut()
    arrived = ledger.readings
    await asyncio.sleep(hours * 3600)
    ledger.returned_at = loop.time()
    backlog = ledger.old_left = len(ledger.seen[0]) * rate - arrived
    link.up = True
    used = journal.stats().used_bytes
    with suppress(TimeoutError):
        async with asyncio.timeout(hours * 3600):
            await ledger.drained.wait()
    await asyncio.sleep(AROUND_S)
    feeding = False
    seconds = await feeder
    await asyncio.sleep(10)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await journal.close()
    drained = (ledger.drained_at or float("inf")) - ledger.returned_at
    events_first = (ledger.last_old_event or float("inf")) <= (ledger.first_old_reading or 0.0)
    late = sorted(ledger.latencies)
    lost = seconds * rate - sum(sum(row) for row in ledger.seen)
    events_lost = len(ledger.fed_events - ledger.events.keys())
    events_twice = ledger.events.total() - len(ledger.events)
    faultless = not (lost or ledger.twice or ledger.wrong or events_lost or events_twice)
    return {
        "outage": f"{hours:g} h at {rate} values/s",
        "lost": f"{lost}, events {events_lost}",
        "twice": f"{ledger.twice}, events {events_twice}",
        "wrong": ledger.wrong,
        "connected after s": f"{(ledger.connected_at or float('inf')) - ledger.returned_at:.1f}",
        "live late s (median, most)": f"{late[len(late) // 2]:.1f}, {late[-1]:.1f}",
        "events before old readings": "yes" if events_first else "no",
        "drained after": f"{drained / 60:.1f} min",
        "times the rated load": f"{backlog / drained / rate:.1f}",
        "journal at return": f"{used / 1e6:.0f} MB, {used / backlog:.1f} B/value",
    }, faultless and ledger.drained_at is not None and events_first


def main(
    hours: Annotated[float | None, typer.Option(help="One outage of so many hours.")] = None,
    rate: Annotated[int, typer.Option(help="Values a second, with --hours.")] = 20,
    backlog_rate: float = UplinkConfig.model_fields["backlog_rate"].default,
) -> None:
    logging.disable()
    runs = [(72.0, 20), (2.0, 600)] if hours is None else [(hours, rate)]
    table: Table | None = None
    well = True
    for each, values in runs:
        began, cpu = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory(prefix="coldaisle-outage-") as folder:
            found, good = run_virtual(measure(Path(folder), each, values, backlog_rate))
        well = well and good
        found["seconds, CPU seconds"] = f"{time.perf_counter() - began:.0f}, {time.process_time() - cpu:.0f}"
        if table is None:
            programs = f"coldaisle {version('coldaisle')}, Python {platform.python_version()}"
            table = Table(*found, title=f"{programs}, backlog_rate {backlog_rate:g}")
        table.add_row(*map(str, found.values()))
    assert table is not None
    console.print(table)
    if not well:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
