"""State words against tables made by hand from the makers' enumerations."""

import pytest

from collectors.decode import Extras, decoder
from collectors.library import Library
from facility.profile import Point, Profile
from facility.sources import Source
from tests.collectors.profiles.judgement import NO_READING, Meaning, meanings

LIBRARY = Library.load()


def _reads(profile: Profile, meaning: Meaning) -> list[tuple[Point, Source]]:
    return [
        (point, source)
        for point in profile.points
        for source in point.sources
        if point.metric == meaning.metric and (source.oid or source.column) == meaning.object
    ]


@pytest.mark.parametrize("thing", sorted(meanings()))
def test_every_word_of_an_enumeration_is_read_as_its_maker_means_it(thing: str) -> None:
    used = False
    for meaning in meanings()[thing]:
        for profile in LIBRARY.all():
            read = _reads(profile, meaning)
            used = used or bool(read)
            words = set()
            for point, source in read:
                refused = any(
                    (when.oid or when.column) == thing and not when.accepts(meaning.raw) for when in point.when
                )
                if refused or meaning.raw in source.absent:
                    continue
                words.add(decoder(source, point.entry)(meaning.raw.encode(), Extras()))
            if read:
                assert (words or {NO_READING}) == {meaning.word}, f"{profile.id} {meaning}"
    assert used, f"no profile reads {thing} as {meanings()[thing][0].metric}"
