"""What the converter does with answers that are partial, odd, too fast or out of order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.convert import Converter
from collectors.exchange import ModbusAnswer, ModbusNeeds, SnmpAnswer, SnmpNeeds, SnmpValue, Span, Table
from facility.profile import Profile
from facility.reading import Quality, QualityReason, Reading
from facility.sources import Source

OID = "1.3.6.1.4.1.99999."
NO, LATE = QualityReason.NO_SUCH_OBJECT, QualityReason.TIMEOUT


def _profile(*points: dict[str, Any], protocol: str = "snmp", **more: Any) -> Profile:
    return Profile.model_validate(
        {
            "id": "acme/m1",
            "title": {"en": "Acme", "zh": "Acme"},
            "vendor": "Acme",
            "model": "M1",
            "kind": "environment",
            "protocol": protocol,
            "maturity": "documented",
            "provenance": "made for a test",
            "points": list(points),
            **more,
        }
    )


TEMPERATURE = {"metric": "room.temperature", "from": {"oid": OID + "1.0", "unit": "Cel", "scale": 0.1}}
SOURCE_IN_KELVIN = {"oid": OID + "1.0", "unit": "K", "scale": 1000.0}
TABLE = {"metric": "room.temperature", "subject": "probe/{index}", "from": {"column": OID + "2.1", "unit": "Cel"}}


def _read(
    converter: Converter,
    values: dict[str, SnmpValue],
    at: int = 1000,
    *,
    failed: dict[str, QualityReason] | None = None,
) -> list[Reading]:
    return converter.convert(
        SnmpAnswer(values=values, failed={OID + key: why for key, why in (failed or {}).items()}), taken_at=at
    )


def _only(readings: list[Reading]) -> Reading:
    assert len(readings) == 1
    return readings[0]


def test_an_object_that_never_was_there_is_silent_and_one_that_was_is_reported() -> None:
    converter = Converter(_profile(TEMPERATURE), device="d")
    assert _read(converter, {}, failed={"1.0": NO}) == []
    assert converter.points() == []
    assert _only(_read(converter, {OID + "1.0": 214})).value == 21.4
    assert [info.metric for info in converter.points()] == ["room.temperature"]
    lost = _only(_read(converter, {}, 2000, failed={"1.0": LATE}))
    assert (lost.value, lost.quality, lost.reason) == (None, Quality.BAD, LATE)
    gone = _only(_read(converter, {}, 3000, failed={"1.0": NO}))
    assert gone.reason is NO


def test_rows_of_a_failed_walk_are_bad_and_rows_that_left_are_so_once() -> None:
    converter = Converter(_profile(TABLE), device="d")
    assert len(_read(converter, {OID + "2.1.1": 20, OID + "2.1.2": 21})) == 2
    failed = _read(converter, {}, 2000, failed={"2.1": LATE})
    assert {(r.subject, r.reason) for r in failed} == {("probe/1", LATE), ("probe/2", LATE)}
    left = _read(converter, {OID + "2.1.2": 21}, 3000)
    assert [(r.subject, r.value, r.reason) for r in left] == [("probe/2", 21.0, None), ("probe/1", None, NO)]
    assert [r.subject for r in _read(converter, {OID + "2.1.2": 21}, 4000)] == ["probe/2"]
    assert {r.subject for r in _read(converter, {OID + "2.1.1": 20, OID + "2.1.2": 21}, 5000)} == {"probe/1", "probe/2"}


def test_a_condition_that_was_not_answered_does_not_hide_a_known_point() -> None:
    point = TEMPERATURE | {"when": {"oid": OID + "3.0", "in": [1]}}
    converter = Converter(_profile(point), device="d")
    assert _read(converter, {OID + "1.0": 214, OID + "3.0": 2}) == []
    assert _only(_read(converter, {OID + "1.0": 214, OID + "3.0": 1}, 2000)).good
    assert _only(_read(converter, {OID + "1.0": 214}, 3000, failed={"3.0": LATE})).reason is LATE
    assert _read(converter, {OID + "1.0": 214}, 4000, failed={"3.0": NO}) == []


def test_a_value_faster_than_the_quantity_is_refused_until_time_allows_it() -> None:
    converter = Converter(_profile(TEMPERATURE | {"slew": 0.5}), device="d")
    assert _only(_read(converter, {OID + "1.0": 200}, 0)).value == 20.0
    jump = _only(_read(converter, {OID + "1.0": 400}, 10_000))
    assert (jump.value, jump.reason, jump.raw) == (None, QualityReason.SLEW, "400")
    assert _only(_read(converter, {OID + "1.0": 400}, 39_000)).reason is QualityReason.SLEW
    assert _only(_read(converter, {OID + "1.0": 400}, 41_000)).value == 40.0


def test_a_value_after_the_clock_was_set_back_is_measured_by_none_before() -> None:
    converter = Converter(_profile(TEMPERATURE | {"slew": 0.5}), device="d")
    assert _only(_read(converter, {OID + "1.0": 200}, 3_600_000)).value == 20.0
    assert _only(_read(converter, {OID + "1.0": 201}, 10_000)).value == 20.1
    assert _only(_read(converter, {OID + "1.0": 400}, 20_000)).reason is QualityReason.SLEW


@pytest.mark.parametrize(("raw", "reason"), [(1200, QualityReason.OUT_OF_RANGE), (b"warm", QualityReason.BAD_TYPE)])
def test_the_impossible_is_no_number(raw: SnmpValue, reason: QualityReason) -> None:
    reading = _only(_read(Converter(_profile(TEMPERATURE), device="d"), {OID + "1.0": raw}))
    assert (reading.value, reading.quality, reading.reason) == (None, Quality.BAD, reason)
    assert reading.raw == (raw.decode() if isinstance(raw, bytes) else str(raw))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"9" * 400, QualityReason.BAD_TYPE),
        (b"9" * 5000, QualityReason.BAD_TYPE),
        (b"0." + b"9" * 5000, QualityReason.BAD_TYPE),
        ("٢٥".encode(), QualityReason.BAD_TYPE),
        (float("inf"), QualityReason.BAD_TYPE),
        (1.7e308, QualityReason.OUT_OF_RANGE),
    ],
)
def test_numbers_no_float_can_hold_are_none(raw: SnmpValue, reason: QualityReason) -> None:
    assert _only(_read(Converter(_profile(TEMPERATURE | {"from": SOURCE_IN_KELVIN}), device="d"), {OID + "1.0": raw})
                 ).reason is reason  # fmt: skip


@pytest.mark.parametrize("counted", ["²", "9" * 5000, "", "-1", "x"])
def test_a_count_of_rows_that_is_none_hides_no_row(counted: str) -> None:
    converter = Converter(_profile(TABLE | {"rows": {"oid": OID + "3.0"}}), device="d")
    values: dict[str, SnmpValue] = {OID + "3.0": counted.encode(), OID + "2.1.1": 20, OID + "2.1.2": 21}
    assert [each.value for each in _read(converter, values)] == [20, 21]


@pytest.mark.parametrize("key", ["scale", "offset"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_profile_scales_by_numbers_only(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        _profile({"metric": "room.temperature", "from": {"oid": OID + "1.0", "unit": "Cel", key: value}})


def test_a_profiles_own_range_replaces_the_registers() -> None:
    converter = Converter(_profile(TEMPERATURE | {"range": [0, 200]}), device="d")
    assert _only(_read(converter, {OID + "1.0": 1200})).value == 120.0


def test_not_a_number_is_no_number() -> None:
    converter = Converter(_profile({"metric": "room.temperature", "from": {"holding": 0, "type": "f32", "unit": "Cel"}},
                                   protocol="modbus"), device="d")  # fmt: skip
    answer = ModbusAnswer(values={(Table.HOLDING, 0): 0x7FC0, (Table.HOLDING, 1): 0})
    assert _only(converter.convert(answer, taken_at=1)).reason is QualityReason.BAD_TYPE


def test_the_first_good_source_wins_and_a_doubtful_one_waits_for_a_better() -> None:
    point = {"metric": "ups.output.current", "from": [
        {"oid": OID + "1.0", "unit": "A", "scale": 0.1, "absent": [-1], "doubtful": [0]},
        {"oid": OID + "2.0", "unit": "A", "doubtful": [0]},
    ]}  # fmt: skip
    converter = Converter(_profile(point), device="d")

    def seen(first: int, second: int | None) -> tuple[object, str]:
        values: dict[str, SnmpValue] = {OID + "1.0": first}
        if second is not None:
            values[OID + "2.0"] = second
        sourced = converter.convert_sourced(SnmpAnswer(values=values), taken_at=1)
        return sourced[0].reading.value, sourced[0].source

    assert seen(34, 3) == (3.4, OID + "1.0")
    assert seen(0, 3) == (3.0, OID + "2.0")
    assert seen(-1, 3) == (3.0, OID + "2.0")
    assert seen(0, 0) == (0.0, OID + "1.0")
    assert seen(0, None) == (0.0, OID + "1.0")


def test_an_unknown_state_is_unknown_and_uncertain_and_keeps_what_was_said() -> None:
    point = {"metric": "leak.state", "from": {"oid": OID + "1.0", "states": {0: "dry", 1: "leak"}}}
    reading = _only(_read(Converter(_profile(point), device="d"), {OID + "1.0": 7}))
    assert (reading.value, reading.quality) == ("unknown", Quality.UNCERTAIN)
    assert (reading.reason, reading.raw) == (QualityReason.UNKNOWN_STATE, "7")


def test_an_alarm_in_several_registers_is_told_by_the_first_that_has_one() -> None:
    point = {
        "metric": "ups.battery.state",
        "from": [
            {"holding": 1, "bits": {1: "low"}, "passes": True},
            {"coil": 5, "type": "flag", "states": {1: "disconnected"}, "passes": True},
            {"holding": 9, "bits": {3: "fault"}, "otherwise": "normal"},
        ],
    }
    converter = Converter(_profile(point, protocol="modbus"), device="ups-1")

    def read(low: int, coil: int, fault: int) -> Reading:
        cells = {(Table.HOLDING, 1): low, (Table.COIL, 5): coil, (Table.HOLDING, 9): fault}
        return _only(converter.convert(ModbusAnswer(values=cells), taken_at=1))

    assert [read(1, 0, 0).value, read(2, 1, 8).value, read(4, 1, 8).value, read(0, 0, 8).value] == [
        "normal", "low", "disconnected", "fault",
    ]  # fmt: skip
    silent = ModbusAnswer(values={(Table.HOLDING, 9): 0}, failed={(Table.HOLDING, 1): LATE, (Table.COIL, 5): NO})
    assert _only(converter.convert(silent, taken_at=2)).reason is LATE
    lacking = ModbusAnswer(values={(Table.HOLDING, 1): 0, (Table.HOLDING, 9): 0}, failed={(Table.COIL, 5): NO})
    assert _only(converter.convert(lacking, taken_at=3)).value == "normal"


def test_a_condition_found_in_a_column_outranks_a_state_and_passes_where_it_is_not() -> None:
    found = {"column": "1.3.1.2", "contains": {"1.3.9.72": "battery"}, "passes": True}
    state = {"oid": "1.3.1.1.0", "states": {"2": "normal", "3": "bypass"}}
    converter = Converter(_profile({"metric": "ups.output.source", "from": [found, state]}), device="d")
    assert _only(_read(converter, {"1.3.1.1.0": 2})).value == "normal"
    assert _only(_read(converter, {"1.3.1.1.0": 2, "1.3.1.2.5": "1.3.9.71"})).value == "normal"
    assert _only(_read(converter, {"1.3.1.1.0": 2, "1.3.1.2.5": "1.3.9.72"})).value == "battery"


def test_unit_and_scale_may_stand_in_the_device() -> None:
    point = {
        "metric": "room.pressure.differential",
        "from": {
            "holding": 4,
            "type": "s16",
            "unit_from": {"holding": 2, "map": {1: "kPa", 2: "Pa"}},
            "scale_from": {"holding": 3, "decimals": True},
        },
    }
    converter = Converter(_profile(point, protocol="modbus"), device="d")

    def seen(unit: int, decimals: int, value: int) -> Reading:
        cells = {(Table.HOLDING, 2): unit, (Table.HOLDING, 3): decimals, (Table.HOLDING, 4): value}
        return _only(converter.convert(ModbusAnswer(values=cells), taken_at=1))

    assert seen(2, 1, 123).value == 12.3
    assert seen(1, 3, 0xFFF6).value == -10.0
    assert seen(9, 1, 123).reason is QualityReason.UNKNOWN_STATE


def test_a_register_may_hold_the_factor_itself() -> None:
    """A meter behind a current transformer of 200:5 counts a fortieth of what flows."""
    point = {
        "metric": "power.current",
        "from": {"holding": 1, "scale": 0.01, "unit": "A", "scale_from": {"holding": 2, "factor": True}},
    }
    converter = Converter(_profile(point, protocol="modbus"), device="meter-1")

    def seen(raw: int, ratio: int) -> Reading:
        cells = {(Table.HOLDING, 1): raw, (Table.HOLDING, 2): ratio}
        return _only(converter.convert(ModbusAnswer(values=cells), taken_at=1))

    assert seen(123, 40).value == 49.2
    assert seen(123, 0).reason is QualityReason.UNKNOWN_STATE


def test_a_scale_is_told_by_the_size_of_other_values_and_holds_once_told() -> None:
    steps = {"steps": [{"at_least": 800, "factor": 0.1}], "at_most": 6500}
    of = [{"oid": "1.3.1.9.0"}, {"column": "1.3.1.2"}]
    source = {"column": "1.3.1.1", "unit": "V", "scale_by": {"of": of, **steps}}

    def volts(*answers: SnmpAnswer) -> list[float | str | None]:
        converter = Converter(
            _profile({"metric": "ups.input.voltage", "subject": "phase/L{i1}", "from": source}), device="d"
        )
        return [
            reading.value
            for at, answer in enumerate(answers)
            for reading in converter.convert(answer, taken_at=1000 * (at + 1))
        ]

    def said(mains: int, output: int | str, nominal: SnmpValue | None = None) -> SnmpAnswer:
        values: dict[str, SnmpValue] = {"1.3.1.1.1": mains}
        if output != "":
            values["1.3.1.2.1"] = output
        return SnmpAnswer(values=values if nominal is None else values | {"1.3.1.9.0": nominal})

    assert volts(said(230, 231)) == [230.0]
    assert volts(said(2301, 2310)) == [230.1]
    assert volts(said(2301, "", b"2200")) == [230.1]
    assert volts(said(501, 2310), said(230, 0)) == [50.1, 23.0]  # a brownout, then an outage of all but the input
    assert volts(said(230, 65535)) == [230.0]  # no value tells no scale
    lost = SnmpAnswer(values={"1.3.1.1.1": 501}, failed={"1.3.1.2": QualityReason.TIMEOUT})
    assert volts(lost) == [None]  # whole volts or tenths: nobody knows yet
    assert volts(said(2301, 2310), lost) == [230.1, 50.1]
    assert volts(said(230, 231), lost) == [230.0, 501.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": [{"at_least": 800, "factor": 0}], "at_most": 6500},
        {"steps": [{"at_least": 800, "factor": 0.1}], "at_most": 700},
        {"steps": [{"at_least": 800, "factor": 0.1}, {"at_least": 80, "factor": 0.01}], "at_most": 6500},
        {"steps": [], "at_most": 6500},
    ],
)
def test_a_scale_by_that_cannot_tell_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"factor of 0|steps rise|at least 1"):
        Source.model_validate({"oid": "1.3.1.0", "unit": "V", "scale_by": {"of": {"oid": "1.3.2.0"}, **wrong}})


def test_binary_scale_and_offset_and_pattern() -> None:
    points = (
        {"metric": "room.temperature", "from": {"oid": OID + "1.0", "unit": "Cel", "binary_scale": 7, "offset": -10}},
        {"metric": "room.humidity", "from": {"oid": OID + "2.0", "unit": "%", "pattern": r"([0-9.]+) ?%"}},
    )
    readings = _read(Converter(_profile(*points), device="d"), {OID + "1.0": 3201, OID + "2.0": b"RH 45.5 %"})
    assert [reading.value for reading in readings] == [3201 / 128 - 10, 45.5]


def test_names_of_rows_become_subjects_and_labels() -> None:
    point = TABLE | {"subject": "probe/{name}", "name": {"column": OID + "2.2"}}
    converter = Converter(_profile(point), device="d")
    values: dict[str, SnmpValue] = {OID + "2.1.5": 20, OID + "2.2.5": "冷 Aisle A/1".encode(), OID + "2.1.6": 21}
    assert [reading.subject for reading in _read(converter, values)] == ["probe/冷-Aisle-A-1", "probe/6"]
    assert converter.points()[0].zh == "温度：冷 Aisle A/1"


def test_modbus_points_are_known_and_asked_for_before_the_first_answer() -> None:
    points = (
        {"metric": "room.temperature", "from": {"input": 1, "type": "s16", "unit": "Cel", "scale": 0.1}},
        {"metric": "air.pressure.barometric", "from": {"holding": 8, "type": "f32", "unit": "hPa"}},
    )
    profile = _profile(*points, protocol="modbus", modbus={"gap": 3, "max_block": 20, "pause_ms": 7})
    converter = Converter(profile, device="d", address_offset=-1)
    assert converter.needs() == ModbusNeeds(
        spans=(Span(Table.INPUT, 0), Span(Table.HOLDING, 7, 2)), gap=3, max_block=20, pause_ms=7
    )
    assert [info.metric for info in converter.points()] == ["room.temperature", "air.pressure.barometric"]
    answer = ModbusAnswer(values={(Table.INPUT, 0): 214}, failed={(Table.HOLDING, 7): QualityReason.EXCEPTION})
    first, second = converter.convert(answer, taken_at=1)
    assert first.value == 21.4
    assert (second.value, second.reason) == (None, QualityReason.EXCEPTION)


def test_a_register_that_says_there_is_no_such_phase_makes_no_point_until_it_has_a_value() -> None:
    point = {
        "metric": "ups.input.voltage",
        "subject": "phase/L2",
        "from": {"holding": 1, "unit": "V", "absent": [65535]},
    }
    converter = Converter(_profile(point, protocol="modbus"), device="ups-1")

    def read(raw: int, at: int) -> list[Reading]:
        return converter.convert(ModbusAnswer(values={(Table.HOLDING, 1): raw}), taken_at=at)

    assert converter.points() == []
    assert read(65535, 1) == []
    assert _only(read(230, 2)).value == 230.0
    assert _only(read(65535, 3)).reason is QualityReason.SENTINEL


def test_an_answer_of_the_other_protocol_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="speaks snmp"):
        Converter(_profile(TEMPERATURE), device="d").convert(ModbusAnswer(), taken_at=1)


def test_needs_name_each_object_once() -> None:
    point = TEMPERATURE | {"when": {"oid": OID + "1.0", "present": True}}
    needs = Converter(_profile(point, TABLE), device="d").needs()
    assert needs == SnmpNeeds(gets=(OID + "1.0",), walks=(OID + "2.1",))


def test_a_table_indexed_by_kind_gives_each_point_only_its_rows() -> None:
    point = TABLE | {"subject": "inlet/{i1}.{i2}", "only": {3: [10, 11]}}
    values: dict[str, SnmpValue] = {OID + "2.1.1.4.10": 21, OID + "2.1.1.4.5": 99, OID + "2.1.1.4": 98}
    assert [(r.subject, r.value) for r in _read(Converter(_profile(point), device="d"), values)] == [
        ("inlet/1.4", 21.0)
    ]


def test_a_text_in_an_index_names_the_subject() -> None:
    converter = Converter(_profile(TABLE | {"subject": "outlet/{t2}/{i1}"}), device="d")
    values: dict[str, SnmpValue] = {OID + "2.1.7.3.65.49.66": 21, OID + "2.1.8.3.65": 22}
    assert [r.subject for r in _read(converter, values)] == ["outlet/A1B/7", "outlet/A/8"]


_RAWS = st.one_of(st.integers(-100, 2000), st.sampled_from(["", "21", b"x"]), st.none())
_ROUNDS = st.lists(st.tuples(_RAWS, _RAWS, st.sampled_from([None, NO, LATE])), min_size=1, max_size=8)


@given(_ROUNDS)
def test_the_short_way_for_plain_numbers_says_what_the_long_one_does(
    rounds: list[tuple[SnmpValue | None, SnmpValue | None, QualityReason | None]],
) -> None:
    """`convert` takes a short way where a point is one number; `convert_sourced` never does."""
    plain = {"metric": "room.humidity", "from": {"oid": OID + "3.0", "unit": "%", "scale": 0.1}}
    twice = [{"metric": "room.dew_point", "from": {"oid": OID + f"{n}.0", "unit": "Cel"}} for n in (4, 5)]
    profile = _profile(TEMPERATURE, plain, *twice)
    short, long = Converter(profile, device="d1"), Converter(profile, device="d1")
    for number, (one, other, why) in enumerate(rounds):
        pairs = zip(("1.0", "3.0", "4.0", "5.0"), (one, other, other, one), strict=True)
        values = {OID + name: value for name, value in pairs if value is not None}
        failed = {OID + name: why for name in ("1.0", "3.0") if why is not None and OID + name not in values}
        answer = SnmpAnswer(values=values, failed=failed)
        expected = [each.reading for each in long.convert_sourced(answer, taken_at=1000 * number)]
        made = short.convert(answer, taken_at=1000 * number)
        by_point = {reading.point: reading for reading in made}
        assert by_point == {reading.point: reading for reading in expected}
        assert len(made) == len(expected)
