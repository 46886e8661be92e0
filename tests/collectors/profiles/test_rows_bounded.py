"""Rows come and go: those long gone are forgotten, and a device with too many says so."""

from collectors.convert import FORGET_ROWS_MS, MAX_POINTS, Converter
from collectors.exchange import SnmpAnswer
from collectors.learnt import LearntCount
from facility.reading import QualityReason
from tests.collectors.speaking.profiles import profile

TABLE = "1.3.6.1.4.1.99.1.2"
ALONE = "1.3.6.1.4.1.99.1.1.0"
POINTS = [
    {"metric": "room.temperature", "subject": "probe/{index}", "from": [{"column": TABLE, "unit": "Cel"}]},
    {"metric": "room.humidity", "from": [{"oid": ALONE, "unit": "%"}]},
]
START = 1_800_000_000_000
DAY = 86_400_000


def subjects(converter: Converter) -> list[str]:
    return sorted(point.subject for point in converter.points() if point.metric == "room.temperature")


def test_a_row_that_left_is_forgotten_after_a_week_and_new_when_it_returns() -> None:
    converter = Converter(profile("snmp", POINTS), device="d")
    both = SnmpAnswer({f"{TABLE}.1": 20, f"{TABLE}.2": 21, ALONE: 40})
    one = SnmpAnswer({f"{TABLE}.1": 20}, {ALONE: QualityReason.NO_SUCH_OBJECT})
    converter.convert(both, taken_at=START)
    converter.convert(one, taken_at=START + 60_000)
    converter.convert(one, taken_at=START + FORGET_ROWS_MS - 60_000)
    assert subjects(converter) == ["probe/1", "probe/2"]
    assert converter.forgotten == 0
    converter.convert(one, taken_at=START + FORGET_ROWS_MS + DAY)
    assert subjects(converter) == ["probe/1"]
    assert converter.forgotten == 1
    # What stands alone is part of the device: it stays, whatever became of it.
    assert "room.humidity" in {point.metric for point in converter.points()}
    again = converter.convert(both, taken_at=START + FORGET_ROWS_MS + 2 * DAY)
    assert [reading.value for reading in again if reading.subject == "probe/2"] == [21.0]
    assert subjects(converter) == ["probe/1", "probe/2"]


def test_a_row_is_not_forgotten_while_its_table_is_not_answered() -> None:
    converter = Converter(profile("snmp", POINTS), device="d")
    converter.convert(SnmpAnswer({f"{TABLE}.1": 20, ALONE: 40}), taken_at=START)
    silent = SnmpAnswer({ALONE: 40}, {TABLE: QualityReason.TIMEOUT})
    for day in range(1, 30):
        converter.convert(silent, taken_at=START + day * DAY)
    assert subjects(converter) == ["probe/1"]
    # Nor because the clock was set.
    converter.convert(silent, taken_at=START - 400 * DAY)
    assert subjects(converter) == ["probe/1"]


def test_what_is_beyond_the_bound_is_counted_until_there_is_room() -> None:
    converter = Converter(profile("snmp", POINTS[:1]), device="d")
    many = {f"{TABLE}.{row}": 20 for row in range(1, MAX_POINTS + 4)}
    assert len(converter.convert(SnmpAnswer(many), taken_at=START)) == MAX_POINTS
    assert converter.left_out == 3
    converter.convert(SnmpAnswer({f"{TABLE}.1": 20}), taken_at=START + 1000)
    assert converter.left_out == 0


def test_counters_of_an_earlier_program_are_kept_until_the_device_has_long_shown_that_it_lacks_them() -> None:
    outlets = "1.3.6.1.4.1.99.1.3"
    energy = {"metric": "power.energy", "subject": "outlet/{index}", "from": [{"column": outlets, "unit": "Wh"}]}
    converter = Converter(profile("snmp", [energy, *POINTS[1:]]), device="d")
    known = [LearntCount("power.energy", f"outlet/{row}", 100.0, 3, START) for row in range(MAX_POINTS + 2)]
    converter.recall(known)
    assert converter.learnt() == tuple(known[:MAX_POINTS])
    # Silence is no word on them, however long it lasts.
    late = START + FORGET_ROWS_MS + DAY
    converter.convert(SnmpAnswer(failed=dict.fromkeys((outlets, ALONE), QualityReason.TIMEOUT)), taken_at=late)
    assert converter.learnt() == tuple(known[:MAX_POINTS])
    # A row that is back goes on where it was; those that are not left their table long ago.
    converter.convert(SnmpAnswer({f"{outlets}.1": 101, ALONE: 40}), taken_at=late + DAY)
    assert converter.learnt() == (LearntCount("power.energy", "outlet/1", 101.0, 3, late + DAY),)
