"""Every verdict of the wire, given by the true processor on both databases to blocks made by hand."""

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from facility.clock import to_ms
from facility.ids import new_id
from facility.wire import MAX_BODY, Answer, RejectReason, RetryReason, Verdict
from server.fleet.drops import by_reason
from server.fleet.drops import thinned as thinned_of
from server.fleet.models import AgentEvent
from server.ingest import repository
from server.ingest.failing import POISON_TRIES
from server.ingest.inbox import Message
from server.kit.principal import Role
from tests.server.conftest import START, ClientAs
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import AT, TEMPERATURE, event, health, reading
from tests.server.ingest.wire_by_hand import Sender, block, catalog, digest, series, topic


async def test_readings_are_committed_and_there(station: Station) -> None:
    sender, known = await station.catalogued()
    sent = sender.next("readings", [series("th1", TEMPERATURE, [(AT, 21.5), (AT + 10_000, 22.0)])], catalog=known)
    (answer,) = await station.take(sent)
    assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
    assert await station.values("th1") == [(AT, 21.5), (AT + 10_000, 22.0)]


async def test_second_delivery_is_answered_as_the_first_and_changes_nothing(station: Station) -> None:
    sender, known = await station.catalogued()
    good = sender.next("readings", [reading(21.5), reading("warm", AT + 1)], catalog=known)
    alarm = sender.next("alarms", [event(), {"nonsense": 1}, event("refused")])
    first = await station.take(good, alarm)
    again = await station.take(good, alarm)
    twice = await station.take(good, good)
    assert first == again == [twice[0], first[1]]
    assert [answer.verdict for answer in first] == [Verdict.COMMITTED, Verdict.COMMITTED]
    assert [item.path for item in first[0].rejected] == ["[1].value[0]"]
    assert [item.path for item in first[1].rejected] == ["[1]", "[2]"]
    assert await station.values("th1") == [(AT, 21.5)]
    assert len(station.sink.taken) == 1
    assert len(await station.quarantined()) == 3
    assert station.counted("coldaisle_server_ingest_values_total") == 1


async def test_same_name_other_digest_is_a_conflict(station: Station) -> None:
    sender, known = await station.catalogued()
    topic_, _, seq = sender.next("readings", [reading(21.5)], catalog=known)
    blocks = [
        block("readings", [reading(value)], stream=sender.stream, seq=seq, catalog=known) for value in (21.5, 99.0)
    ]
    (first,) = await station.take((topic_, blocks[0], seq))
    (second,) = await station.take((topic_, blocks[1], seq))
    assert (first.verdict, second.verdict) == (Verdict.COMMITTED, Verdict.CONFLICT)
    alarms = [block("alarms", [event()], stream=sender.stream, seq=90) for _ in range(2)]
    answers = await station.take(*((topic("home", "edge1", "alarms"), payload, 90) for payload in alarms))
    assert sorted(answer.verdict for answer in answers) == [Verdict.COMMITTED, Verdict.CONFLICT]
    assert await station.values("th1") == [(AT, 21.5)]


async def test_unknown_catalog_asks_for_it_and_is_no_rejection(station: Station) -> None:
    sender, known = await station.catalogued()
    sent = sender.next("readings", [reading(21.5)], catalog="0" * 32)
    (answer,) = await station.take(sent)
    assert (answer.verdict, answer.reason) == (Verdict.RETRY, RetryReason.NEED_CATALOG)
    assert await station.quarantined() == []
    other = catalog({"th1": [(TEMPERATURE, "")], "th2": [(TEMPERATURE, "")]})
    asked = sender.next("catalog", [other])
    (taken,) = await station.take(asked)
    assert taken.verdict is Verdict.COMMITTED
    digest_ = (await station.agent()).catalog_digest
    assert digest_ != known
    (answer,) = await station.take(sender.next("readings", [reading(20.0, device="th2")], catalog=digest_))
    assert answer.verdict is Verdict.COMMITTED
    assert await station.values("th2") == [(AT, 20.0)]


def _unknown_version(sender: Sender) -> tuple[str, bytes, int]:
    return sender.next("readings", [reading(1.0)], version=2)


def _corrupt_body(sender: Sender) -> tuple[str, bytes, int]:
    topic_, payload, seq = sender.next("readings", [reading(1.0)])
    head, _, _ = payload.partition(b"\n")
    body = b"\x78\x9cnot deflate"
    header = {**json.loads(head), "digest": digest("readings", "", body)}
    return topic_, json.dumps(header).encode() + b"\n" + body, seq


