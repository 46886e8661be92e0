"""Ticks, offsets and the pace of a device that does not answer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.schedule import BACK_OFF_CAP_MS, Breaker, back_off_ms, missed_slots, next_slot, offset_ms

devices = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


@given(device=devices, interval=st.integers(1, 900))
def test_offset_is_a_whole_tick_within_the_interval_and_never_changes(device: str, interval: int) -> None:
    at = offset_ms(device, interval * 1000)
    assert 0 <= at < interval * 1000
    assert at % 1000 == 0
    assert at == offset_ms(device, interval * 1000)


@given(device=devices, interval=st.integers(1, 120), start=st.integers(0, 10**9))
def test_a_device_is_due_exactly_once_in_every_interval(device: str, interval: int, start: int) -> None:
    slot = next_slot(device, interval * 1000, after=start)
    assert start < slot <= start + interval
    assert slot % interval == offset_ms(device, interval * 1000) // 1000
    assert next_slot(device, interval * 1000, after=slot) == slot + interval


@given(device=devices, interval=st.integers(1, 60), after=st.integers(0, 10**6), gap=st.integers(-50, 500))
def test_missed_slots_are_those_between_two_ticks(device: str, interval: int, after: int, gap: int) -> None:
    counted, slot = 0, next_slot(device, interval * 1000, after=after)
    while slot < after + gap:
        counted, slot = counted + 1, next_slot(device, interval * 1000, after=slot)
    assert missed_slots(device, interval * 1000, after=after, until=after + gap) == counted


def test_three_hundred_devices_spread_over_their_interval() -> None:
    ticks = [offset_ms(f"ups-{number}", 10_000) // 1000 for number in range(300)]
    assert max(ticks.count(tick) for tick in range(10)) < 50  # 30 each if they were dealt out


def test_an_interval_below_a_tick_is_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match="500 ms is shorter than one tick of 1000 ms"):
        offset_ms("ups-1", 500)


def test_first_failures_cost_no_pace_then_it_doubles_to_the_cap() -> None:
    waits = [back_off_ms("ups-1", 10_000, failures) for failures in range(12)]
    assert waits[:3] == [0, 0, 0]
    assert 18_000 <= waits[3] <= 20_000
    assert 36_000 <= waits[4] <= 40_000
    assert all(wait <= BACK_OFF_CAP_MS for wait in waits)
    assert waits[-1] >= 0.9 * BACK_OFF_CAP_MS


def test_a_device_slower_than_the_cap_keeps_its_own_interval() -> None:
    assert 3_240_000 <= back_off_ms("meter", 3_600_000, 9) <= 3_600_000


def test_devices_that_failed_together_are_probed_apart() -> None:
    assert len({back_off_ms(f"ups-{number}", 10_000, 6) for number in range(20)}) > 15


def test_breaker_opens_after_the_fast_failures_and_closes_at_the_first_answer() -> None:
    breaker = Breaker("ups-1", 10_000)
    now = 0
    asked = []
    for _ in range(30):
        if breaker.allows(now):
            asked.append(now)
            breaker.failed(now)
        now += 10_000
    assert asked[:3] == [0, 10_000, 20_000]
    gaps = [later - earlier for earlier, later in pairwise(asked[2:])]
    assert gaps == sorted(gaps)
    assert gaps[:3] == [20_000, 40_000, 80_000]
    breaker.answered()
    assert breaker.allows(now)
    assert breaker.healthy
