"""Which of an agent's catalogs holds, in whatever order and under whatever clock they come."""

import json
from datetime import datetime

import pytest

from facility.clock import to_ms
from facility.ids import new_id
from facility.wire import Verdict
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, TEMPERATURE, event, health, reading
from tests.server.ingest.wire_by_hand import Sender, catalog


async def test_older_catalog_arriving_late_does_not_take_over(station: Station) -> None:
    sender = await station.sender()
    old = sender.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]})])
    new = sender.next("catalog", [catalog({"th2": [(TEMPERATURE, "")]})])
    await station.take(new)
    active = (await station.agent()).catalog_digest
    await station.take(old)
    assert (await station.agent()).catalog_digest == active
    (answer,) = await station.take(sender.next("readings", [reading(1.0, device="th2")], catalog=active))
    assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())


@pytest.mark.parametrize("wrong", ["1970-01-01T00:00:07Z", "2036-02-07T06:28:16Z"])
async def test_the_newest_catalog_holds_whatever_clock_its_journal_was_opened_under(
    station: Station, wrong: str
) -> None:
    """A machine without a clock of its own boots in 1970, or where a dead one stood."""
    sender = await station.sender()
    odd, even = to_ms(datetime.fromisoformat(wrong)), AT
    for number, born in enumerate((even, odd, even + 1, odd + 1, even + 2)):
        sender = Sender("home", "edge1", stream=new_id(born))
        device = f"th{number}"
        (answer,) = await station.take(sender.next("catalog", [catalog({device: [(TEMPERATURE, "")]})]))
        assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
        known = (await station.agent()).catalog_digest
        (answer,) = await station.take(sender.next("readings", [reading(20.0, device=device)], catalog=known))
        assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
        assert (await station.point(device)).device.active
        assert await station.values(device) == [(AT, 20.0)]


@pytest.mark.parametrize("worker", ["the same worker", "another worker"])
async def test_what_an_earlier_opening_left_unsent_brings_no_catalog_back_and_loses_no_reading(
    station: Station, worker: str
) -> None:
    """Cut off for days and restarted meanwhile, an agent sends first what is new, then what older journals hold."""
    await station.sender()
    backlog = Sender("home", "edge1", stream=new_id(AT))
    live = Sender("home", "edge1", stream=new_id(AT - 1))
    old = catalog({"th1": [(TEMPERATURE, "")], "gone": [(TEMPERATURE, "")]})
    await station.take(live.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]})], sent_by=live.stream))
    active = (await station.agent()).catalog_digest
    await station.take(backlog.next("catalog", [old], sent_by=live.stream))
    (spoken,) = (await station.digests()) - {active}
    if worker == "another worker":
        station.processor = station.another()
    late = backlog.next("readings", [reading(19.0, device="gone"), reading(20.0)], catalog=spoken, sent_by=live.stream)
    (answer,) = await station.take(late)
    assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
    assert await station.values("gone") == [(AT, 19.0)]
    assert (await station.agent()).catalog_digest == active
    assert not (await station.point("gone")).device.active
    assert (await station.point("th1")).device.active


async def test_a_block_that_an_earlier_opening_sent_and_that_comes_late_brings_no_catalog_back(
    station: Station,
) -> None:
    await station.sender()
    first, second = (Sender("home", "edge1", stream=new_id(AT - number)) for number in range(2))
    before = first.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]})], sent_by=first.stream)
    await station.take(before)
    later = first.next("catalog", [catalog({"th3": [(TEMPERATURE, "")]})], sent_by=first.stream)
    await station.take(second.next("catalog", [catalog({"th2": [(TEMPERATURE, "")]})], sent_by=second.stream))
    active = (await station.agent()).catalog_digest
    await station.take(later)
    await station.take(before)
    assert (await station.agent()).catalog_digest == active


async def test_a_catalog_sent_again_for_old_blocks_does_not_hold_from_then_on(station: Station) -> None:
    """It goes under a new number, and says which catalog holds."""
    sender = await station.sender()
    old, new = ([catalog({device: [(TEMPERATURE, "")]})] for device in ("th1", "th2"))
    await station.take(sender.next("catalog", old))
    first = (await station.agent()).catalog_digest
    await station.take(sender.next("catalog", new))
    second = (await station.agent()).catalog_digest
    assert first != second
    await station.take(sender.next("catalog", old, catalog=second))
    assert (await station.agent()).catalog_digest == second


