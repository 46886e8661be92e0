"""The journal against a plain model, through crashes, power cuts, lying disks and full ones, in any order.

Every reading, event and alarm carries a number of its own. The model is three sets of numbers: what must still be
offered, what may be lost with the process, what the centre has answered for; and the names and digests of what was
published. It knows nothing of files or SQLite, nor which blocks are merged.
"""

import asyncio
import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.journal import BlockState, DropReason, InlineOffload, Journal, Key, OpenReport, Store, Stored
from agent.journal.journal import MERGE_EVERY_S
from agent.journal.retrying import RETRY_S
from agent.journal.sql import Evicted, Mark, StoreFull
from facility.clock import now_ms
from facility.ids import new_id
from facility.items import EventItem, EventKind, decode_events, decode_series
from facility.reading import Reading
from facility.wire import Kind, decode
from tests.agent.journals import MIB, manual_clock

# In the order in which they go.
KINDS = (Kind.READINGS, Kind.EVENTS, Kind.ALARMS)
# A few blocks' worth: some dozen readings of these, or a hundred events.
MEMORY_BYTES = 8_000


def noise(number: int) -> str:
    """Text that does not compress, so that memory fills."""
    return random.Random(number).randbytes(200).hex()


class Disk(Store):
    """A journal file on a disk that can be full."""

    full = False

    def open(self) -> None:
        if self.full:
            raise StoreFull("no space left on device")
        super().open()

    def commit(self, blocks: Iterable[Any], marks: Iterable[Mark] = (), **rest: Any) -> Evicted:
        if self.full:
            raise StoreFull("no space left on device")
        return super().commit(blocks, marks, **rest)

    def merge(self, *what: Any) -> None:
        if self.full:
            raise StoreFull("no space left on device")
        super().merge(*what)

    def close_orderly(self, now_ms: int) -> None:
        if self.full:
            self.close()
            raise StoreFull("no space left on device")
        super().close_orderly(now_ms)


def numbers(stored: Stored) -> list[int]:
    """The numbers in a block, as they go over the wire."""
    items = decode(stored.block.payload()).items
    if stored.block.kind is Kind.READINGS:
        series, refused = decode_series(items, now_ms=1 << 60)
        assert not refused
        return [int(value) for each in series for value in each.value if not isinstance(value, str | None)]
    if stored.block.kind is Kind.ALARMS:
        return [json.loads(item)["n"] for item in items]
    return [int(event.detail["n"]) for event in decode_events(items)[0]]


