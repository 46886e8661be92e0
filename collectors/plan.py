"""Which Modbus requests bring the needed cells: pure; and what was learnt about a device's holes.

Invariants (each has a property test):
- every needed cell lies in exactly one block, no block holds more cells than the device or the protocol allows;
- a block begins and ends with a needed cell, and never bridges more than `gap` unneeded cells in a row;
- a value (a span, or spans that overlap) is never split over two blocks, unless it is longer than a block can be;
- a known hole is in no block, and no block crosses a known cut, before its day is over.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from collectors.exchange import Cell, ModbusNeeds, Span, Table

# Modbus Application Protocol 1.1b3, sections 6.1 to 6.4: at most 2000 bits or 125 registers an answer.
MAX_REGISTERS = 125
MAX_BITS = 2000
# What was learnt is tried again after a day: firmware changes, modules are fitted.
RELEARN_MS = 24 * 3600 * 1000
ADDRESSES = 65536

# [start, end) of cells that belong together
_Run = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """One read request: `count` cells of `table` from `address` (zero-based)."""

    table: Table
    address: int
    count: int

    @property
    def end(self) -> int:
        """The address after the last cell."""
        return self.address + self.count

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple((self.table, address) for address in range(self.address, self.end))

    def __str__(self) -> str:
        return f"FC{self.table.function:02} {self.table}:{self.address}" + (
            f"-{self.end - 1}" if self.count > 1 else ""
        )


@dataclass(slots=True)
class Holes:
    """What a device taught us by refusing: cells it has not, and addresses a block may not reach across.

    Both are kept with the time they were learnt (milliseconds UTC) and forgotten a day later.
    """

    cells: dict[Cell, int] = field(default_factory=dict)
    cuts: dict[Cell, int] = field(default_factory=dict)

    def learn(self, block: Block, now_ms: int) -> None:
        """The device refused this block, which cannot be made smaller: its cells are holes."""
        self.cells.update(dict.fromkeys(block.cells, now_ms))

    def cut(self, table: Table, address: int, now_ms: int) -> None:
        """The device refused a block that holds cells on both sides of `address`, and gave each side alone."""
        self.cuts[table, address] = now_ms

    def told(self) -> list[str]:
        """What was learnt, for people: runs of cells that are not there, and where requests must part."""
        lines = []
        for table in Table:
            missing = sorted(address for where, address in self.cells if where is table)
            for i, start in enumerate(missing):
                if i and missing[i - 1] == start - 1:
                    continue
                end = start
                while (table, end + 1) in self.cells:
                    end += 1
                lines.append(f"{table}:{start}{f'-{end}' if end > start else ''} is not there")
            lines += [
                f"no request may reach across {table}:{address}"
                for where, address in sorted(self.cuts)
                if where is table
            ]
        return lines

    def forget(self, now_ms: int) -> None:
        """Drop what is older than a day. What a clock that stepped back makes look younger than now goes too."""
        for known in (self.cells, self.cuts):
            for cell in [cell for cell, at in known.items() if not 0 <= now_ms - at < RELEARN_MS]:
                del known[cell]


def limit(table: Table, max_block: int) -> int:
    """How many cells one request may ask for: the protocol's bound, or the device's where that is smaller."""
    if max_block < 1:
        raise ValueError(f"max_block is {max_block}: a block holds at least one cell")
    return min(max_block, MAX_BITS if table in (Table.COIL, Table.DISCRETE) else MAX_REGISTERS)


def needed_cells(spans: Iterable[Span]) -> set[Cell]:
    """Every cell of the spans; ValueError for a span that leaves 0..65535."""
    return {(span.table, address) for span in spans for address in range(*_checked(span))}


def plan(needs: ModbusNeeds, holes: Holes | None = None) -> list[Block]:
    """The requests that read every needed cell that is no known hole, in table and address order.

    `holes` is taken as it stands: call its `forget` first.
    """
    known = holes or Holes()
    return [
        block
        for table in Table
        for block in _merged(
            table, _pieces(_runs(needs.spans, table), limit(table, needs.max_block), table, known), needs, known
        )
    ]


def halves(block: Block, needs: ModbusNeeds) -> tuple[Block, Block] | None:
    """A refused block in two, cut between values; None where it holds one value only.

    A value of several registers is given or refused as one: half a float is no answer.
    """
    runs = [
        (max(start, block.address), min(end, block.end))
        for start, end in _runs(needs.spans, block.table)
        if start < block.end and end > block.address
    ]
    if len(runs) < 2:
        return None
    middle = len(runs) // 2
    left, right = runs[:middle], runs[middle:]
    return _block(block.table, left[0][0], left[-1][1]), _block(block.table, right[0][0], right[-1][1])


def _block(table: Table, start: int, end: int) -> Block:
    return Block(table, start, end - start)


def _checked(span: Span) -> _Run:
    if span.count < 1 or span.address < 0 or span.address + span.count > ADDRESSES:
        raise ValueError(f"{span.table}:{span.address} x {span.count} is outside 0..{ADDRESSES - 1}")
    return span.address, span.address + span.count


def _runs(spans: Iterable[Span], table: Table) -> list[_Run]:
    """The table's spans in order, those that overlap joined; spans that only touch stay apart."""
    runs: list[_Run] = []
    for start, end in sorted(_checked(span) for span in spans if span.table is table):
        if runs and start < runs[-1][1]:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    return runs


def _pieces(runs: Iterable[_Run], most: int, table: Table, holes: Holes) -> Iterator[_Run]:
    """The runs without the known holes in them, cut where one is longer than a block can be."""
    for start, end in runs:
        at = start
        while at < end:
            stop = at
            while stop < min(end, at + most) and (table, stop) not in holes.cells:
                stop += 1
            if stop > at:
                yield at, stop
            at = stop + 1 if stop < end and (table, stop) in holes.cells else stop


def _merged(table: Table, pieces: Iterable[_Run], needs: ModbusNeeds, holes: Holes) -> Iterator[Block]:
    most = limit(table, needs.max_block)
    current: _Run | None = None
    for start, end in pieces:
        if (
            current is not None
            and end - current[0] <= most
            and start - current[1] <= needs.gap
            and not any((table, address) in holes.cells for address in range(current[1], start))
            and not any((table, address) in holes.cuts for address in range(current[1], start + 1))
        ):
            current = (current[0], end)
            continue
        if current is not None:
            yield _block(table, *current)
        current = (start, end)
    if current is not None:
        yield _block(table, *current)