async def test_readings_are_held_by_the_catalog_that_health_brought_back(station: Station) -> None:
    """How long a value stands follows from its interval; of before, the processor has the points at hand."""
    sender, often = await station.catalogued()
    await station.take(sender.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]}, interval_s=600.0)]))
    seldom = (await station.agent()).catalog_digest
    for second, (spoken, hold_ms) in enumerate(((seldom, 900_000), (often, 15_000))):
        await station.take(sender.next("health", [health(AT + second)], catalog=spoken))
        await station.take(sender.next("readings", [reading(20.0, AT + second)], catalog=spoken))
        assert await station.hold_ms("th1") == hold_ms


async def test_health_that_names_a_known_older_catalog_brings_it_back(station: Station) -> None:
    """A centre put back from a backup may hold an older catalog for the present one; health says which is."""
    sender, first = await station.catalogued()
    await station.take(sender.next("catalog", [catalog({"th2": [(TEMPERATURE, "")]})]))
    assert not (await station.point("th1")).device.active
    await station.take(sender.next("health", [health(60_000)], catalog=first))
    assert (await station.agent()).catalog_digest == first
    assert (await station.point("th1")).device.active


async def test_of_two_openings_first_heard_of_in_one_batch_the_one_that_came_last_is_the_present_one(
    station: Station,
) -> None:
    """An agent that is started, dies, and is started again within a moment."""
    await station.sender()
    before, short, present = (Sender("home", "edge1", stream=new_id(AT + number)) for number in range(3))
    await station.take(before.next("catalog", [catalog({"th0": [(TEMPERATURE, "")]})], sent_by=before.stream))
    alarm = short.next("alarms", [event()], sent_by=short.stream)
    await station.take(
        alarm,
        short.next("catalog", [catalog({"th2": [(TEMPERATURE, "")]})], sent_by=short.stream),
        present.next("catalog", [catalog({"th3": [(TEMPERATURE, "")]})], sent_by=present.stream),
    )
    assert not (await station.point("th2")).device.active
    assert (await station.point("th3")).device.active
    await station.take(present.next("catalog", [catalog({"th4": [(TEMPERATURE, "")]})], sent_by=present.stream))
    assert (await station.point("th4")).device.active


@pytest.mark.parametrize("kind", ["catalog", "health"])
async def test_an_opening_that_died_at_once_and_was_heard_of_late_is_found_out_by_what_its_successor_sends(
    station: Station, kind: str
) -> None:
    """The worker that was given its block commits it after another has committed the next opening's."""
    await station.sender()
    slow, quick = station.processor, station.another()
    short, present, later = (Sender("home", "edge1", stream=new_id(AT + number)) for number in range(3))
    station.processor = quick
    await station.take(present.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]})], sent_by=present.stream))
    holds = (await station.agent()).catalog_digest
    held_up = (
        short.next("catalog", [catalog({"th0": [(TEMPERATURE, "")]})], sent_by=short.stream)
        if kind == "catalog"
        else short.next("health", [health(AT)], catalog=holds, sent_by=short.stream)
    )
    station.processor = slow
    await station.take(held_up)
    # It got no answer, so the present opening sends it again, under its name.
    station.processor = quick
    header, _, body = held_up[1].partition(b"\n")
    again = json.dumps({**json.loads(header), "sent_by": present.stream}).encode() + b"\n" + body
    (answer,) = await station.take((held_up[0], again, held_up[2]))
    assert answer.verdict is Verdict.COMMITTED
    await station.take(present.next("catalog", [catalog({"th2": [(TEMPERATURE, "")]})], sent_by=present.stream))
    assert (await station.point("th2")).device.active, "the present opening is heard again"
    # And one after it is none the worse for such a block that comes late.
    await station.take(later.next("catalog", [catalog({"th3": [(TEMPERATURE, "")]})], sent_by=later.stream))
    await station.take((held_up[0], again, held_up[2]))
    await station.take(present.next("catalog", [catalog({"th4": [(TEMPERATURE, "")]})], sent_by=present.stream))
    assert (await station.point("th3")).device.active


async def test_what_an_earlier_opening_left_is_taken_with_the_blocks_of_the_opening_that_sends_it(
    station: Station,
) -> None:
    """In whatever order they come: the catalog that holds is the one the sender's own blocks name."""
    await station.sender()
    backlog, live = (Sender("home", "edge1", stream=new_id(AT + number)) for number in range(2))
    left = [backlog.next("catalog", [catalog({f"old{n}": [(TEMPERATURE, "")]})], sent_by=live.stream) for n in range(2)]
    await station.take(
        left[0], live.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]})], sent_by=live.stream), left[1]
    )
    assert (await station.point("th1")).device.active
    assert (await station.agent()).catalog_stream == live.stream
