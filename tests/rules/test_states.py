"""State match: alarmed words, calm words, kept words, words nobody knows."""

import pytest

from rules.model import Rule
from tests.rules.support import rule, story

WORDS = {"low": "critical", "weak": "minor"}


def battery(**parts: object) -> Rule:
    return rule(metric="ups.battery.state", state=WORDS, **parts)


@pytest.mark.parametrize(
    ("series", "events"),
    [
        pytest.param("normal fault low", ["20s raised state critical state_matched"], id="only its words alarm"),
        pytest.param(
            "weak low weak normal",
            [
                "0s raised state minor state_matched", "10s updated state critical escalated",
                "20s updated state minor deescalated", "30s ended state minor recovered",
            ],
            id="another word is an update",
        ),
        pytest.param("low unknown gibberish", ["0s raised state critical state_matched"],
                     id="a word nobody knows does not clear"),
        pytest.param("unknown gibberish", [], id="nor raise"),
    ],
)  # fmt: skip
def test_words(series: str, events: list[str]) -> None:
    assert story(battery(), series) == events


def test_two_words_of_one_severity_are_told_apart() -> None:
    same = rule(metric="ups.battery.state", state=[{"in": ["low", "depleted"], "severity": "critical"}])
    assert story(same, "low depleted") == [
        "0s raised state critical state_matched", "10s updated state critical state_changed",
    ]  # fmt: skip


def test_unknown_alarms_when_the_rule_names_it() -> None:
    assert story(rule(metric="door.state", state={"unknown": "info"}), "closed unknown closed") == [
        "10s raised state info state_matched", "20s ended state info recovered",
    ]  # fmt: skip


def test_a_kept_word_neither_raises_nor_clears() -> None:
    assert story(battery(keep=["disconnected"]), "low disconnectedx9 normal") == [
        "0s raised state critical state_matched", "1m40s ended state critical recovered",
    ]  # fmt: skip


def test_delays_count_for_states_too_and_run_out_between_samples() -> None:
    assert story(battery(for_="25s", clear_for="15s"), "normal lowx4 normalx4") == [
        "35s raised state critical state_matched", "1m5s ended state critical recovered",
    ]  # fmt: skip


def test_an_unknown_word_stops_a_count_from_running_out_until_a_known_one_comes() -> None:
    assert story(battery(for_="25s"), "low unknownx5 low") == ["1m raised state critical state_matched"]
