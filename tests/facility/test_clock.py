"""One clock: anchored wall time, steps seen and said, virtual time for tests."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from facility.clock import EPOCH, ManualClock, SystemClock, from_ms, is_kept, to_ms
from facility.ids import is_slug, made_at, new_id

START = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)


async def never(_: float) -> None:
    raise AssertionError("nothing sleeps here")


class Machine:
    """A system clock and a monotonic counter that a test moves apart."""

    def __init__(self) -> None:
        self.wall = START
        self.counter = 100.0

    def run(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.counter += seconds

    def clock(self) -> SystemClock:
        return SystemClock(never, monotonic=lambda: self.counter, wall=lambda: self.wall)


def test_a_step_of_the_system_clock_does_not_move_now_until_it_is_taken() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(10)
    machine.wall -= timedelta(hours=1)
    assert clock.now() == START + timedelta(seconds=10)
    assert clock.resync() == -3_600_000
    assert clock.now() == START + timedelta(seconds=10) - timedelta(hours=1)
    assert clock.resync() == 0


def test_slewing_below_the_step_limit_is_left_alone() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += timedelta(milliseconds=900)
    assert clock.resync() == 0
    assert clock.now() == START


def test_milliseconds_there_and_back() -> None:
    assert from_ms(to_ms(START)) == START
    assert to_ms(datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)) == 1500


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        to_ms(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError, match="naive"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


async def test_the_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(START)
    await clock.sleep(5)
    clock.advance(1.5)
    assert clock.monotonic() == 6.5
    clock.step(-60)
    assert clock.monotonic() == 6.5
    assert clock.now() == START + timedelta(seconds=6.5 - 60)
    with pytest.raises(ValueError, match="forwards"):
        clock.advance(-1)


def test_ids_follow_time_and_never_repeat() -> None:
    ids = [new_id(1_790_000_000_000 + i // 10) for i in range(1000)]
    assert len(set(ids)) == 1000
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
    assert int(new_id(1_790_000_000_123).replace("-", "")[:12], 16) == 1_790_000_000_123


@pytest.mark.parametrize(
    ("text", "good"),
    [("crac-1", True), ("a", True), ("th_01", True), ("-a", False), ("a-", False), ("A", False), ("", False),
     ("a/b", False), ("a" * 64, False)],
)  # fmt: skip
def test_slugs(text: str, good: bool) -> None:
    assert is_slug(text) is good


def test_an_id_tells_when_it_was_made() -> None:
    assert made_at(new_id(1_795_420_800_123)) == 1_795_420_800_123
    with pytest.raises(ValueError):
        made_at("occurrence-1")


def test_only_a_machine_is_known_to_keep_its_clock_right() -> None:
    assert not is_kept(ManualClock(EPOCH))
    assert not is_kept(SystemClock(asyncio.sleep))
    assert is_kept(SystemClock(asyncio.sleep, kept=lambda: True))
