"""A block that kills the process that takes it is found out, and is refused without being looked at."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt

from facility.clock import ManualClock
from facility.wire import RejectReason, Verdict
from server.ingest.flights import Flights
from server.ingest.inbox import Message
from server.ingest.intake import MOST_DEATHS
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, event
from tests.server.ingest.programs import ROOT, ServerProgram
from tests.server.ingest.wire_by_hand import Sender
from tests.support.mosquitto import Mosquitto
from tests.support.peers import until_async

# What stands for a fault in native code: the decoder ends the process when it meets a certain block.
KILLING = """
import os, signal
import facility.wire
def deadly(payload, decode=facility.wire.decode):
    block = decode(payload)
    if any(b"deadly" in item for item in block.items):
        os.kill(os.getpid(), signal.SIGKILL)
    return block
facility.wire.decode = deadly
"""


CLOCK = ManualClock(datetime(2026, 11, 1, tzinfo=UTC))


def messages(count: int) -> list[Message]:
    return [Message(f"t/{n}", b"header\n" + bytes([n])) for n in range(count)]


def dies_over(folder: Path, part: list[Message]) -> None:
    flights = Flights.open(folder, CLOCK)
    taking = flights.over(part)
    taking.__enter__()
    flights.close()  # by the kernel, while it is taken


def parts_of(flights: Flights, batch: list[Message]) -> list[list[tuple[str, int]]]:
    return [[(each.topic, each.deaths) for each in part] for part in flights.parts(batch)]


def test_who_was_there_at_a_death_is_taken_alone_until_it_is_known_not_to_be_it(tmp_path: Path) -> None:
    batch = messages(4)
    dies_over(tmp_path, batch[:3])
    flights = Flights.open(tmp_path, CLOCK)
    parts = list(flights.parts([batch[3], *batch[:3], batch[3]]))
    assert [[each.deaths for each in part] for part in parts] == [[0], [1], [1], [1], [0]]
    for part in parts[:2]:
        with flights.over(part):
            pass
    assert parts_of(flights, batch[:3]) == [[("t/0", 0)], [("t/1", 1)], [("t/2", 1)]]
    flights.close()
    dies_over(tmp_path, [batch[1]])
    flights = Flights.open(tmp_path, CLOCK)
    assert parts_of(flights, batch) == [[("t/0", 0)], [("t/1", 2)], [("t/2", 1)], [("t/3", 0)]]
    for part in flights.parts(batch):
        with flights.over(part):
            pass
    assert parts_of(flights, batch) == [[(f"t/{n}", 0) for n in range(4)]]
    flights.close()


def test_an_end_in_order_and_one_by_an_exception_kill_nobody(tmp_path: Path) -> None:
    batch = messages(2)
    flights = Flights.open(tmp_path, CLOCK)
    try:
        with flights.over(batch):
            raise RuntimeError("a fault of ours")
    except RuntimeError:
        flights.close()
    assert parts_of(Flights.open(tmp_path, CLOCK), batch) == [[("t/0", 0), ("t/1", 0)]]


def test_who_is_killed_while_it_waits_for_a_database_was_not_killed_by_the_block(tmp_path: Path) -> None:
    batch = messages(1)
    clock = ManualClock(datetime(2026, 11, 1, tzinfo=UTC))
    for life in range(MOST_DEATHS + 1):
        flights = Flights.open(tmp_path, clock)
        assert parts_of(flights, batch) == [[("t/0", min(life, 1))]]
        taking = flights.over(batch)
        taking.__enter__()
        clock.advance(61)
        flights.close()  # by the kernel


def test_each_worker_has_a_file_of_its_own_and_a_broken_one_says_nothing(tmp_path: Path) -> None:
    batch = messages(1)
    one, two = Flights.open(tmp_path, CLOCK), Flights.open(tmp_path, CLOCK)
    with one.over(batch), two.over([]):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ingest-0.flights", "ingest-1.flights"]
    for flights in (one, two):
        flights.close()
    (tmp_path / "ingest-0.flights").write_bytes(b'{"flying":["x"],"deaths":{"y":"\xff')
    flights = Flights.open(tmp_path, CLOCK)
    assert parts_of(flights, batch) == [[("t/0", 0)]]
    flights.close()
    nowhere = Flights.open(tmp_path / "not there", CLOCK)
    with nowhere.over(batch):
        assert parts_of(nowhere, batch) == [[("t/0", 0)]]


async def test_a_block_that_killed_is_refused_and_kept(station: Station) -> None:
    sender, _ = await station.catalogued()
    topic, payload, seq = sender.next("alarms", [event()])
    (reply,) = await station.processor.take([Message(topic, payload, deaths=MOST_DEATHS)])
    assert (reply.answer.seq, reply.answer.verdict, reply.answer.reason) == (
        seq, Verdict.REJECTED, RejectReason.POISON,
    )  # fmt: skip
    assert [row.reason for row in await station.quarantined()] == [RejectReason.POISON]
    assert station.sink.taken == []


async def test_a_block_that_kills_the_server_is_refused_after_three_deaths(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILLING)
    url = f"sqlite:///{tmp_path / 'main.db'}"
    server = ServerProgram(tmp_path, name="server", database_url=url, broker_port=mosquitto.port)
    server._environment["PYTHONPATH"] = f"{tmp_path}:{ROOT}"
    sender = Sender("site-a", "edge1")
    happened = {"id": "0190f3c0-0000-7000-8000-00000000000a", "at": AT, "kind": "trap", "device": "", "detail": {}}
    good, bad, also = (
        sender.next("events", [{**happened, "detail": {"what": what}}]) for what in ("good", "deadly", "also")
    )
    answers: dict[int, dict[str, str]] = {}
    deaths = 0
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        await client.subscribe("coldaisle/v1/site-a/edge1/answers", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                answers.update({each["seq"]: each for each in json.loads(message.payload)["answers"]})

        listening = asyncio.create_task(listen())
        try:
            while bad[2] not in answers and deaths < 10:
                await asyncio.to_thread(server.start)
                # As an agent does that got no answer; the first go nowhere while the server connects.
                for _ in range(50):
                    for topic, payload, seq in (good, bad, also):
                        if seq not in answers:
                            await client.publish(topic, payload, qos=1)
                    await asyncio.sleep(0.2)
                    if not server.alive or len(answers) == 3:
                        break
                deaths += not server.alive
            await until_async(lambda: len(answers) == 3, what="an answer to each block")
        finally:
            listening.cancel()
            server.stop()
    assert deaths == MOST_DEATHS
    assert (answers[bad[2]]["verdict"], answers[bad[2]]["reason"]) == ("rejected", "poison")
    assert [answers[seq]["verdict"] for seq in (good[2], also[2])] == ["committed", "committed"]
