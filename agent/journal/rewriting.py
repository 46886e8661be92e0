"""Many small blocks of readings become one, in the file: packed for a metered link, or merged to spare the disk.

Each call is one bounded step on the journal's thread: what is read is what is replaced, nothing comes in between.
"""

from collections.abc import Collection, Sequence

from agent.journal.block import BlockState, Key, Numbers, Stored
from agent.journal.merging import choose
from agent.journal.packing import MAX_BLOCKS, MAX_PACKED, MAX_VALUES, Thinner, groups, pack
from agent.journal.sql import StoreCorrupt, StoreFull
from agent.journal.store import Store
from facility.memory import uncollected
from facility.wire import Kind

# What the centre may know by its name is never touched; see `Store.mergeable`.
_MERGED = (BlockState.UNSENT, BlockState.COMMITTED)
# Where a look found nothing to merge, the next comes when a quarter as many blocks were written or answered for as it
# had to read: a small site, which fills a block in an hour, reads them some 30 times an hour and not 360 times.
_SHARE = 4


class Rewriter:
    """numbers: where the names of new blocks come from; whoever uses it elsewhere meanwhile gives a number twice.

    merge_at_most: values in a merged block. thinned: readings that were thinned out, in all.
    """

    def __init__(self, store: Store, numbers: Numbers) -> None:
        self._store = store
        self._numbers = numbers
        self._thinner = Thinner()
        self.merge_at_most = MAX_PACKED
        self.thinned = 0
        self._look_from = 0

    def pack(self, leave: Collection[Key], spacing_ms: int) -> bool:
        """Pack and thin what waits above `Store.packed`, which follows; what is in `leave` stays as it is.

        True when there is more. Refused on the way, what was packed before is packed, and counted.
        """
        store = self._store
        upto = store.unsent_reach(Kind.READINGS, above=store.packed, limit=MAX_BLOCKS, values=MAX_VALUES)
        rows = store.unsent_of(Kind.READINGS, above=store.packed, upto=upto, limit=MAX_BLOCKS)
        for group in groups(rows, leave=lambda block: block.key in leave or not block.intact()):
            self._replace(group, BlockState.UNSENT, spacing_ms)
        if rows:
            store.packed = rows[-1].position
        return len(rows) == MAX_BLOCKS or sum(each.block.count for each in rows) >= MAX_VALUES

    @property
    def may_merge(self) -> bool:
        """Enough has come since the last look that another may find something."""
        return self._store.moved >= self._look_from

    def merge(self) -> bool:
        """Merge one group of each state; True when there may be more to do."""
        more, read = False, 0
        for state in _MERGED:
            above = self._store.merged(state)
            rows = self._store.mergeable(state, above=above, limit=MAX_BLOCKS)
            full = len(rows) == MAX_BLOCKS
            choice = choose(rows, after=above, full=full, most=self.merge_at_most)
            blocks = self._store.at([each.position for each in choice.group])
            # A broken block stays as it is: its digest is what tells.
            if blocks and all(each.block.intact() for each in blocks):
                self._replace(blocks, state, 0)
            self._store.merged_upto(state, choice.upto)
            more |= full or bool(choice.group)
            read += len(rows)
        self._look_from = self._store.moved + (0 if more else max(1, read // _SHARE))
        return more

    def _replace(self, group: Sequence[Stored], state: BlockState, spacing_ms: int) -> None:
        """One block in the place of a group."""
        stream, last = self._numbers.stream, self._numbers.last
        with uncollected():
            found = pack(group, stream=stream, after=last, thinner=self._thinner, spacing_ms=spacing_ms)
        if found is None:
            return
        self._numbers.last = found.number
        try:
            self._store.merge(group, found.block, state)
        except (StoreFull, StoreCorrupt):
            # What it was to keep is nowhere: remembered as kept, it would be thinned out the next time.
            self._thinner = Thinner()
            raise
        self.thinned += found.thinned