def _flipped_bit(sender: Sender) -> tuple[str, bytes, int]:
    topic_, payload, seq = sender.next("readings", [reading(1.0)])
    return topic_, payload[:-3] + bytes([payload[-3] ^ 1]) + payload[-2:], seq


def _oversize(sender: Sender) -> tuple[str, bytes, int]:
    return sender.next("readings", [{"filling": "x" * (MAX_BODY + 1)}], codec="none")


def _bomb(sender: Sender) -> tuple[str, bytes, int]:
    return sender.next("readings", ["x" * (5 * 1024 * 1024)])


def _unknown_codec(sender: Sender) -> tuple[str, bytes, int]:
    topic_, payload, seq = sender.next("readings", [reading(1.0)])
    return topic_, payload.replace(b'"zlib"', b'"zstd"'), seq


def _wrong_topic(sender: Sender) -> tuple[str, bytes, int]:
    _, payload, seq = sender.next("readings", [reading(1.0)])
    return topic("home", "edge1", "alarms"), payload, seq


NAMED: dict[str, tuple[Any, RejectReason, bool]] = {
    # maker, reason, whether the header could be read and the block answered
    "unknown version": (_unknown_version, RejectReason.UNKNOWN_VERSION, False),
    "corrupt body": (_corrupt_body, RejectReason.CORRUPT, True),
    "flipped bit": (_flipped_bit, RejectReason.BAD_DIGEST, True),
    "oversize": (_oversize, RejectReason.OVERSIZE, True),
    "unpacks without end": (_bomb, RejectReason.OVERSIZE, True),
    "unknown codec": (_unknown_codec, RejectReason.UNKNOWN_CODEC, False),
    "wrong topic": (_wrong_topic, RejectReason.WRONG_TOPIC, True),
}


@pytest.mark.parametrize("name", NAMED)
async def test_untakeable_is_rejected_by_name_and_kept_while_the_rest_is_taken(station: Station, name: str) -> None:
    make, reason, answered = NAMED[name]
    sender, known = await station.catalogued()
    bad = make(sender)
    good = sender.next("readings", [reading(21.5)], catalog=known)
    answers = await station.take(bad, good, bad)
    rejected = [answer for answer in answers if answer.verdict is Verdict.REJECTED]
    assert [(answer.seq, answer.reason) for answer in rejected] == ([(bad[2], reason)] * 2 if answered else [])
    assert [answer.seq for answer in answers if answer.verdict is Verdict.COMMITTED] == [good[2]]
    (kept,) = await station.quarantined()
    assert (kept.reason, kept.path, kept.size) == (reason, "", len(bad[1]))
    assert bad[1].startswith(kept.payload)
    assert kept.detail
    labels = {"kind": bad[0].rsplit("/", 1)[1], "verdict": "rejected", "reason": reason.value}
    assert station.counted("coldaisle_server_ingest_blocks_total", **labels) == 2


async def test_one_bad_item_is_refused_by_place_and_the_rest_is_taken(station: Station) -> None:
    sender, known = await station.catalogued(th1=TEMPERATURE, door1="door.state")
    items = [
        reading(21.0),
        reading(22.0, device="ghost"),
        reading(1.0, metric="room.temprature"),
        series("th1", TEMPERATURE, [(AT + 1, 22.0), (AT + 2, "hot"), (AT + 3, 23.0)]),
        reading("ajar", device="door1", metric="door.state"),
        reading("open", device="door1", metric="door.state"),
        reading(5.0, at=1000),
        7,
    ]
    (answer,) = await station.take(sender.next("readings", items, catalog=known))
    assert answer.verdict is Verdict.COMMITTED
    assert {(item.path, item.reason) for item in answer.rejected} == {
        ("[1]", RejectReason.UNKNOWN_DEVICE),
        ("[2]", RejectReason.UNKNOWN_METRIC),
        ("[3].value[1]", RejectReason.BAD_ITEM),
        ("[4].value[0]", RejectReason.BAD_ITEM),
        ("[6].at[0]", RejectReason.BAD_TIME),
        ("[7]", RejectReason.BAD_ITEM),
    }
    assert all(item.detail for item in answer.rejected)
    assert await station.values("th1") == [(AT, 21.0), (AT + 1, 22.0), (AT + 3, 23.0)]
    assert await station.values("door1", "door.state") == [(AT, 2.0)]
    kept = {row.path: row for row in await station.quarantined()}
    assert len(kept) == 6
    assert json.loads(kept["[1]"].payload) == items[1]


