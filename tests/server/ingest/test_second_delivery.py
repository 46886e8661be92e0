"""A readings block whose answer was lost comes again: it is answered as it was, whatever the clock says by then."""

from facility.wire import Answer, RejectReason, Verdict
from server.config import RetentionConfig
from server.history.rolling import keep_of, oldest_taken
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, reading
from tests.server.ingest.wire_by_hand import block


async def _again_later(station: Station, *sent: tuple[str, bytes, int], seconds: float) -> tuple[list[Answer], ...]:
    """What is answered to blocks, and to the same ones when they come again later: the first answers were lost."""
    first = await station.take(*sent)
    station.world.clock.advance(seconds)
    station.processor = station.another()
    return first, await station.take(*sent)


async def test_a_value_refused_for_its_time_is_refused_again_when_its_time_has_come(station: Station) -> None:
    sender, known = await station.catalogued()
    ahead = sender.next("readings", [reading(20.0), reading(21.0, AT + 360_000)], catalog=known)
    first, again = await _again_later(station, ahead, seconds=120.0)
    assert [(item.path, item.reason) for item in first[0].rejected] == [("[1].at[0]", RejectReason.BAD_TIME)]
    assert again == first
    assert await station.values("th1") == [(AT, 20.0)]
    assert len(await station.quarantined()) == 1


async def test_a_stored_value_that_grew_old_is_not_refused_when_it_comes_again(station: Station) -> None:
    sender, known = await station.catalogued()
    oldest = oldest_taken(station.world.clock.now(), keep_of(RetentionConfig()))
    old = sender.next("readings", [reading(20.0), reading(19.0, oldest)], catalog=known)
    first, again = await _again_later(station, old, seconds=86_400.0)
    assert [(answer.verdict, answer.rejected) for answer in first] == [(Verdict.COMMITTED, ())]
    assert again == first
    assert await station.quarantined() == []
    assert len(await station.values("th1")) == 2


async def test_another_block_of_a_name_is_a_conflict_and_its_refused_items_are_not_kept(station: Station) -> None:
    sender, known = await station.catalogued()
    sent = sender.next("readings", [reading(20.0)], catalog=known)
    await station.take(sent)
    other = block(
        "readings", [reading(99.0), reading(1.0, device="nobody")], stream=sender.stream, seq=sent[2], catalog=known
    )
    (answer,) = await station.take((sent[0], other, sent[2]))
    assert (answer.verdict, answer.rejected) == (Verdict.CONFLICT, ())
    assert await station.quarantined() == []
