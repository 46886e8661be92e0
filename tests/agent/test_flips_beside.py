"""One bit flipped in what the agent reads at its start beside the blocks: what rules knew, notices, what was learnt.

No flip stops a start; what cannot be read is said once with its reason, and what can be is kept.
"""

import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.figures import Figures
from agent.journal import InlineOffload, glimpse
from agent.learnt import LearntFile, write
from agent.notify.local import Channel, LocalNotices
from agent.notify.policy import Limits, Link, Notice
from agent.notify.send import Sender
from agent.notify.store import NoticeStore
from collectors.exchange import Table
from collectors.learnt import Learnt, LearntCell, LearntCount, LearntPace
from facility.severity import Severity
from rules.engine import Engine
from rules.records import SnapshotError
from tests.agent.journals import manual_clock, opened
from tests.agent.notify.making import AT, notice
from tests.agent.notify.test_local import World
from tests.rules.support import TEMPERATURE, engine, facts, good, high, rule

# The high bit of one letter: no text any more.
HIGH = 0x80
# Waiting for a real disk to sync would show nothing.
MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())


def flipped(raw: bytes, *, at_most: int) -> Iterator[tuple[str, bytes]]:
    """Copies with one bit changed, of all or of so many by chance."""
    bits = range(len(raw) * 8)
    for each in bits if len(bits) <= at_most else random.Random(9).sample(bits, at_most):
        changed = bytearray(raw)
        changed[each // 8] ^= 1 << each % 8
        yield f"bit {each % 8} of byte {each // 8}", bytes(changed)


def rising() -> Engine:
    return engine(
        [
            high(for_="60s", gap="60s"),
            high(30.0, id="higher"),
            rule(id="absent", absent={"after": "5m", "severity": "minor"}),
            rule(id="jumps", rate={"per": "1h", "window": "15m", "rise": 20, "severity": "major"}),
            rule(id="open", metric="door.state", state={"open": "minor"}),
        ],
        facts(TEMPERATURE, "room.humidity", "door.state"),
    )


def test_any_flipped_bit_of_what_the_rules_knew_is_said_or_harmless() -> None:
    judged = rising()
    judged.samples([good(at, 28 + at % 20) for at in range(0, 200, 10)])
    judged.sample(good(200, "open", "door.state"))
    assert len(judged.active()) == 4
    whole = judged.snapshot()
    refused = 0
    for where, raw in flipped(whole, at_most=4_000):
        after = rising()
        try:
            after.restore(raw, now_ms=210_000)
        except SnapshotError:
            refused += 1
            continue
        try:
            after.samples([good(at, 20.0 + at % 13) for at in range(210, 400, 10)])
            after.sample(good(400, "closed", "door.state"))
            after.advance(1_000_000)
            after.snapshot()
        except Exception as exc:
            raise AssertionError(where) from exc
    assert refused > 4_000 // 8, "each high bit at least"


async def test_a_glimpse_of_any_flipped_bit_ends_in_words(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "j.db", manual_clock())
    journal.rules = lambda: b"known"
    await journal.commit()
    await journal.close()
    folder = MEMORY / f"{tmp_path.name}-glimpse-{os.getpid()}"
    folder.mkdir()
    try:
        for where, raw in flipped((tmp_path / "j.db").read_bytes(), at_most=1_000):
            (folder / "j.db").write_bytes(raw)
            try:
                assert glimpse(folder / "j.db", "full").cause == "full"
            except Exception as exc:
                raise AssertionError(where) from exc
    finally:
        shutil.rmtree(folder)


LEARNT = {
    "crac-1": Learnt("bench/device", "here", holes=(LearntCell(Table.HOLDING, 12, AT),)),
    "ups-1": Learnt(
        "bench/device",
        "there",
        counts=(LearntCount("power.energy", "phase/L1", 65_530.0, 2, AT),),
        pace=LearntPace(3, True, 5, 9, AT),
    ),
}


class Poller:
    """A poller that keeps what it is told."""

    def __init__(self) -> None:
        self.told: Learnt | None = None

    def learnt(self) -> Learnt:
        return self.told or Learnt("", "")

    def recall(self, learnt: Learnt) -> None:
        self.told = learnt


async def recalled(folder: Path) -> dict[str, Learnt]:
    file = LearntFile(folder / "journal.db", pollers=dict, offload=InlineOffload(), clock=manual_clock())
    await file.load()
    pollers = {device: Poller() for device in LEARNT}
    for device, poller in pollers.items():
        file.recall(device, poller)
    return {device: poller.told for device, poller in pollers.items() if poller.told is not None}


async def test_any_flipped_bit_of_what_was_learnt_costs_one_device_or_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.learnt.json"
    write(path, LEARNT)
    whole = path.read_bytes()
    for where, raw in flipped(whole, at_most=2_000):
        path.write_bytes(raw)
        caplog.clear()
        found = await recalled(tmp_path)
        kept = [device for device, learnt in LEARNT.items() if found.get(device) == learnt]
        assert kept or caplog.messages, where
        if not kept:
            assert (tmp_path / "journal.learnt.json.corrupt").read_bytes() == raw, where


async def test_a_device_of_which_nothing_can_be_read_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.learnt.json"
    write(path, LEARNT)
    raw = bytearray(path.read_bytes())
    raw[raw.find(b"phase/L1")] ^= HIGH
    path.write_bytes(raw)
    assert await recalled(tmp_path) == {"crac-1": LEARNT["crac-1"]}
    (said,) = [each.__dict__ for each in caplog.records]
    assert "what was learnt of the devices is lost" in said["message"]
    assert said["devices"] == "ups-1"
    assert (tmp_path / "journal.learnt.json.corrupt").read_bytes() == raw


def notices_of(folder: Path) -> tuple[LocalNotices, Figures]:
    figures = Figures()
    notices = LocalNotices(
        [Channel("oncall", "json://127.0.0.1", frozenset({Severity.MAJOR}), zh=False)],
        limits=Limits(60_000, 10, 600_000),
        site="s1",
        zone="Asia/Shanghai",
        store=NoticeStore(folder / "n.db"),
        offload=InlineOffload(),
        send=Sender(),
        world=World(Link(60_000, has_all=False)),
        figures=figures,
        clock=manual_clock(),
    )
    return notices, figures


def kept(folder: Path, notices: Sequence[Notice]) -> None:
    store = NoticeStore(folder / "n.db")
    store.save(notices, [("oncall", AT), ("oncall", AT + 1)], [])
    store.close()


def spoil(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "n.db") as db:
        for statement in statements:
            assert db.execute(statement).rowcount == 1
    db.close()


@pytest.mark.parametrize(
    "spoilt",
    [
        "UPDATE notices SET body = replace(body, 'ups-1', CAST(x'f570732d31' AS TEXT)) WHERE id = 2",
        "UPDATE notices SET body = CAST(x'ff41' AS TEXT) WHERE id = 2",
        "UPDATE notices SET body = 7 WHERE id = 2",
        "UPDATE notices SET body = x'7b' WHERE id = 2",
    ],
)
async def test_a_notice_that_cannot_be_read_is_set_aside_and_the_others_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    kept(tmp_path, [notice(number) for number in (1, 2, 3)])
    spoil(tmp_path, spoilt)
    for start in range(2):
        notices, figures = notices_of(tmp_path)
        await notices.open()
        assert sorted(notices._notices) == [1, 3]
        assert figures.notices == ({"unreadable": 1} if start == 0 else {}), "counted once"
        await notices.close()
    (said,) = [each.__dict__ for each in caplog.records]
    assert (said["notices"], said["sendings"]) == ("1", "0")
    assert said["cause"]
    with sqlite3.connect(tmp_path / "n.db") as db:
        assert db.execute("SELECT id FROM aside").fetchall() == [(2,)]
    db.close()
    assert not (tmp_path / "n.db.corrupt").exists()


@pytest.mark.parametrize(
    "spoilt",
    [
        "UPDATE sent SET at = 'soon' WHERE rowid = 1",
        "UPDATE sent SET channel = CAST(x'ff41' AS TEXT) WHERE rowid = 1",
    ],
)
async def test_a_sending_that_cannot_be_read_costs_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    kept(tmp_path, [notice(1)])
    spoil(tmp_path, spoilt)
    notices, _ = notices_of(tmp_path)
    await notices.open()
    assert sorted(notices._notices) == [1]
    assert notices._sent == {"oncall": [AT + 1]}
    assert [each.__dict__["sendings"] for each in caplog.records] == ["1"]
    await notices.close()


async def test_any_flipped_bit_of_the_notices_starts_and_keeps_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = [notice(number) for number in range(1, 30)]
    kept(tmp_path, whole)
    content = (tmp_path / "n.db").read_bytes()
    folder = MEMORY / f"{tmp_path.name}-notices-{os.getpid()}"
    folder.mkdir()
    try:
        for where, raw in flipped(content, at_most=400):
            for left in folder.iterdir():
                left.unlink()
            (folder / "n.db").write_bytes(raw)
            caplog.clear()
            notices, _ = notices_of(folder)
            await notices.open()
            lost = len(whole) - len(notices._notices)
            assert not lost or caplog.messages, where
            assert lost in (0, 1) or (folder / "n.db.corrupt").exists(), where
            notices._put(notice(99))
            await notices.close()
            notices, _ = notices_of(folder)
            await notices.open()
            assert 99 in notices._notices, where
            await notices.close()
    finally:
        shutil.rmtree(folder)