async def test_alarms_reach_the_sink_and_its_refusals_name_the_items_place(station: Station) -> None:
    sender, _ = await station.catalogued()
    snapshot = {"snapshot": [], "at": AT}
    sent = sender.next("alarms", [{"neither": 1}, event("refused"), event(), snapshot])
    (answer,) = await station.take(sent)
    assert answer.verdict is Verdict.COMMITTED
    assert sorted((item.path, item.reason) for item in answer.rejected) == [
        ("[0]", RejectReason.BAD_ITEM),
        ("[1]", RejectReason.UNKNOWN_DEVICE),
    ]
    assert [agent for agent, _ in station.sink.taken] == ["edge1", "edge1"]
    assert station.sink.taken[1][1].snapshot == ()


async def test_block_that_fails_does_not_keep_the_others_from_being_taken(station: Station) -> None:
    sender, known = await station.catalogued()
    before = sender.next("alarms", [event(), {"nonsense": 1}])
    poison = sender.next("alarms", [event("poison")])
    good = sender.next("alarms", [event()])
    readings = sender.next("readings", [reading(21.0)], catalog=known)
    answers = await station.take(before, poison, good, readings)
    taken, put_off = Verdict.COMMITTED, Verdict.RETRY
    assert [answer.verdict for answer in answers] == [taken, put_off, taken, taken]
    assert answers[1].reason == RetryReason.STORAGE
    assert len(station.sink.taken) == 2
    # What stood before it in the batch was taken back and taken anew, and counted when it was committed.
    assert [item.path for item in answers[0].rejected] == ["[1]"]
    assert len(await station.quarantined()) == 1
    assert station.counted("coldaisle_server_ingest_refused_items_total", kind="alarms", reason="bad_item") == 1
    for _ in range(POISON_TRIES - 2):
        (answer,) = await station.take(poison)
        assert answer.verdict is Verdict.RETRY
    (answer,) = await station.take(poison)
    assert answer.verdict is Verdict.REJECTED
    assert answer.reason == RejectReason.POISON
    assert "ValueError" in answer.detail
    assert sorted(row.seq for row in await station.quarantined()) == [before[2], poison[2]]


async def test_of_a_block_of_alarms_only_what_the_centre_fails_on_is_put_aside(station: Station) -> None:
    """An event that throws each time took those of its block with it, and no agent says an alarm again."""
    sender, _ = await station.catalogued()
    good, snapshot = event(), {"snapshot": [], "at": AT}
    block = sender.next("alarms", [good, {"nonsense": 1}, event("poison"), event("refused"), snapshot])
    for _ in range(POISON_TRIES - 1):
        (answer,) = await station.take(block)
        assert answer.verdict is Verdict.RETRY
    for _ in range(2):
        (answer,) = await station.take(block)
        assert answer.verdict is Verdict.COMMITTED
        assert sorted((item.path, item.reason) for item in answer.rejected) == [
            ("[1]", RejectReason.BAD_ITEM),
            ("[2]", RejectReason.POISON),
            ("[3]", RejectReason.UNKNOWN_DEVICE),
        ]
    assert [item.event is None for _, item in station.sink.taken] == [False, True]
    assert sorted(row.path for row in await station.quarantined()) == ["[1]", "[2]", "[3]"]
    assert station.counted("coldaisle_server_ingest_refused_items_total", kind="alarms", reason="poison") == 1


async def picky(station: Station, seq: int, *, which: str = "length(NEW.payload) > 0") -> None:
    """The quarantine's table refuses blocks of this number, for what stands in them."""
    when, it = "BEFORE INSERT ON ingest_quarantine", f"NEW.seq = {seq} AND {which}"
    async with station.server.db.write() as session:
        if station.server.db.dialect == "postgresql":
            body = f"IF {it} THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF; RETURN NEW;"
            made = f"CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
            await session.execute(sa.text(made))
            await session.execute(sa.text(f"CREATE TRIGGER picky {when} FOR EACH ROW EXECUTE FUNCTION picky()"))
        else:
            body = "SELECT RAISE(ABORT, 'no');"
            await session.execute(sa.text(f"CREATE TRIGGER picky {when} WHEN {it} BEGIN {body} END"))


