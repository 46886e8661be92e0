"""The journal as the agent's other parts see it: take readings and items, commit in groups, offer what is unsent.

Taking never waits and never fails; the disk is touched by `commit` alone, on the offload. One task runs `run`.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.journal.block import BlockState, Draft, Key, Numbers, Sealed, Stored, renamed, seal_drafts
from agent.journal.eviction import DropReason
from agent.journal.memory import Waiting
from agent.journal.offload import Offload, P, T
from agent.journal.recovery import OpenReport, open_or_recover
from agent.journal.retrying import Retry
from agent.journal.rewriting import Rewriter
from agent.journal.sql import Mark, StoreCorrupt, StoreFull
from agent.journal.store import Store
from agent.journal.taken import RuleSource, Taken
from agent.journal.tally import JournalStats, Notice, Tally
from facility.clock import Clock, now_ms
from facility.ids import NewId
from facility.reading import Reading
from facility.wire import Kind

log = logging.getLogger(__name__)

MEMORY_BYTES = 16 * 1024 * 1024
# Answers that wait for the disk. One forgotten beyond it costs a block sent twice.
MAX_ANSWERED = 100_000
# Small blocks are looked for this often at most: ten of the smallest sites' are then merged at once.
MERGE_EVERY_S = 10.0


class Journal:
    """See the package's docstring for what it promises."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        offload: Offload,
        new_id: NewId,
        group_commit_s: float = 1.0,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._store = store
        self._clock = clock
        self._offload = offload
        self._group_commit_s = group_commit_s
        self._numbers = Numbers(new_id(now_ms(clock)))
        store.begin(self._numbers.stream, monotonic=clock.monotonic)
        self._rewriter = Rewriter(store, self._numbers)
        # Grows whenever there may be blocks to offer that were not there before.
        self.news = 0
        self.changed = asyncio.Event()
        self._merge_at = -math.inf
        self._waiting = Waiting(memory_bytes)
        self._answered: dict[Key, Mark] = {}
        self._opened = self._given_up = False
        self._retry = Retry(clock)
        self._tally = Tally()
        self._taken = Taken(self._tally)
        self._lock = asyncio.Lock()

    # --- life ------------------------------------------------------------------------------------------------------

    async def open(self) -> OpenReport:
        """Open the file. A disk that refuses, or spoils what is written, leaves the journal working from memory."""
        try:
            report = await self._reopen()
        except (StoreFull, StoreCorrupt) as exc:
            self._degrade(str(exc))
            return OpenReport(cause=str(exc))
        await self._look()
        return report

    async def run(self) -> None:
        """Commit in groups until cancelled: alarms, events and catalogs at once, readings a group commit later."""
        while True:
            await self._idle()
            due = self._clock.monotonic() + self._group_commit_s
            while (left := due - self._clock.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        await self._taken.wake.wait()
                except TimeoutError:
                    break
                self._taken.wake.clear()
                await self.commit(readings=self._taken.is_much)
            await self.commit()
            await self.merge()

    async def _idle(self) -> None:
        """Until there is something to commit or to merge; a disk that refuses is asked again without."""
        if not self._all_saved:
            return
        until = min(self._taken.rules_at, self._merge_at if self._rewriter.may_merge else math.inf)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(until - self._clock.monotonic(), 0.0) if until < math.inf else None):
                await self._taken.some.wait()
        self._taken.some.clear()

    async def close(self) -> None:
        """Commit what is held and close the file. What the disk still refuses is counted and said."""
        # Asked at this stop before, a disk is asked again when that is due. What came since is sealed, to be counted.
        await (self.commit() if self._given_up and self._tally.degraded else self.last_try())
        self.notice = lambda what, detail: None  # an event of it would find no disk any more
        await self.give_up()
        if self._tally.degraded:
            await self._offload.run(self._store.close)  # without word of an orderly end
            return
        try:
            await self._offload.run(self._store.close_orderly, now_ms(self._clock))
        except (StoreFull, StoreCorrupt) as exc:
            log.warning("the journal's last word was not written", extra={"cause": str(exc)})

    async def last_try(self) -> None:
        """A commit at a stop: a disk that refused is asked now, and then for what is dearer than readings alone."""
        self._retry.hurry()
        await self.commit()
        if len(self._waiting) and not self._tally.degraded:
            await self.commit()  # a corrupt file was replaced by the first
        async with self._lock:
            dear = [block for block in self._waiting.all() if block.kind is not Kind.READINGS]
            if self._tally.degraded and dear and len(dear) < len(self._waiting):
                await self._write(dear)

    async def give_up(self) -> None:
        """Count as lost what only the memory has, at a stop; say it, and whether the disk takes at least the count."""
        self._given_up = True
        lost = self.held
        if Kind.ALARMS in lost:
            # The rules know of these events: saved, they would never be raised anew.
            self._taken.rules = self._taken.rule_state = None
        self._waiting.remove([block.key for block in self._waiting.all()])
        self._tally.count(DropReason.STOPPED, sum(lost.values()))
        self._retry.hurry()
        await self.commit()
        self._tally.given_up(lost)

    @property
    def held(self) -> Mapping[Kind, int]:
        """Readings and items that only the memory has, by kind, and that the centre has not taken."""
        return self._waiting.held(self._answered)

    @property
    def stream(self) -> str:
        return self._numbers.stream

    @property
    def catalog(self) -> str:
        """Digest of the catalog that readings and alarms speak of from now on."""
        return self._taken.catalog

    @property
    def rules(self) -> RuleSource | None:
        """Gives the rule engine's state, None to leave the saved one.

        Asked in the same step in which alarm events are taken to be committed.
        """
        return self._taken.rules

    @rules.setter
    def rules(self, rules: RuleSource) -> None:
        self._taken.rules = rules

    # --- taking ----------------------------------------------------------------------------------------------------

    def take(self, readings: Sequence[Reading]) -> None:
        """Readings for the next group commit."""
        self._taken.take(readings)

    def append(self, kind: Kind, items: Sequence[Any], *, at: int) -> None:
        """Items of a kind other than readings, at `at` ms UTC; committed at once, alarms with the rule state."""
        self._taken.append(kind, items, at=at, now=self._clock.monotonic())

    def append_catalog(self, catalog: Any | None, names: str, *, at: int) -> None:
        """A catalog whose digest is `names`; what is taken from now on speaks of it. None, "": of none at all."""
        self._taken.append_catalog(catalog, names, at=at)

    # --- committing ------------------------------------------------------------------------------------------------

    async def commit(self, *, readings: bool = True) -> None:
        """Seal and store what is due. Returns when it is durable, or held in memory because the disk refuses."""
        async with self._lock:
            if drafts := self._taken.drain(readings=readings, now=self._clock.monotonic()):
                await self._seal(drafts)
            if self._tally.degraded and not self._retry.due:
                self._bound_memory()
            elif not self._all_saved:
                await self._write()
            if self._tally.degraded or not len(self._waiting):
                self._taken.committed()

    @property
    def _all_saved(self) -> bool:
        return not (
            len(self._waiting)
            or self._answered
            or self._taken.rule_state is not None
            or self._tally.drops != self._tally.saved
            or self._tally.degraded  # a disk that refused is asked again
        )

    async def _seal(self, drafts: list[Draft]) -> None:
        sealing = asyncio.ensure_future(
            self._offload.run(seal_drafts, drafts, self.stream, self._numbers.last, now_ms(self._clock))
        )
        try:
            blocks, self._numbers.last, oversize = await asyncio.shield(sealing)
        except asyncio.CancelledError:
            blocks, self._numbers.last, oversize = await sealing
            self._waiting.add(blocks)
            raise
        self._waiting.add(blocks)
        self._tally.blocks += len(blocks)
        if oversize:
            self._tally.count(DropReason.OVERSIZE, oversize)

    async def _write(self, blocks: list[Sealed] | None = None) -> None:
        """Write what waits, or only these blocks of it."""
        blocks = self._waiting.all() if blocks is None else blocks
        marks, state, drops = dict(self._answered), self._taken.rule_state, dict(self._tally.drops)
        try:
            if self._tally.degraded:
                await self._reopen()
            evicted = await self._offload.run(
                self._store.commit, blocks, list(marks.values()), rule_state=state, drops=drops,
                offered=bool(self._tally.degraded), now_ms=now_ms(self._clock),
            )  # fmt: skip
        except StoreFull as exc:
            self._degrade(str(exc))
            return
        except StoreCorrupt as exc:
            await self._recover(str(exc))
            return
        if blocks or self._tally.degraded:
            self._offer()
        self._waiting.remove(block.key for block in blocks)
        for key, mark in marks.items():
            if self._answered.get(key) is mark:
                del self._answered[key]
        self._taken.saved(state)
        self._tally.saved = drops
        self._tally.evicted(evicted)
        if self._tally.degraded and not len(self._waiting):
            self._tally.healed()
        await self._look()

    async def _reopen(self) -> OpenReport:
        with self._retry.asking():
            report = await self._offload.run(
                open_or_recover, self._store,
                now_ms=now_ms(self._clock), drops=dict(self._tally.drops), dropped=self._tally.dropped,
            )  # fmt: skip
        self._say_opened(report)
        return report

    async def _recover(self, cause: str) -> None:
        log.error("journal is corrupt; it is set aside and replayed", extra={"cause": cause})
        try:
            await self._reopen()
        except (StoreFull, StoreCorrupt) as exc:
            self._degrade(str(exc))
            return
        self._offer()
        self._taken.hurry()  # what is waiting is written by the next commit, which comes within one group commit

    async def _unless_refused(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Have the disk do something that can wait; None, with nothing done, when it refuses."""
        try:
            return await self._offload.run(call, *args, **kwargs)
        except StoreFull as exc:
            log.debug("the journal is left as it is for now", extra={"call": call.__name__, "cause": str(exc)})
        except StoreCorrupt as exc:
            await self._recover(str(exc))
        return None

    def _bound_memory(self) -> None:
        self._tally.forgotten(self._waiting.bound(self._answered))
        self._offer()

    def _degrade(self, cause: str) -> None:
        self._retry.refused()
        self._tally.refused(cause)
        self._taken.some.set()  # found while nothing is to be committed, it would not be asked again
        self._bound_memory()

    def _say_opened(self, report: OpenReport) -> None:
        if self._opened:
            # What was opened again was left open by this program: it says nothing of how the last one ended.
            report = replace(report, unclean=None)
        self._opened = True
        self._tally.opened(report, now_ms=now_ms(self._clock), group_commit_s=self._group_commit_s)

    def count(self, reason: DropReason, count: int) -> None:
        """Count what was lost before it reached the journal."""
        self._tally.count(reason, count)
        self._taken.some.set()

    # --- the outbox ------------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """There may be blocks to offer that were not there before."""
        self.news += 1
        self.changed.set()

    async def unsent(self, kind: Kind, *, above: int = 0, upto: int | None = None, limit: int) -> list[Stored]:
        """The oldest unsent blocks of a kind between two positions, at most `limit`; while degraded, memory's too."""
        if not self._store.unsent.blocks.get(kind) and not self._tally.degraded:
            return []
        found: list[Stored] = []
        # Answered blocks not yet marked on the disk stand in the way of at most their own number.
        asked = limit + min(len(self._answered), 1000)
        rows = await self._unless_refused(self._store.offer, kind, above=above, upto=upto, limit=asked)
        more = rows is None or len(rows) == asked
        for row in rows or ():
            if row.block.intact():
                found.append(row)
            else:
                self.settle(row.block.key, BlockState.CORRUPT, DropReason.CORRUPT)
                self._tally.corrupt_block(kind, row.block.count)
        if self._tally.degraded and upto is None:
            found += self._waiting.of(kind)
        offered = [each for each in found if each.block.key not in self._answered]
        self.news += more or len(offered) > limit
        return offered[:limit]

    async def get(self, key: Key) -> Stored | None:
        """A block by its name, to be sent again."""
        held = [block for block in self._waiting.all() if block.key == key]
        if held:
            return Stored(held[0], 0)
        with contextlib.suppress(StoreFull, StoreCorrupt):
            return await self._offload.run(self._store.get, key)
        return None

    def settle(self, key: Key, state: BlockState, reason: str = "") -> None:
        """The centre has answered: the block leaves the outbox with the next commit, and is offered no more."""
        self._answered[key] = Mark(key, state, reason)
        self._taken.some.set()
        if len(self._answered) > MAX_ANSWERED:
            self._answered.pop(next(iter(self._answered)))
            self.news += 1  # it is offered once more

    async def resequence(self, key: Key, *, catalog: str | None = None) -> Key | None:
        """A new (stream, seq) for a block, and another catalog if given; None when it is not there any more."""
        async with self._lock:
            held = await self.get(key)
            if held is None:
                return None
            spoken = held.block.catalog if catalog is None else catalog
            if held.block.kind in (Kind.CATALOG, Kind.HEALTH):
                spoken = self.catalog  # under the newest number it says which one holds
            block = renamed(held.block, self._numbers.next(), spoken)
            if key in self._waiting:
                self._waiting.rename(key, block)
                return block.key
            try:
                await self._offload.run(self._store.replace, key, block)
            except (StoreFull, StoreCorrupt) as exc:
                log.warning("a block could not be given a new number now", extra={"cause": str(exc)})
                return None
        self._offer()
        return block.key

    @property
    def last_position(self) -> int:
        """Where the newest block stands that the file took."""
        return self._store.last

    @property
    def packed(self) -> int:
        """Position up to which waiting readings were packed."""
        return self._store.packed

    async def pack(self, *, busy: Collection[Key], spacing_ms: int) -> tuple[int, bool]:
        """Make few blocks of the many small ones that wait, leaving those in `busy` alone, and thin what they hold.

        Returns how many readings were thinned out, and whether there is more to pack. `packed` is how far it came.
        """
        async with self._lock:
            before = self._rewriter.thinned
            more = await self._unless_refused(self._rewriter.pack, {*busy, *self._answered}, spacing_ms)
            self._offer()  # refused half-way, what was packed before is packed
            await self._look()
            return self._rewriter.thinned - before, bool(more)

    async def merge(self) -> None:
        """A bounded step, if it is time for one: small neighbours in the history, or waiting, become one block."""
        now = self._clock.monotonic()
        if now < self._merge_at or self._tally.degraded or not self._rewriter.may_merge:
            return
        self._merge_at = now + MERGE_EVERY_S
        async with self._lock:
            more = await self._unless_refused(self._rewriter.merge)
        if more:
            self._merge_at = now
            self._offer()
            await self._look()

    async def offer_catalog(self, names: str, *, at: int) -> bool:
        """Put a copy of the catalog of this digest into the outbox again; False when the journal has it no more.

        A disk that does not say so now is asked again when the centre asks again.
        """
        try:
            block = await self._offload.run(self._store.catalog, names)
        except StoreFull:
            return True
        except StoreCorrupt:
            block = None
        if block is None:
            return False
        async with self._lock:
            # Under the newest number it would hold from now on: it says which one does.
            self._waiting.add([renamed(block, self._numbers.next(), self.catalog, born_at=at)])
        self._taken.hurry()
        return True

    # --- figures ---------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        await self._unless_refused(self._store.look)
        self._tally.oldest, self._tally.used = self._store.oldest, self._store.bounds.used
        self._tally.unsent = dict(self._store.unsent.blocks)
        self._tally.unsent_bytes = sum(self._store.unsent.size.values())

    @property
    def degraded(self) -> bool:
        """The disk refuses: what is taken waits in memory."""
        return bool(self._tally.degraded)

    def stats(self) -> JournalStats:
        return self._tally.stats(stream=self.stream, memory_bytes=self._waiting.size, evicted=self._store.evicted)

    @property
    def notice(self) -> Notice:
        """Told of what an operator should hear (degraded, healed, quarantined, evicted), with details as text."""
        return self._tally.notice

    @notice.setter
    def notice(self, notice: Notice) -> None:
        self._tally.notice = notice
