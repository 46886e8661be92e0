"""The clock guard, the live table, the little HTTP server, the service manager, log lines."""

import asyncio
import ctypes
import logging
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from agent.guard import MAX_UNDATED, ClockGuard, ClockVerdict, OrderedIds, verdict
from agent.http import MAX_REQUEST, HttpServer, Page
from agent.journal.eviction import DropReason
from agent.journal.taken import MAX_ITEMS, MAX_TAKEN, RULES_BYTES_S, RULES_EVERY_S, Taken
from agent.journal.tally import Tally
from agent.kernel_clock import clock_is_kept
from agent.live import LiveTable
from agent.logs import KeyValueFormatter
from agent.service import ServiceManager
from agent.throttle import AGAIN_S, MOST_WORDS, Throttle
from collectors.exchange import PollOutcome, PollProblem
from facility.clock import now_ms
from facility.ids import made_at, new_id
from facility.items import AHEAD_MS, EARLIEST_MS
from facility.reading import Quality, QualityReason, Reading
from facility.wire import Kind
from tests.agent.journals import manual_clock
from tests.agent.notify.making import event

NOW = now_ms(manual_clock())


def taken(at: int, value: float = 21.0) -> Reading:
    return Reading("t-1", "room.temperature", "", value, at)


@pytest.mark.parametrize(
    ("at", "found"),
    [
        (EARLIEST_MS - 1, ClockVerdict.TOO_EARLY),
        (EARLIEST_MS, ClockVerdict.BELIEVABLE),
        (NOW + AHEAD_MS, ClockVerdict.BELIEVABLE),
        (NOW + AHEAD_MS + 1, ClockVerdict.TOO_FAR_AHEAD),
    ],
)
def test_what_a_clock_can_say(at: int, found: ClockVerdict) -> None:
    assert verdict(at, NOW) is found


def test_readings_of_1970_are_held_and_moved_with_the_clock() -> None:
    guard = ClockGuard(lambda _: None)
    found = guard.judge([taken(5_000), taken(6_000)], 6_000)
    assert found.stored == []
    assert [each.taken_at for each in found.judged] == [5_000, 6_000], "the rules judge by any clock that runs"
    assert guard.held == 2
    first, second = guard.stepped(NOW - 6_000, NOW)
    assert (first.taken_at, second.taken_at) == (NOW - 1_000, NOW)
    assert {(each.quality, each.reason) for each in (first, second)} == {(Quality.UNCERTAIN, QualityReason.CLOCK)}
    assert guard.held == 0


def test_readings_of_the_future_wait_until_it_comes() -> None:
    guard = ClockGuard(lambda _: None)
    ahead = NOW + 2 * AHEAD_MS
    found = guard.judge([taken(ahead)], NOW)
    assert (found.stored, found.judged) == ([], [])
    assert guard.judge([], NOW + AHEAD_MS).stored[0].taken_at == ahead


def test_what_is_held_is_bounded_and_counted() -> None:
    lost: list[int] = []
    guard = ClockGuard(lost.append, max_held=3)
    guard.judge([taken(at) for at in range(1, 6)], 10)
    assert (guard.held, sum(lost)) == (3, 2)


def test_alarm_events_without_a_time_are_bounded_and_counted() -> None:
    lost: list[int] = []
    guard = ClockGuard(lost.append)
    guard.date([event(at=at) for at in range(MAX_UNDATED)])
    assert not lost
    guard.date([event(at=MAX_UNDATED), event(at=NOW)])
    assert (guard.undated, sum(lost)) == (MAX_UNDATED, 1), "what has a time waits for nothing"


def test_the_same_word_is_said_each_ten_minutes() -> None:
    throttle = Throttle()
    assert throttle.may_say(("evicted", "too_old"), 0.0)
    assert not throttle.may_say(("evicted", "too_old"), AGAIN_S - 1)
    assert throttle.may_say(("evicted", "journal_full"), AGAIN_S - 1)
    assert throttle.may_say(("evicted", "too_old"), AGAIN_S)
    for number in range(MOST_WORDS):
        assert throttle.may_say(("another", str(number)), AGAIN_S), "bounded, and none is kept from being said"