@pytest.mark.parametrize("faulty", ["readings", "alarms", "no block"])
async def test_a_refusal_that_cannot_be_kept_is_told_apart_from_its_batch(station: Station, faulty: str) -> None:
    sender, known = await station.catalogued()
    if faulty == "readings":
        odd = sender.next("readings", [reading(21.0), series("nobody", TEMPERATURE, [(AT, 1.0)])], catalog=known)
    elif faulty == "alarms":
        odd = sender.next("alarms", [{"neither": 1}])
    else:
        topic, payload, seq = sender.next("alarms", [event()])
        odd = topic, payload[:-3] + b"xyz", seq
    await picky(station, odd[2])
    last: Answer | None = None
    for n in range(POISON_TRIES):
        batch = [
            sender.next("alarms", [event()]),
            sender.next("alarms", [{"neither": 1}]),
            sender.next(
                "readings", [series("nobody", TEMPERATURE, [(AT + n, 1.0)]), reading(20.0, AT + n)], catalog=known
            ),
        ]
        answers = await station.take(odd, *batch)
        others = [answer.verdict for answer in answers if answer.seq != odd[2]]
        assert others == [Verdict.COMMITTED] * 3, f"try {n}"
        last = next((answer for answer in answers if answer.seq == odd[2]), None)
        assert n == POISON_TRIES - 1 or last is None or last.verdict is Verdict.RETRY
    assert last is not None
    assert last.verdict is Verdict.REJECTED
    assert last.reason == (RejectReason.BAD_DIGEST if faulty == "no block" else RejectReason.POISON)


async def test_no_block_is_refused_that_not_even_a_name_can_be_kept_of(station: Station) -> None:
    """A table that takes nothing, after a wrong restore, is no block's fault."""
    sender, _ = await station.catalogued()
    odd = sender.next("alarms", [{"neither": 1}])
    await picky(station, odd[2], which="1 = 1")
    for _ in range(2 * POISON_TRIES):
        (answer,) = await station.take(odd)
        assert answer.verdict is Verdict.RETRY


async def test_text_no_database_takes_is_cleaned_and_not_poison(station: Station) -> None:
    sender, known = await station.catalogued()
    long = series("th1", TEMPERATURE, [(AT, None)], quality=[2])
    long |= {"reasons": {"0": "sentinel"}, "raws": {"0": "a\x00b" + "x" * 5000}}
    nul = catalog({"th1": [(TEMPERATURE, "")]})
    nul["devices"][0]["name_en"] = "T\x00H" + "x" * 900
    happened = {"id": new_id(AT), "at": AT, "kind": "trap", "device": "th1", "detail": {"o\x00id": "1\x00.3"}}
    readings = sender.next("readings", [long], catalog=known)
    answers = await station.take(readings, sender.next("catalog", [nul]), sender.next("events", [happened]))
    assert [(answer.verdict, answer.rejected) for answer in answers] == [(Verdict.COMMITTED, ())] * 3
    point = await station.point("th1")
    assert point.device.name_en.startswith("THx")
    (row,) = await station.store.raw(point.id, AT, AT + 1, limit=2)
    assert (row.quality, row.value, (row.raw or "")[:4]) == (2, None, "abxx")


async def test_events_are_recorded_once_however_often_and_in_whatever_block(station: Station) -> None:
    sender, _ = await station.catalogued()
    happened = {"id": new_id(AT), "at": AT, "kind": "device_reboot", "device": "th1", "detail": {"uptime": "5"}}
    await station.take(sender.next("events", [happened]), sender.next("events", [happened, {"at": "noon"}]))
    async with station.server.db.read() as session:
        rows = (await session.scalars(sa.select(AgentEvent))).all()
    assert [(row.kind, row.device, row.payload) for row in rows] == [("device_reboot", "th1", {"uptime": "5"})]


async def test_what_a_metered_agent_thins_out_is_counted_over_its_streams_and_is_no_loss(station: Station) -> None:
    sender, _ = await station.catalogued()
    for at, thinned in ((AT - 3000, 40), (AT - 2000, 50), (AT - 4000, 30)):  # in any order
        await station.take(sender.next("health", [health(at, thinned=thinned, drops={"clock": 1})]))
    again = Sender("home", "edge1")
    await station.take(again.next("health", [health(AT - 1000, thinned=7)]))
    await station.take(again.next("health", [health(AT - 500)]))  # as of an agent that tells none
    agent = await station.agent()
    assert (thinned_of(agent.drops), by_reason(agent.drops)) == (57, {"clock": 1})


async def test_health_keeps_the_newest_figures_and_the_clock_offset(station: Station) -> None:
    sender, _ = await station.catalogued()
    newer = sender.next("health", [health(AT - 2000, drops={"evicted_age": 7})])
    older = sender.next("health", [health(AT - 60_000, version="1.0.0")])
    await station.take(newer)
    await station.take(older)
    agent = await station.agent()
    assert (agent.version, agent.config_digest, by_reason(agent.drops)) == ("1.2.3", "abc", {"evicted_age": 7})
    assert agent.clock_offset_ms == -2000


