"""The language of expressions: what it computes, what it does not know, and what it refuses."""

import re

import pytest

from rules.expression import MAX_LENGTH, dew_point, parse

VALUES: dict[str, list[float | None]] = {"a": [1.0, 3.0], "b": [4.0], "gone": [None], "partly": [5.0, None], "none": []}


def value(text: str) -> float | None:
    names = frozenset(VALUES) & frozenset(re.findall(r"\w+", text))
    return parse(text, names).evaluate(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", 2.0), ("b - a", 2.0), ("-(a + b) * 2 / 3", -4.0), ("sum(a)", 4.0), ("min(a) + max(a)", 4.0),
        ("count(a) + count(partly)", 3.0), ("a < b and b <= 4", 1.0), ("not a > b", 1.0), ("b if a > 1 else a", 4.0),
        ("abs(a - b)", 2.0), ("a == 2", 1.0), ("a != 2 or b == 4", 1.0),
    ],
)  # fmt: skip
def test_what_it_computes(text: str, expected: float) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gone", None), ("a + gone", None), ("gone > 1", None), ("sum(partly)", None), ("avg(none)", None),
        ("b > 100 and gone > 1", 0.0), ("gone > 1 or b > 1", 1.0), ("gone > 1 and b > 1", None), ("b / (a - 2)", None),
        ("b / (a - 2) > 1 or b > 1", 1.0), ("b > 100 and b / (a - 2) > 1", 0.0), ("b * 1e308 > 1", None),
        ("b if gone > 1 else a", None), ("dew_point(a, gone)", None), ("not gone", None),
    ],
)  # fmt: skip
def test_what_needs_an_unknown_value_is_unknown_unless_the_rest_decides(text: str, expected: float | None) -> None:
    assert value(text) == expected


def test_the_dew_point_is_that_of_the_tables() -> None:
    # Psychrometric tables over water: 20 degrees at 50 % give 9.3, 25 at 60 % give 16.7; saturated air gives itself.
    for temperature, humidity, expected in ((20, 50, 9.3), (25, 60, 16.7), (22, 100, 22.0)):
        assert dew_point(temperature, humidity) == pytest.approx(expected, abs=0.05)
    assert dew_point(20, 0) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a +", "not understood at character"),
        ("a.real", "'a.real' is not understood"),
        ("__import__('os')", "there is no function '__import__'"),
        ("a[0]", "is not understood"),
        ("a ** 2", "is not understood"),
        ("1 < a < 3", "is not understood"),
        ("sum(a + b)", "takes the name of one signal"),
        ("dew_point(a)", "takes 2 values"),
        ("avg(c)", "no signal 'c'; there are a"),
        ("lambda: a", "is not understood"),
        ("'text' + a", "is not understood"),
        ("+".join(["a"] * 100), "too large"),
        ("a + " + "9" * 400, "a number of the expression is too large"),
        ("a + 1e999", "a number of the expression is too large"),
        ("a" + " " * MAX_LENGTH, "at most"),
    ],
)
def test_what_it_refuses(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text, frozenset({"a", "b"}) if "b)" in text else frozenset({"a"}))


def test_a_signal_nobody_uses_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="uses no signal b"):
        parse("a", frozenset({"a", "b"}))
