"""Blocks that are sealed and not on the disk yet: a moment in good times, up to a cap while the disk refuses."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping

from agent.journal.block import BlockState, Key, Sealed, Stored
from agent.journal.eviction import ORDER, DropReason
from agent.journal.sql import Evicted, Mark
from facility.wire import Kind


class Waiting:
    """Sealed blocks in the order they were born, bounded by bytes of their bodies."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._blocks: dict[Key, Sealed] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, key: Key) -> bool:
        return key in self._blocks

    def add(self, blocks: Iterable[Sealed]) -> None:
        for block in blocks:
            self._blocks[block.key] = block
            self.size += block.size

    def all(self) -> list[Sealed]:
        return list(self._blocks.values())

    def remove(self, keys: Iterable[Key]) -> None:
        for key in keys:
            gone = self._blocks.pop(key, None)
            if gone is not None:
                self.size -= gone.size

    def rename(self, key: Key, block: Sealed) -> None:
        """Another name for a block that is held, in its place."""
        self._blocks = {block.key if each == key else each: self._blocks[each] for each in self._blocks}
        self._blocks[block.key] = block

    def held(self, answered: Container[Key]) -> Mapping[Kind, int]:
        """Readings and items, by kind, for which the centre has not answered."""
        found: Counter[Kind] = Counter()
        for block in self._blocks.values():
            if block.key not in answered:
                found[block.kind] += block.count
        return found

    def of(self, kind: Kind) -> list[Stored]:
        return [Stored(block, 0) for block in self._blocks.values() if block.kind is kind]

    def bound(self, answered: dict[Key, Mark]) -> Evicted:
        """Evict down to the cap, in the journal's order; what the centre has taken is no loss."""
        evicted = Evicted()
        if self.size > self._max:
            self._forget_catalogs()
        for each in ORDER:
            if self.size <= self._max:
                break
            for block in list(self._blocks.values()):
                if self.size <= self._max:
                    break
                found = answered.get(block.key)
                state = found.state if found is not None else BlockState.UNSENT
                if block.kind is each.kind and state in each.states:
                    self.remove([block.key])
                    if state is BlockState.UNSENT:
                        evicted.add(DropReason.MEMORY_FULL, block.kind, block.count)
        return evicted

    def _forget_catalogs(self) -> None:
        """Let go of catalogs that nothing here speaks of, all but the newest."""
        catalogs = [block for block in self._blocks.values() if block.kind is Kind.CATALOG]
        named = {block.catalog for block in self._blocks.values() if block.kind is not Kind.CATALOG}
        self.remove(block.key for block in catalogs[:-1] if block.names not in named)