async def test_health_of_a_clock_far_ahead_does_not_hide_what_follows(station: Station) -> None:
    sender, _ = await station.catalogued()
    await station.take(sender.next("health", [health(to_ms(datetime(2036, 2, 7, tzinfo=UTC)))]))
    await station.take(sender.next("health", [health(AT, version="1.2.4")]))
    agent = await station.agent()
    assert (agent.version, agent.health_at) == ("1.2.4", START)


async def test_unknown_agent_waits_until_it_is_known_here(station: Station, client_as: ClientAs) -> None:
    stranger = Sender("home", "edge9")
    sent = stranger.next("health", [health(AT)])
    corrupt = (sent[0], b"rubbish", 0)
    (answer,) = await station.take(sent, corrupt)
    await station.take(sent)
    assert (answer.verdict, answer.reason) == (Verdict.RETRY, RetryReason.BUSY)
    assert answer.after_s > 30
    noc = await client_as(Role.NOC)
    seen = (await noc.get("/api/v1/ingest/strangers")).json()
    assert [(row["agent"], row["blocks"]) for row in seen["items"]] == [("edge9", 2)]
    assert await station.quarantined() == []
    await station.sender("edge9")
    (answer,) = await station.take(sent)
    assert answer.verdict is Verdict.COMMITTED
    async with station.server.db.read() as session:
        assert await repository.list_strangers(session) == []


async def test_auto_enrolment_makes_site_and_agent(station: Station) -> None:
    sender = Sender("brand-new-site", "edge1")
    processor = station.another(auto_enrol=True)
    topic_, payload, _ = sender.next("catalog", [catalog({"th1": [(TEMPERATURE, "")]})])
    (reply,) = await processor.take([Message(topic_, payload)])
    assert reply.answer.verdict is Verdict.COMMITTED


async def test_two_workers_given_the_same_blocks_store_each_once(station: Station) -> None:
    sender, known = await station.catalogued(th1=TEMPERATURE, th2=TEMPERATURE)
    sent = [
        sender.next("readings", [reading(float(i), AT + i, device) for device in ("th1", "th2")], catalog=known)
        for i in range(60)
    ]
    messages = [Message(topic_, payload) for topic_, payload, _ in sent]
    workers = [station.another() for _ in range(2)]

    async def deliver(worker: int) -> list[Answer]:
        order = messages if worker == 0 else messages[::-1]
        replies = [reply for start in range(0, 60, 7) for reply in await workers[worker].take(order[start : start + 7])]
        return [reply.answer for reply in replies]

    answers = await asyncio.gather(deliver(0), deliver(1))
    # A deadlock or a race between the two may ask for a block again; it comes again.
    for worker, given in enumerate(answers):
        again = {answer.seq for answer in given if answer.verdict is not Verdict.COMMITTED}
        replies = await workers[worker].take([Message(t, p) for t, p, seq in sent if seq in again])
        assert all(reply.answer.verdict is Verdict.COMMITTED for reply in replies)
    expected = [(AT + i, float(i)) for i in range(60)]
    assert await station.values("th1") == expected
    assert await station.values("th2") == expected
    assert station.counted("coldaisle_server_ingest_values_total") == 120


async def test_point_no_catalog_announced_is_made_for_a_known_device(station: Station) -> None:
    sender, known = await station.catalogued()
    (answer,) = await station.take(
        sender.next("readings", [series("th1", "room.humidity", [(AT, 45.0)], subject="probe/2")], catalog=known)
    )
    assert (answer.verdict, answer.rejected) == (Verdict.COMMITTED, ())
    point = await station.point("th1", "room.humidity", "probe/2")
    assert point.unit == "%"
    assert (await station.store.latest([point.id]))[point.id].value == 45.0


async def test_replaced_agent_takes_over_its_predecessors_devices(station: Station) -> None:
    first, known = await station.catalogued("edge1")
    before = await station.point("th1")
    await station.take(first.next("readings", [reading(20.0)], catalog=known))
    second, known = await station.catalogued("edge2")
    await station.take(second.next("readings", [reading(21.0, AT + 1)], catalog=known))
    after = await station.point("th1")
    assert (after.id, after.device_id) == (before.id, before.device_id)
    assert await station.values("th1") == [(AT, 20.0), (AT + 1, 21.0)]


async def test_sequence_restarts_with_a_new_stream(station: Station) -> None:
    sender, known = await station.catalogued()
    await station.take(sender.next("readings", [reading(20.0)], catalog=known))
    reborn = Sender("home", "edge1", stream=str(uuid.uuid4()), seq=sender.seq - 1)
    (answer,) = await station.take(reborn.next("readings", [reading(21.0, AT + 1)], catalog=known))
    assert answer.verdict is Verdict.COMMITTED
    assert await station.values("th1") == [(AT, 20.0), (AT + 1, 21.0)]