def outcome(problem: PollProblem | None = None) -> PollOutcome:
    return PollOutcome("t-1", NOW, 0.1, 1, (), problem, "no answer" if problem else "")


def test_a_value_ends_with_its_device_its_quality_or_its_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    table = LiveTable()
    table.configure({"t-1": 10.0})
    table.keep(outcome(), [taken(NOW)])
    assert [reading.value for _, reading in table.living(NOW + 30_000)] == [21.0]
    assert list(table.living(NOW + 30_001)) == []
    bad = Reading("t-1", "room.temperature", "", None, NOW + 1, Quality.BAD, QualityReason.SENTINEL)
    table.keep(outcome(), [bad])
    assert list(table.living(NOW)) == []
    table.keep(outcome(), [taken(NOW)])
    for _ in range(1000):
        table.keep(outcome(PollProblem.TIMEOUT), [])
    assert list(table.living(NOW)) == []
    assert table.lost == 1
    table.keep(outcome(), [taken(NOW)])
    assert table.lost == 0
    # Said once when it broke and once when it healed.
    said = [record.levelname for record in caplog.records if record.levelno >= logging.INFO]
    assert said == ["WARNING", "INFO"]


def test_a_device_that_was_not_asked_stays_what_it_was() -> None:
    table = LiveTable()
    table.configure({"t-1": 10.0})
    table.keep(outcome(), [taken(NOW)])
    table.keep(outcome(PollProblem.HELD_BACK), [])
    assert [reading.value for _, reading in table.living(NOW)] == [21.0]
    assert table.lost == 0
    table.keep(outcome(PollProblem.TIMEOUT), [])
    table.keep(outcome(PollProblem.HELD_BACK), [])
    assert (table.lost, table.devices["t-1"].problem) == (1, PollProblem.TIMEOUT)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    def broken() -> Page:
        raise RuntimeError("a fault of our own")

    server = HttpServer("127.0.0.1", 0, {"/metrics": lambda: Page(b"up 1\n"), "/broken": broken})
    await server.start()
    yield server
    await server.close()


