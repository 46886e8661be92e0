"""The wire against golden examples, hostile blocks, and itself."""

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility import items, wire
from facility.alarms import ActiveOccurrence, AlarmEvent, AlarmEventKind
from facility.catalog import Catalog, CatalogDevice, CatalogLevel, CatalogPoint, CatalogRule
from facility.reading import Quality, QualityReason, Reading
from facility.severity import Severity
from facility.wire import Kind, RejectReason, Verdict, WireError

GOLDEN = Path(__file__).parents[1] / "data" / "wire" / "v1"
STREAM = "0199a3c0-5d1e-7f00-8000-000000000001"
NOW = 1_790_000_000_000
OPENING = "0199a3c0-5d1e-7f00-8000-000000000002"

READINGS = [
    Reading("th-01", "room.temperature", "", 23.4, NOW),
    Reading("th-01", "room.temperature", "", 23.5, NOW + 10_000),
    Reading("ups-1", "ups.output.source", "", "battery", NOW),
    Reading("ups-1", "ups.output.voltage", "phase/L2", None, NOW, Quality.BAD, QualityReason.SENTINEL, "2147483647"),
]
EVENT = AlarmEvent(
    occurrence="0199a3c0-5d1e-7f00-8000-0000000000aa", revision=1, kind=AlarmEventKind.RAISED, origin="edge-1",
    device="th-01", rule="room-temperature-high", subject="", metric="room.temperature", level="hi",
    severity=Severity.MINOR, at=NOW, value=27.6, limit=27.0, reason="above_limit", rule_revision="ab12",
)  # fmt: skip
CATALOG = Catalog(
    "0.1.0", "cfg", (CatalogDevice("th-01", "sensor", points=(CatalogPoint("room.temperature", "", "Cel"),),
                                   rules=("room-temperature-high",)),),
    (CatalogRule("room-temperature-high", "ab12", "room.temperature", "High", "高温", "GB 50174-2017",
                 (CatalogLevel("hi", "high", Severity.MINOR, 27.0, 26.0),)),),
)  # fmt: skip
BODIES: dict[Kind, list[object]] = {
    Kind.READINGS: list(items.series_of(READINGS)),
    Kind.ALARMS: [items.AlarmItem(EVENT),
                  items.AlarmItem(snapshot=(ActiveOccurrence(EVENT.occurrence, 1, "th-01", EVENT.rule),), at=NOW)],
    Kind.EVENTS: [items.EventItem("0199a3c0-5d1e-7f00-8000-0000000000bb", NOW, items.EventKind.CLOCK_STEP,
                                  detail={"step_ms": "-3600000"})],
    Kind.CATALOG: [CATALOG],
    Kind.HEALTH: [items.HealthItem(NOW, "0.1.0", "cfg", 60.0, 1, 2048, 0.5, 4096, 20, 1, 500, 0, {"age": 3}, {}),
                  items.HealthItem(NOW + 60_000, "0.1.0", "cfg", 120.0, 0, 0, 0.0, 4096, 20, 1, 900, 0, {"age": 3}, {},
                                   readings_every_s=120.0, spacing_s=120.0, thinned=250)],
}  # fmt: skip


def block(kind: Kind, *, seq: int = 7, catalog: str = "") -> bytes:
    body = wire.pack(BODIES[kind])
    return wire.encode(stream=STREAM, seq=seq, kind=kind, body=body, catalog=catalog, sent_by=OPENING)


@pytest.mark.parametrize("kind", list(Kind))
def test_golden_blocks_are_still_read_and_still_written(kind: Kind) -> None:
    """`<kind>.header.json` and `<kind>.items.json` are what another implementation reads; a change is a new version."""
    decoded = wire.decode(block(kind))
    expected_header = json.loads((GOLDEN / f"{kind}.header.json").read_text())
    expected_items = json.loads((GOLDEN / f"{kind}.items.json").read_text())
    assert [json.loads(item) for item in decoded.items] == expected_items
    header = json.loads(block(kind).split(b"\n", 1)[0])
    # The digest covers compressed bytes, which differ between zlib builds; its binding is tested below.
    assert {**header, "digest": expected_header["digest"]} == expected_header


@pytest.mark.parametrize("name", ["answers", "answers.none", "status", "control"])
def test_golden_messages(name: str) -> None:
    kinds: dict[str, type] = {"answers": wire.Answers, "status": wire.Status, "control": wire.Control}
    text = (GOLDEN / f"{name}.json").read_bytes()
    message = wire.load(text, kinds[name.partition(".")[0]])
    assert json.loads(wire.dump(message)) == json.loads(text)


def test_a_header_that_does_not_say_who_sends_it_is_read() -> None:
    line, _, body = block(Kind.READINGS).partition(b"\n")
    header = json.loads(line)
    del header["sent_by"]
    assert wire.decode(json.dumps(header).encode() + b"\n" + body).header.sent_by == ""
    header["sent_by"] = "me"
    with pytest.raises(wire.WireError, match="sent_by must be a UUID"):
        wire.decode(json.dumps(header).encode() + b"\n" + body)


def test_readings_survive_the_journey() -> None:
    series, refused = items.decode_series(wire.decode(block(Kind.READINGS)).items, now_ms=NOW + 20_000)
    assert not refused
    assert [reading for one in series for reading in one.readings()] == READINGS


