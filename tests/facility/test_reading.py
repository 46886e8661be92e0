"""What is told of many values at once."""

from math import inf, nan

import pytest

from facility.reading import all_numbers


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([1.0, -2.5], True), ([1.0, nan], False), ([1.0, inf, -inf], False), ([1.0, None], False), ([1.0, "on"], False),
        ([1.0, 2], False), ([], False), ([1.7e308, 1.7e308], False),
    ],
)  # fmt: skip
def test_all_of_them_are_finite_numbers_or_each_must_be_looked_at(values: list[float], numbers: bool) -> None:
    assert all_numbers(values) is numbers
