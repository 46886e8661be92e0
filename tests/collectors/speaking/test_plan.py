"""The planner's invariants over random needs, and what it learns from refusals."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.exchange import ModbusNeeds, Span, Table
from collectors.plan import RELEARN_MS, Block, Holes, halves, limit, needed_cells, plan

NOW = 1_800_000_000_000

spans = st.lists(
    st.builds(
        Span,
        st.sampled_from([Table.HOLDING, Table.INPUT, Table.COIL]),
        st.integers(0, 400),
        st.integers(1, 4),
    ),
    max_size=40,
)
needs = st.builds(
    ModbusNeeds, spans.map(tuple), gap=st.integers(0, 20), max_block=st.integers(1, 200), pause_ms=st.just(0)
)
some_holes = st.lists(
    st.tuples(st.sampled_from([Table.HOLDING, Table.INPUT, Table.COIL]), st.integers(0, 400)), max_size=30
)


@given(needs=needs, missing=some_holes)
def test_every_needed_cell_that_is_no_hole_lies_in_exactly_one_block(
    needs: ModbusNeeds, missing: list[tuple[Table, int]]
) -> None:
    holes = Holes(dict.fromkeys(missing, NOW))
    covered = [cell for block in plan(needs, holes) for cell in block.cells]
    assert len(covered) == len(set(covered))
    assert needed_cells(needs.spans) - set(missing) <= set(covered)
    assert not set(covered) & set(missing)


@given(needs=needs)
def test_no_block_is_longer_than_device_and_protocol_allow(needs: ModbusNeeds) -> None:
    for block in plan(needs):
        assert block.count <= needs.max_block
        assert block.count <= (2000 if block.table is Table.COIL else 125)


@given(needs=needs)
def test_blocks_bridge_no_gap_that_is_too_wide_and_start_and_end_with_a_needed_cell(needs: ModbusNeeds) -> None:
    wanted = needed_cells(needs.spans)
    for block in plan(needs):
        run = 0
        assert block.cells[0] in wanted
        assert block.cells[-1] in wanted
        for cell in block.cells:
            run = 0 if cell in wanted else run + 1
            assert run <= needs.gap


@given(needs=needs)
def test_a_value_is_never_split_unless_it_is_longer_than_a_block(needs: ModbusNeeds) -> None:
    starts = {(block.table, block.address) for block in plan(needs)}
    for span in needs.spans:
        overlapped = [
            other for other in needs.spans if other.table is span.table and other != span and _overlap(span, other)
        ]
        if not overlapped and span.count <= limit(span.table, needs.max_block):
            assert not any((span.table, at) in starts for at in range(span.address + 1, span.address + span.count))


def _overlap(one: Span, other: Span) -> bool:
    return one.address < other.address + other.count and other.address < one.address + one.count


@given(needs=needs, day=st.integers(0, 3 * RELEARN_MS))
def test_a_hole_is_not_read_again_before_its_day_is_over_and_then_it_is(needs: ModbusNeeds, day: int) -> None:
    wanted = needed_cells(needs.spans)
    holes = Holes()
    for block in plan(needs):
        holes.learn(block, NOW)
    holes.forget(NOW + day)
    covered = {cell for block in plan(needs, holes) for cell in block.cells}
    assert covered & wanted == (set() if day < RELEARN_MS else wanted)


@given(needs=needs)
def test_halves_of_a_block_hold_its_values_whole_and_nothing_else(needs: ModbusNeeds) -> None:
    wanted = needed_cells(needs.spans)
    for block in plan(needs):
        parts = halves(block, needs)
        if parts is None:
            continue
        left, right = parts
        assert left.end <= right.address
        assert set(block.cells) & wanted == (set(left.cells) | set(right.cells)) & wanted
        assert left.count < block.count
        assert right.count < block.count


def test_neighbours_within_the_gap_are_one_request_and_beyond_it_two() -> None:
    spans = (Span(Table.HOLDING, 10, 2), Span(Table.HOLDING, 16), Span(Table.HOLDING, 40))
    assert plan(ModbusNeeds(spans, gap=4)) == [Block(Table.HOLDING, 10, 7), Block(Table.HOLDING, 40, 1)]
    assert plan(ModbusNeeds(spans, gap=3))[:2] == [Block(Table.HOLDING, 10, 2), Block(Table.HOLDING, 16, 1)]


def test_a_cut_is_respected_for_a_day() -> None:
    needs = ModbusNeeds((Span(Table.HOLDING, 1), Span(Table.HOLDING, 3)), gap=4)
    holes = Holes()
    holes.cut(Table.HOLDING, 3, NOW)
    assert plan(needs, holes) == [Block(Table.HOLDING, 1, 1), Block(Table.HOLDING, 3, 1)]
    holes.forget(NOW + RELEARN_MS)
    assert plan(needs, holes) == [Block(Table.HOLDING, 1, 3)]


def test_a_text_longer_than_a_request_is_read_in_full_requests() -> None:
    blocks = plan(ModbusNeeds((Span(Table.INPUT, 0, 300),), gap=0))
    assert [(block.address, block.count) for block in blocks] == [(0, 125), (125, 125), (250, 50)]
    # ... and its pieces are one value: there is nothing to bisect in them.
    assert halves(blocks[0], ModbusNeeds((Span(Table.INPUT, 0, 300),))) is None
