"""One bad item voids nothing else: what is refused is refused by name, the rest is taken."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility import items
from facility.reading import Quality, QualityReason, Reading
from facility.wire import RejectReason

NOW = 1_790_000_000_000


def series(**changes: object) -> dict[str, object]:
    return {"device": "th-01", "metric": "room.temperature", "subject": "", "at": [NOW, NOW + 1, NOW + 2],
            "value": [20.0, 21.0, 22.0], **changes}  # fmt: skip


def decode(*bodies: dict[str, object]) -> tuple[list[items.Series], list[tuple[str, RejectReason]]]:
    taken, refused = items.decode_series([json.dumps(body).encode() for body in bodies], now_ms=NOW)
    return taken, [(item.path, item.reason) for item in refused]


@pytest.mark.parametrize(
    ("bad", "path", "reason"),
    [
        ({"device": "No Slug"}, "[1]", RejectReason.BAD_ITEM),
        ({"metric": "room.temprature"}, "[1]", RejectReason.UNKNOWN_METRIC),
        ({"value": [1.0]}, "[1]", RejectReason.BAD_ITEM),
        ({"at": "now"}, "[1]", RejectReason.BAD_ITEM),
        ({"metric": 7}, "[1]", RejectReason.BAD_ITEM),
        ({"subject": "x" * 200}, "[1]", RejectReason.BAD_ITEM),
    ],
)
def test_a_bad_series_is_refused_and_its_neighbours_taken(
    bad: dict[str, object], path: str, reason: RejectReason
) -> None:
    taken, refused = decode(series(), series(**bad), series(device="th-02"))
    assert [one.device for one in taken] == ["th-01", "th-02"]
    assert refused == [(path, reason)]


@pytest.mark.parametrize(
    ("bad", "path", "reason", "left"),
    [
        ({"value": [20.0, "hot", 22.0]}, "[0].value[1]", RejectReason.BAD_ITEM, [20.0, 22.0]),
        ({"value": [20.0, {}, 22.0]}, "[0].value[1]", RejectReason.BAD_ITEM, [20.0, 22.0]),
        ({"value": [True, 21.0, 22.0]}, "[0].value[0]", RejectReason.BAD_ITEM, [21.0, 22.0]),
        ({"at": [NOW, 0, NOW + 2]}, "[0].at[1]", RejectReason.BAD_TIME, [20.0, 22.0]),
        ({"at": [NOW, NOW + 600_000, NOW + 2]}, "[0].at[1]", RejectReason.BAD_TIME, [20.0, 22.0]),
        ({"quality": [0, 9, 0]}, "[0].quality[1]", RejectReason.BAD_ITEM, [20.0, 22.0]),
    ],
)
def test_a_bad_sample_is_refused_and_its_series_taken(
    bad: dict[str, object], path: str, reason: RejectReason, left: list[float]
) -> None:
    taken, refused = decode(series(**bad))
    assert refused == [(path, reason)]
    assert taken[0].value == left
    assert len(taken[0].at) == len(left)


def test_a_state_word_of_another_set_is_refused() -> None:
    taken, refused = decode(series(metric="door.state", value=["open", "ajar", "closed"]))
    assert taken[0].value == ["open", "closed"]
    assert refused == [("[0].value[1]", RejectReason.BAD_ITEM)]


def test_reasons_and_raw_values_stay_with_their_sample_when_another_is_dropped() -> None:
    body = series(value=["x", None, 22.0], quality=[0, 2, 0], reasons={"1": "sentinel"}, raws={"1": "32767"})
    taken, refused = decode(body)
    assert refused == [("[0].value[0]", RejectReason.BAD_ITEM)]
    first = taken[0].readings()[0]
    assert (first.value, first.quality, first.reason, first.raw) == (None, "bad", "sentinel", "32767")


def test_no_item_is_taken_that_is_no_json_object() -> None:
    taken, refused = items.decode_series([b"7", b"null", b"[]", b'"x"'], now_ms=NOW)
    assert not taken
    assert [item.path for item in refused] == ["[0]", "[1]", "[2]", "[3]"]


def test_an_alarm_item_is_an_event_or_a_snapshot_never_both_or_neither() -> None:
    taken, refused = items.decode_alarms([b'{"at":1}', b'{"snapshot":[],"at":1}', b"{}x"])
    assert [item.at for item in taken] == [1]
    assert [item.path for item in refused] == ["[2]", "[0]"]


def health(**changes: object) -> bytes:
    body = {"at": NOW, "version": "1", "config_digest": "", "uptime_s": 1.0, "unsent_blocks": 0, "unsent_bytes": 0,
            "oldest_unsent_s": 0.0, "journal_bytes": 0, "devices": 1, "devices_lost": 0, "readings": 1,
            "missed_slots": 0}  # fmt: skip
    return json.dumps({**body, **changes}).encode()


@pytest.mark.parametrize(
    "beyond",
    [
        {"at": 10**30},
        {"at": -1},
        {"readings": -1},
        {"journal_bytes": 2**63},
        {"drops": {"disk": 10**400}},
        {"rejected": {"bad_item": 2**63}},
        {"drops_before": {"s1": {"disk": 10**19}}},
        {"drops_before": {f"s{n}": {} for n in range(items.MOST_STREAMS + 1)}},
        {"readings_every_s": 1e306},
        {"spacing_s": 1e300},
        {"spacing_s": -5.0},
        {"thinned": -1},
        {"thinned": 2**63},
    ],
)
def test_figures_of_health_that_nothing_can_reckon_with_are_refused(beyond: dict[str, object]) -> None:
    most = {"readings": 2**63 - 1, "readings_every_s": 3600.0, "spacing_s": 0.0, "drops": {"disk": 2**63 - 1}}
    taken, refused = items.decode_health([health(**beyond), health(), health(**most)])
    assert [item.readings for item in taken] == [1, 2**63 - 1]
    assert [(item.path, item.reason) for item in refused] == [("[0]", RejectReason.BAD_ITEM)]
    assert len(refused[0].detail) < 100


_MIXED = st.lists(
    st.builds(
        Reading,
        device=st.sampled_from(("t-1", "t-2")),
        metric=st.sampled_from(("room.temperature", "no.such")),
        subject=st.sampled_from(("", "probe/1")),
        value=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        taken_at=st.integers(1, 10),
        quality=st.sampled_from(Quality),
        reason=st.one_of(st.none(), st.sampled_from(QualityReason)),
        raw=st.one_of(st.none(), st.text(max_size=3)),
    )
)


@given(st.lists(_MIXED, min_size=1, max_size=4))
def test_joined_blocks_are_one_of_all_their_readings(parts: list[list[Reading]]) -> None:
    apart = [msgspec.json.encode(items.series_of(part)) for part in parts]
    assert items.joined(apart) == items.series_of(reading for part in parts for reading in part)


def test_blocks_with_an_unreadable_series_are_not_joined() -> None:
    good = b'{"device":"t-1","metric":"room.temperature","at":[1],"value":[1.0]}'
    assert items.joined([b"[" + good + b"]", b'[{"device":1}]']) is None
    assert items.joined([b"[" + good + b"]", b"[" + good.replace(b"[1.0]", b"[1.0,2.0]") + b"]"]) is None
