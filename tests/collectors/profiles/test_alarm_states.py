"""Whatever bad a shipped profile can say, some shipped rule raises: no state that is red on a screen goes unnoticed."""

import pytest

from collectors.library import Library
from facility.profile import Profile
from facility.states import Tone
from rules.files import library

RAISED = {(rule.metric, word) for rule in library() for word in (rule.state or {})}
# The same fact stands in another point of every profile that has this one.
TOLD_BY = {("ups.battery.charging", "discharging"): ("ups.output.source", "battery")}


def _words(profile: Profile) -> set[tuple[str, str]]:
    return {
        (point.metric, word)
        for point in profile.points
        if point.entry.states is not None
        for source in point.sources
        for word in source.state_words
    }


@pytest.mark.parametrize("profile", Library.load().all(), ids=lambda profile: profile.id)
def test_every_bad_state_of_a_profile_has_a_rule(profile: Profile) -> None:
    said = _words(profile)
    entries = {point.metric: point.entry for point in profile.points}
    for metric, word in sorted(said):
        states = entries[metric].states
        assert states is not None
        if states.by_word(word).tone is not Tone.BAD:
            continue
        told_by = TOLD_BY.get((metric, word))
        if told_by is None:
            assert (metric, word) in RAISED, f"{profile.id}: no rule raises {metric} = {word}"
        else:
            assert told_by in said & RAISED, f"{profile.id}: {metric} = {word} without {told_by[0]} = {told_by[1]}"