class JournalModel(RuleBasedStateMachine):
    """kept: on the disk and not answered. loose: taken, not on the disk. answered: not to be offered again.

    published: what was offered to be sent and has no answer, name -> (digest, numbers).
    """

    def __init__(self) -> None:
        super().__init__()
        # The model cuts the power itself; waiting for a real disk to sync would show nothing.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="journal-model-", dir=memory))
        self.loop = asyncio.new_event_loop()
        self.clock = manual_clock()
        self.next = 0
        self.kept: dict[Kind, set[int]] = {kind: set() for kind in KINDS}
        self.loose: dict[Kind, set[int]] = {kind: set() for kind in KINDS}
        # Answered, but the disk has not heard of it: after a crash these are offered again.
        self.answered: set[int] = set()
        self.half_answered: dict[int, Kind] = {}
        self.names: dict[Key, str] = {}
        self.published: dict[Key, tuple[str, list[int]]] = {}
        self.dropped = 0
        # Taken since this opening, and dropped from memory while the disk was full.
        self.forgotten = 0
        self.synced: tuple[Path, dict[Kind, set[int]]] | None = None

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.journal._store.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    # --- opening ---------------------------------------------------------------------------------------------------

    @initialize(full=st.booleans())
    def start(self, full: bool) -> None:
        self.open(full=full)

    def open(self, *, full: bool = False) -> OpenReport:
        store = Disk(self.folder / "j.db", max_bytes=64 * MIB, max_age_ms=86_400_000)
        store.full = full
        self.disk = store
        self.journal = Journal(
            store, clock=self.clock, offload=InlineOffload(), new_id=new_id, memory_bytes=MEMORY_BYTES
        )
        self.journal._rewriter.merge_at_most = 8  # a few commits
        self.dropped = self.forgotten = 0
        report: OpenReport = self.run(self.journal.open())
        assert report.quarantined is None, "no cut of the power corrupts a file"
        return report

    # --- taking, committing, answering -----------------------------------------------------------------------------

    @rule(count=st.integers(1, 12))
    def take(self, count: int) -> None:
        taken = range(self.next, self.next + count)
        self.next += count
        at = now_ms(self.clock)
        self.journal.take([Reading("t-1", "room.temperature", "", float(n), at, raw=noise(n)) for n in taken])
        self.loose[Kind.READINGS].update(taken)

    @rule(kind=st.sampled_from(KINDS[1:]))
    def append(self, kind: Kind) -> None:
        at = now_ms(self.clock)
        item: Any = {"n": self.next, "noise": noise(self.next)}
        if kind is Kind.EVENTS:
            item = EventItem(new_id(at), at, EventKind.JOURNAL, "", {"n": str(self.next)})
        self.journal.append(kind, [item], at=at)
        self.loose[kind].add(self.next)
        self.next += 1

    @rule(seconds=st.integers(1, 20))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def commit(self) -> None:
        self.remember_files()
        self.run(self.journal.commit())
        self.settle_model()

    @rule(counts=st.lists(st.integers(1, 3), min_size=4, max_size=12))
    def trickle(self, counts: list[int]) -> None:
        """A small site: many blocks of few readings."""
        for count in counts:
            self.take(count)
            self.commit()

    def settle_model(self) -> None:
        """What a commit does to the model: on the disk everything loose is kept; in memory some of it may go."""
        if self.journal.stats().degraded:
            return
        for kind in KINDS:
            written = {number for each in self.offered(kind) for number in numbers(each)}
            self.forgotten += len(self.loose[kind] - written)
            self.kept[kind] |= self.loose[kind] & written
            self.loose[kind].clear()
        assert self.forgotten <= self.journal.stats().drops.get(DropReason.MEMORY_FULL, 0), "what is gone is counted"
        for number, kind in self.half_answered.items():
            self.kept[kind].discard(number)
        self.half_answered.clear()

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(KINDS))
        offered = self.publish(kind, 100_000)
        if not offered:
            return
        block = data.draw(st.sampled_from(offered))
        self.published.pop(block.block.key, None)
        self.journal.settle(block.block.key, data.draw(st.sampled_from((BlockState.COMMITTED, BlockState.REJECTED))))
        for number in numbers(block):
            self.answered.add(number)
            self.half_answered[number] = kind
            self.loose[kind].discard(number)

    @rule(data=st.data())
    def pack(self, data: st.DataObject) -> None:
        """Few blocks of many; those that are on their way to the centre stay as they are."""
        offered = self.publish(Kind.READINGS, 100_000)
        flying = {each.block.key: each.block.digest for each in offered if data.draw(st.booleans())}
        # Of the others the link was lost, or they were never sent: they may become one, under another name (ADR 0010).
        self.published = {key: each for key, each in self.published.items() if key in flying}
        assert self.run(self.journal.pack(busy=flying.keys(), spacing_ms=0)) == (0, False)
        now = {each.block.key: each.block.digest for each in self.offered(Kind.READINGS)}
        assert flying.items() <= now.items()

    @rule(data=st.data())
    def renumber(self, data: st.DataObject) -> None:
        offered = self.publish(data.draw(st.sampled_from(KINDS)), 100_000)
        if offered:
            old = data.draw(st.sampled_from(offered)).block.key
            if self.run(self.journal.resequence(old)) is not None:
                self.published.pop(old, None)

    @rule(kind=st.sampled_from(KINDS), limit=st.integers(1, 5))
    def send(self, kind: Kind, limit: int) -> None:
        self.publish(kind, limit)

    def publish(self, kind: Kind, limit: int) -> Sequence[Stored]:
        """What is offered now the centre may know by its name, whatever becomes of this machine."""
        found: Sequence[Stored] = self.run(self.journal.unsent(kind, limit=limit))
        for each in found:
            self.published[each.block.key] = (each.block.digest, numbers(each))
        return found

    @rule()
    def merge(self) -> None:
        """What it merges is no concern of the model's: nothing may be seen of it, also when the disk has no room."""
        self.remember_files()
        self.clock.advance(MERGE_EVERY_S)
        self.run(self.journal.merge())

    @rule(torn=st.binary(max_size=200), part=st.floats(0, 1))
    def cut_power_in_a_merge(self, torn: bytes, part: float) -> None:
        """The transaction is written in part: what it was to replace is there."""
        if self.disk.full or self.journal.stats().degraded:
            return
        copy = self.copy_files("cut")
        before = (copy / "j.db-wal").read_bytes() if (copy / "j.db-wal").exists() else b""
        self.clock.advance(MERGE_EVERY_S)
        self.run(self.journal.merge())
        wal = self.folder / "j.db-wal"
        after = wal.read_bytes() if wal.exists() else b""
        self.journal._store.close()
        if after[: len(before)] == before:
            (copy / "j.db-wal").write_bytes(after[: len(before) + int(part * (len(after) - len(before)))] + torn)
        self.put_files(copy)
        self.forget_process()
        self.open()

    # --- what disks and machines do --------------------------------------------------------------------------------

    @precondition(lambda self: not self.disk.full)
    @rule()
    def fill_disk(self) -> None:
        self.disk.full = True

    @precondition(lambda self: self.disk.full)
    @rule()
    def free_disk(self) -> None:
        """Heals by itself: one commit after the pause, and everything held is on the disk."""
        self.disk.full = False
        self.clock.advance(RETRY_S + 1)
        self.run(self.journal.commit())
        assert self.journal.stats().degraded == ""
        self.settle_model()

    @rule()
    def restart_in_order(self) -> None:
        self.remember_files()
        self.run(self.journal.close())
        if not self.disk.full and not self.journal.stats().degraded:
            self.disk.open()  # to look at what is there
            self.settle_model()
            self.disk.close()
        self.forget_process()
        self.open()

    @rule()
    def kill(self) -> None:
        """kill -9: what was committed is there, what was held in the process is not."""
        self.journal._store.close()
        self.forget_process()
        self.open()

    @rule(torn=st.binary(max_size=200))
    def cut_power(self, torn: bytes) -> None:
        """The disk has what was synced, and perhaps a beginning of the next transaction."""
        copy = self.copy_files("cut")
        self.journal._store.close()
        self.put_files(copy)
        wal = self.folder / "j.db-wal"
        if torn and wal.exists():
            with wal.open("ab") as file:
                file.write(torn)
        self.forget_process()
        self.open()

    @precondition(lambda self: self.synced is not None)
    @rule()
    def cut_power_of_a_lying_disk(self) -> None:
        """The disk only said that it had synced the last commit, which was published. Its names are not used again."""
        assert self.synced is not None
        copy, kept = self.synced
        self.journal._store.close()
        self.put_files(copy)
        self.forget_process()
        # Answers the file has lost again may be asked for again; what it never had is gone.
        on_disk = {kind: set(kept[kind]) for kind in KINDS}
        self.answered -= {number for found in on_disk.values() for number in found}
        self.published.clear()
        self.kept = on_disk
        self.synced = None
        self.open()

    def forget_process(self) -> None:
        for kind in KINDS:
            self.loose[kind].clear()
        # The disk never heard of these answers.
        self.answered -= {number for number, kind in self.half_answered.items() if number in self.kept[kind]}
        self.half_answered.clear()

    def copy_files(self, name: str) -> Path:
        copy = self.folder / name
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for each in ("j.db", "j.db-wal"):
            if (self.folder / each).exists():
                shutil.copy(self.folder / each, copy / each)
        return copy

    def put_files(self, copy: Path) -> None:
        for each in ("j.db", "j.db-wal", "j.db-shm"):
            (self.folder / each).unlink(missing_ok=True)
            if (copy / each).exists():
                shutil.copy(copy / each, self.folder / each)

    def remember_files(self) -> None:
        if not self.disk.full and not self.journal.stats().degraded:
            self.synced = (self.copy_files("synced"), {kind: set(self.kept[kind]) for kind in KINDS})

    # --- what must hold --------------------------------------------------------------------------------------------

    def offered(self, kind: Kind) -> Sequence[Stored]:
        """All that would be, without doing so."""
        found = [] if self.disk._db is None else self.disk.unsent_of(kind, limit=100_000)
        if self.journal.stats().degraded:
            found += self.journal._waiting.of(kind)
        return [each for each in found if each.block.key not in self.journal._answered]

    @invariant()
    def where_the_last_block_stands_is_known_without_asking(self) -> None:
        if self.disk._db is not None:
            assert [(self.journal.last_position,)] == self.disk._ask("SELECT coalesce(max(position), 0) FROM blocks")

    @invariant()
    def what_was_published_keeps_its_name_and_bytes(self) -> None:
        for kind in KINDS:
            offered = {each.block.key: each.block.digest for each in self.offered(kind)}
            must = self.kept[kind] - self.half_answered.keys()
            for key, (digest, held) in self.published.items():
                if held and must.issuperset(held):
                    assert offered.get(key) == digest

    @invariant()
    def every_kept_number_is_offered_once_and_in_order(self) -> None:
        lost = 0
        for kind in KINDS:
            offered = self.offered(kind)
            for each in offered:
                assert self.names.setdefault(each.block.key, each.block.digest) == each.block.digest, (
                    "a name came twice"
                )
            given = [number for each in offered for number in numbers(each)]
            on_disk = [number for each in offered if each.position for number in numbers(each)]
            assert len(given) == len(set(given)), "a number is in two blocks"
            assert on_disk == sorted(on_disk), "out of order"
            assert not self.answered & set(given), "an answered number is offered again"
            must = self.kept[kind] - self.half_answered.keys()
            assert must <= set(given), "what was committed is not offered"
            assert set(given) <= must | self.loose[kind], "something is offered that was never taken"
        stats = self.journal.stats()
        assert stats.memory_bytes <= MEMORY_BYTES or not stats.degraded
        lost = stats.drops.get(DropReason.MEMORY_FULL, 0)
        assert set(stats.drops) <= {DropReason.MEMORY_FULL}
        assert lost >= self.dropped, "drops are never uncounted"
        self.dropped = lost

    @invariant()
    def what_memory_lost_is_counted(self) -> None:
        """Loose numbers are being gathered, offered from memory, or counted as dropped since this opening."""
        if not self.journal.stats().degraded or len(self.journal._taken):
            return
        missing = {
            kind: self.loose[kind] - {number for each in self.offered(kind) for number in numbers(each)}
            for kind in KINDS
        }
        dropped = self.journal.stats().drops.get(DropReason.MEMORY_FULL, 0)
        assert sum(map(len, missing.values())) <= dropped
        for place, kind in enumerate(KINDS):
            left = [each for each in KINDS[:place] if self.loose[each] - missing[each]]
            assert not missing[kind] or not left, "an event went before a reading, or an alarm before either"


JournalModel.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestJournalModel = JournalModel.TestCase