def test_alarms_survive_the_journey() -> None:
    taken, refused = items.decode_alarms(wire.decode(block(Kind.ALARMS)).items)
    assert not refused
    assert taken == BODIES[Kind.ALARMS]


def test_the_catalog_digest_names_its_content() -> None:
    (again,), refused = items.decode_catalogs(wire.decode(block(Kind.CATALOG)).items)
    assert not refused
    assert again == CATALOG
    assert again.digest() == CATALOG.digest()
    assert Catalog("0.1.1").digest() != Catalog("0.1.0").digest()


@pytest.mark.parametrize(("seq", "fits"), [(0, False), (1, True), (2**63 - 1, True), (2**63, False), (2**64, False)])
def test_a_sequence_number_is_one_that_databases_can_hold(seq: int, fits: bool) -> None:
    line, _, body = block(Kind.READINGS).partition(b"\n")
    sent = json.dumps({**json.loads(line), "seq": seq}).encode() + b"\n" + body
    if fits:
        assert wire.decode(sent).header.seq == seq
        return
    with pytest.raises(WireError) as refusal:
        wire.decode(sent)
    # Nobody can be answered by a number that is none.
    assert (refusal.value.reason, refusal.value.header) == (RejectReason.BAD_HEADER, None)


def broken(reason: RejectReason) -> bytes:
    good = block(Kind.READINGS)
    line, body = good.split(b"\n", 1)
    header = json.loads(line)

    def with_header(**changes: object) -> bytes:
        return json.dumps({**header, **changes}).encode() + b"\n" + body

    def with_body(new: bytes, **changes: object) -> bytes:
        fields = {**header, **changes, "digest": wire.digest(Kind.READINGS, "", new)}
        return json.dumps(fields).encode() + b"\n" + new

    return {
        RejectReason.UNKNOWN_VERSION: with_header(v=2),
        RejectReason.BAD_HEADER: with_header(stream="yesterday"),
        RejectReason.UNKNOWN_CODEC: with_header(codec="lzma"),
        RejectReason.BAD_DIGEST: good[:-1] + bytes([good[-1] ^ 1]),
        RejectReason.OVERSIZE: with_body(zlib.compress(b"[" + b" " * (wire.MAX_UNPACKED + 1) + b"]")),
        RejectReason.CORRUPT: with_body(body[: len(body) // 2]),
    }[reason]


@pytest.mark.parametrize(
    "reason",
    [RejectReason.UNKNOWN_VERSION, RejectReason.BAD_HEADER, RejectReason.UNKNOWN_CODEC, RejectReason.BAD_DIGEST,
     RejectReason.OVERSIZE, RejectReason.CORRUPT],
)  # fmt: skip
def test_a_block_that_can_never_be_taken_says_why(reason: RejectReason) -> None:
    with pytest.raises(WireError) as refusal:
        wire.decode(broken(reason))
    assert refusal.value.reason is reason
    if reason in (RejectReason.BAD_DIGEST, RejectReason.OVERSIZE, RejectReason.CORRUPT):
        assert refusal.value.header is not None
        assert (refusal.value.header.stream, refusal.value.header.seq) == (STREAM, 7)


def test_the_digest_binds_kind_and_catalog() -> None:
    line, body = block(Kind.READINGS, catalog="ab" * 16).split(b"\n", 1)
    header = json.loads(line)
    for change in ({"kind": "alarms"}, {"catalog": "cd" * 16}):
        with pytest.raises(WireError, match="bad_digest"):
            wire.decode(json.dumps({**header, **change}).encode() + b"\n" + body)


def test_the_maker_of_blocks_is_told_to_split() -> None:
    with pytest.raises(ValueError, match="split it"):
        wire.encode(stream=STREAM, seq=1, kind=Kind.READINGS, body=b"x" * (wire.MAX_BODY + 1))


@given(st.binary(max_size=2000))
def test_no_bytes_break_the_decoder(payload: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(payload)


@given(cut=st.integers(0, 400), flip=st.integers(0, 400), bit=st.integers(0, 7))
def test_no_damage_is_taken_for_a_good_block(cut: int, flip: int, bit: int) -> None:
    good = block(Kind.READINGS)
    damaged = bytearray(good[: max(0, len(good) - cut)])
    if flip < len(damaged):
        damaged[flip] ^= 1 << bit
    if bytes(damaged) == good:
        return
    try:
        decoded = wire.decode(bytes(damaged))
    except WireError:
        return
    # Only the header's seq, stream and codec are outside the digest; the items must be the very ones that were sent.
    assert decoded.items == wire.decode(good).items


def test_topics_there_and_back() -> None:
    topic = wire.block_topic("jinan", "edge-1", Kind.ALARMS)
    assert str(topic) == "coldaisle/v1/jinan/edge-1/blocks/alarms"
    assert wire.parse_topic(str(topic)) == topic
    for foreign in ("coldaisle/v2/a/b/status", "coldaisle/v1/a/b/blocks/lies", "coldaisle/v1/A/b/status", "x", ""):
        with pytest.raises(WireError, match="wrong_topic"):
            wire.parse_topic(foreign)


def test_answers_name_the_items_refused() -> None:
    answer = wire.Answer(STREAM, 7, Verdict.COMMITTED, rejected=(wire.RejectedItem("[3]", RejectReason.BAD_ITEM, "x"),))
    assert wire.load(wire.dump(wire.Answers(1, (answer,))), wire.Answers).answers == (answer,)
