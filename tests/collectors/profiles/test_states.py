"""State words against tables made by hand from the makers' enumerations."""

import pytest

from collectors.decode import Decoded, Extras, decoder
from collectors.library import Library
from facility.profile import Point, Profile
from facility.states import UNKNOWN
from tests.collectors.profiles.judgement import NO_READING, Meaning, meanings

LIBRARY = Library.load()


def _word(point: Point, thing: str, raw: str) -> Decoded | None:
    """What a point says of a raw value standing in one object; None where it says nothing or asks the next place."""
    if any((when.oid or when.column) == thing and not when.accepts(raw) for when in point.when):
        return NO_READING
    for source in point.sources:
        if (source.oid or source.column) != thing:
            continue
        if raw in source.absent:
            return NO_READING
        word = decoder(source, point.entry)(raw.encode(), Extras())
        if not (source.passes and word == UNKNOWN):
            return word
    return None


def _points(profile: Profile, meaning: Meaning) -> list[Point]:
    return [
        point
        for point in profile.points
        if point.metric == meaning.metric and any((s.oid or s.column) == meaning.object for s in point.sources)
    ]


@pytest.mark.parametrize("thing", sorted(meanings()))
def test_every_word_of_an_enumeration_is_read_as_its_maker_means_it(thing: str) -> None:
    used = False
    for meaning in meanings()[thing]:
        for profile in LIBRARY.all():
            points = _points(profile, meaning)
            used = used or bool(points)
            words = {word for point in points if (word := _word(point, thing, meaning.raw)) is not None}
            # Several points of one object stand under conditions that exclude each other.
            for word in (words - {NO_READING}) or words:
                assert isinstance(word, str)
                assert meaning.fits(word), f"{profile.id} {meaning} is {word}"
    assert used, f"no profile reads {thing} as {meanings()[thing][0].metric}"
