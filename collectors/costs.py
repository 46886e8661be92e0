"""What one poll asks and what it costs, in words for people. Pure."""

from collections.abc import Sequence

from collectors.exchange import ModbusNeeds, Table
from collectors.plan import Holes, needed_cells, plan

# A request for two dozen objects fills a screen; the first of them tell which it is.
SHOWN = 100
_CELLS = {Table.COIL: "coils", Table.DISCRETE: "inputs", Table.HOLDING: "registers", Table.INPUT: "registers"}


def modbus_words(needs: ModbusNeeds, holes: Holes) -> list[str]:
    """The requests of the next poll with their sizes, and what was learnt of the unit."""
    needed = needed_cells(needs.spans)
    lines = []
    for block in plan(needs, holes):
        along = sum(cell not in needed for cell in block.cells)
        size = f"{block.count} {_CELLS[block.table]}" if block.count > 1 else f"1 {_CELLS[block.table][:-1]}"
        lines.append(f"{block}: {size}" + (f", {along} of them only read along" if along else ""))
    return lines + [f"learnt: {line}" for line in holes.told()]


def snmp_words(plan_lines: Sequence[str]) -> list[str]:
    """The requests of the next poll, each on one line of a screen."""
    return [line if len(line) <= SHOWN else f"{line[: SHOWN - 4]} ..." for line in plan_lines]


def cost_words(requests: int, seconds: float, interval_s: float) -> str:
    """What a poll costs the device and its line at the profile's interval."""
    share = seconds / interval_s
    return (
        f"one poll: {requests} requests in {seconds:.2f} s; every {interval_s:g} s that is "
        f"{requests / interval_s:.2g} requests a second and {share:.1%} of the time"
    )