async def test_pages_of_the_http_server(server: HttpServer) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        good = await client.get("/metrics?x=1")
        assert (good.status_code, good.text) == (200, "up 1\n")
        head = await client.head("/metrics")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
        assert (await client.get("/etc/passwd")).status_code == 404
        refused = await client.post("/metrics", content=b"x")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * (MAX_REQUEST + 1) + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_request(server: HttpServer, sent: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    line = await asyncio.wait_for(reader.readline(), 5)
    assert line.split(b" ")[1] == status
    writer.close()


async def test_systemd_is_told_over_its_socket(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
        assert service.watchdog_s == 15.0
        assert service.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
    assert not service.notify("WATCHDOG=1"), "nobody listens any more"
    alone = ServiceManager({})
    assert not alone.notify("READY=1")
    assert alone.watchdog_s == 0.0
    assert ServiceManager({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_s == 0.0


def test_a_log_line_is_one_line() -> None:
    record = logging.LogRecord("agent.live", logging.WARNING, "", 0, "device does not answer", None, None)
    record.device, record.detail = "ups-1", "two\nlines"
    line = KeyValueFormatter().format(record)
    assert line.endswith("WARNING agent.live: device does not answer device=ups-1 detail='two\\nlines'")


@pytest.mark.parametrize(("size", "seldom_s"), [(1000, RULES_EVERY_S), (12_000_000, 12_000_000 / RULES_BYTES_S)])
def test_a_large_rule_state_is_saved_as_seldom_as_its_bytes_cost(size: int, seldom_s: float) -> None:
    held, asked, now = Taken(Tally()), [], 0.0

    def rules() -> bytes:
        asked.append(now)
        return bytes(size)

    held.rules = rules
    for second in range(500):
        now = float(second)
        held.drain(readings=True, now=now)
    assert asked[:3] == [0.0, seldom_s, 2 * seldom_s]
    # An alarm is never without the state that goes with it.
    before = len(asked)
    held.append(Kind.ALARMS, ["an item"], at=0, now=now)
    held.drain(readings=False, now=now)
    assert len(asked) == before + 1


def test_what_waits_for_a_disk_that_hangs_is_bounded_and_alarms_go_last() -> None:
    tally = Tally()
    held = Taken(tally)
    for at in range(MAX_ITEMS):
        kind = Kind.ALARMS if at % 2 else Kind.EVENTS
        held.append(kind, [event(at=at)], at=at, now=0.0)
        held.append(Kind.HEALTH, ["health"], at=at, now=0.0)
    held.take([taken(1)])
    held.append_catalog("catalog", "names", at=1)
    held.append(Kind.EVENTS, [event(at=1)] * 1_000, at=1, now=0.0)
    kept = Counter[Kind]()
    for draft in held.drain(readings=True, now=0.0):
        kept[draft.kind] += len(draft.items)
    assert kept[Kind.ALARMS] == MAX_ITEMS // 2, "all of them"
    assert (kept[Kind.READINGS], kept[Kind.CATALOG], kept[Kind.HEALTH]) == (1, 1, 0)
    assert MAX_ITEMS * 0.9 < kept[Kind.ALARMS] + kept[Kind.EVENTS] <= MAX_ITEMS
    assert kept.total() + tally.drops[DropReason.MEMORY_FULL] == 2 * MAX_ITEMS + 1_000 + 2
    before = dict(tally.drops)
    held.append(Kind.EVENTS, ["one more"], at=2, now=0.0)
    assert tally.drops == before


def test_readings_that_a_new_catalog_cut_off_count_to_what_waits() -> None:
    tally = Tally()
    held = Taken(tally)
    for names in ("one", "two"):
        held.take([taken(at) for at in range(MAX_TAKEN // 2)])
        held.append_catalog("catalog", names, at=1)
    held.take([taken(1), taken(2)])
    assert tally.drops == {DropReason.MEMORY_FULL: 2}
    held.drain(readings=True, now=0.0)
    held.take([taken(3)])
    assert tally.drops == {DropReason.MEMORY_FULL: 2}


def test_an_alarm_waits_from_when_it_was_taken_until_a_commit_has_ended() -> None:
    tally, since = Tally(), list[float | None]()
    held = Taken(tally)
    held.append(Kind.EVENTS, [event()], at=1, now=1.0)
    since.append(tally.alarms_since)
    for now in (2.0, 3.0):
        held.append(Kind.ALARMS, [event()], at=1, now=now)
    held.drain(readings=False, now=4.0)
    held.append(Kind.ALARMS, [event()], at=1, now=5.0)  # behind those on their way to the disk
    since.append(tally.alarms_since)
    held.committed()
    since.append(tally.alarms_since)
    held.drain(readings=False, now=6.0)
    held.committed()
    since.append(tally.alarms_since)
    assert since == [None, 2.0, 5.0, None]


def test_whether_the_clock_is_kept_is_what_the_kernel_says() -> None:
    """The other half of the answer says it too: STA_UNSYNC, and STA_CLOCKERR, of the status in `struct timex`."""
    libc = ctypes.CDLL(None)
    told = ctypes.create_string_buffer(1024)
    libc.adjtimex(told)
    (status,) = struct.unpack_from("@i", told, struct.calcsize("@illlli") - 4)
    assert clock_is_kept() is not bool(status & (0x0040 | 0x1000))


def test_ids_are_in_the_order_they_were_made_whatever_the_clock_does() -> None:
    ids = OrderedIds(new_id)
    made = [ids(at) for at in (NOW, NOW, NOW - 3_600_000, 5_000, NOW + 9, NOW)]
    ids.follow(NOW + 60_000, NOW - 60_000)
    made += [ids(NOW + 20), ids(NOW + 70_000)]
    assert made == sorted(made)
    assert made_at(made[-1]) == NOW + 70_000
