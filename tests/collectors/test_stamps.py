"""The times of one device's readings, by a clock that is set while it is polled."""

import pytest

from collectors.stamps import REMEMBERED, Stamps
from facility.clock import STEP_MS

AT = 1_790_000_000_000


def test_two_polls_in_one_millisecond_are_told_apart() -> None:
    stamps = Stamps()
    assert [stamps.next(at) for at in (AT, AT, AT - STEP_MS + 2, AT + 9)] == [AT, AT + 1, AT + 2, AT + 9]


@pytest.mark.parametrize("back", [STEP_MS, 3_600_000, 50 * 365 * 86_400_000])
def test_a_clock_that_was_set_back_is_followed_at_once(back: int) -> None:
    stamps = Stamps()
    stamps.next(AT)
    assert [stamps.next(AT - back), stamps.next(AT - back)] == [AT - back, AT - back + 1]


def test_no_instant_is_given_twice_while_the_clock_goes_through_them_again() -> None:
    stamps = Stamps()
    polls = [AT + 10_000 * i for i in range(REMEMBERED // 2)]
    given = [stamps.next(at) for at in (*polls, *polls)]
    assert given[len(polls) :] == [at + 1 for at in polls]
    assert len(set(given)) == len(given)
