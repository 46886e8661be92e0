"""Tables whose rows come, go and move: a subject is bound to what names the row in the device."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.convert import Converter
from collectors.device import SnmpTarget
from collectors.exchange import PollOutcome, SnmpAnswer, SnmpValue
from collectors.snmp.uptime import SYS_UPTIME
from collectors.subjects import Names
from facility.reading import QualityReason
from tests.collectors.speaking.awkward_agent import GET, GETBULK, Request, arcs, awkward_agent, v2c
from tests.collectors.speaking.profiles import poller, profile

VALUE, NAME = "1.3.6.1.4.1.99.5.1.2", "1.3.6.1.4.1.99.5.1.3"
NO, LATE = QualityReason.NO_SUCH_OBJECT, QualityReason.TIMEOUT
Rows = dict[int, tuple[str, int]]

PROBES = profile(
    "snmp",
    [
        {
            "metric": "room.temperature",
            "subject": "probe/{name}",
            "name": {"column": NAME},
            "from": [{"column": VALUE, "unit": "Cel"}],
        }
    ],
    kind="environment",
)


class Sensors:
    """An agent with a table of named sensors that a test may reorder between polls."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.mute = ""  # a column that is not answered

    def __call__(self, request: Request) -> list[bytes]:
        if request.kind == GET:
            return [request.reply([(oid, 100 if oid == SYS_UPTIME else None) for oid in request.oids])]
        if self.mute and request.oids[0].startswith(self.mute):
            return []
        table: list[tuple[str, Any]] = [(f"{VALUE}.{row}", self.rows[row][1]) for row in sorted(self.rows)]
        table += [(f"{NAME}.{row}", v2c.OctetString(self.rows[row][0].encode())) for row in sorted(self.rows)]
        table.append(("1.3.6.1.4.1.99.9.0", 0))
        after = [each for each in table if arcs(each[0]) > arcs(request.oids[0])]
        count = int(v2c.apiBulkPDU.get_max_repetitions(request.pdu)) if request.kind == GETBULK else 1
        return [request.reply(after[:count])]


def told(outcome: PollOutcome) -> dict[str, float | str | QualityReason | None]:
    """By subject: the value, or why there is none."""
    return {
        reading.subject.removeprefix("probe/"): reading.reason if reading.value is None else reading.value
        for reading in outcome.readings
        if reading.subject
    }


async def test_rows_that_move_keep_their_subject_and_rows_that_leave_are_bad_once() -> None:
    agent = Sensors({1: ("cold", 18), 2: ("hot", 35), 3: ("冷通道", 19)})
    async with awkward_agent(agent) as (port, _):
        device = poller(SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.1), PROBES)
        assert told(await device.poll()) == {"cold": 18.0, "hot": 35.0, "冷通道": 19.0}
        agent.rows = {1: ("冷通道", 19), 2: ("cold", 18), 7: ("hot", 35)}
        assert told(await device.poll()) == {"cold": 18.0, "hot": 35.0, "冷通道": 19.0}
        agent.rows = {4: ("hot", 35), 5: ("new", 22)}
        assert told(await device.poll()) == {"cold": NO, "hot": 35.0, "冷通道": NO, "new": 22.0}
        assert told(await device.poll()) == {"hot": 35.0, "new": 22.0}
        agent.rows[1] = ("cold", 18)
        assert told(await device.poll()) == {"cold": 18.0, "hot": 35.0, "new": 22.0}


async def test_values_whose_names_are_not_answered_are_nobodys() -> None:
    agent = Sensors({1: ("cold", 18), 2: ("hot", 35)})
    async with awkward_agent(agent) as (port, _):
        device = poller(SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=0.05), PROBES)
        assert told(await device.poll()) == {"cold": 18.0, "hot": 35.0}
        agent.rows = {1: ("hot", 35), 2: ("cold", 18)}
        agent.mute = NAME
        for _ in range(2):
            assert told(await device.poll()) == {"cold": LATE, "hot": LATE}
        agent.mute = ""
        assert told(await device.poll()) == {"cold": 18.0, "hot": 35.0}


def test_two_metrics_of_a_row_have_one_subject_also_where_names_repeat() -> None:
    humidity = "1.3.6.1.4.1.99.5.1.4"
    point = {"metric": "room.humidity", "subject": "probe/{name}", "name": {"column": NAME}}
    both = profile(
        "snmp", [PROBES.points[0].model_dump(by_alias=True), {**point, "from": [{"column": humidity, "unit": "%"}]}]
    )
    converter = Converter(both, device="d")
    values: dict[str, SnmpValue] = {f"{NAME}.{row}": b"Rack" for row in (1, 2)}
    values |= {f"{VALUE}.1": 20, f"{VALUE}.2": 21, f"{humidity}.2": 45}
    readings = converter.convert(SnmpAnswer(values), taken_at=1)
    assert {(r.metric, r.subject, r.value) for r in readings} == {
        ("room.temperature", "probe/Rack", 20.0),
        ("room.temperature", "probe/Rack-2", 21.0),
        ("room.humidity", "probe/Rack-2", 45.0),
    }


@pytest.mark.parametrize(
    ("polls", "last"),
    [
        (["a a b"], "a a-2 b"),
        (["b a a", "a b a"], "a b a-2"),  # nobody at row 1 or 3 said so before: the first by index again
        (["a a", "- a"], "- a-2"),  # who was told apart stays so
        (["a a", "- a", "a a"], "a a-2"),
        (["- a", "a a"], "a-2 a"),  # the newcomer is numbered, not the one who had the name
        (["a-2 a a"], "a-2 a a-3"),  # a number that somebody is really called is not given
        (["a.b a/b a b"], "a.b a-b a b"),
    ],
)
def test_names_that_repeat_are_numbered_by_index_and_kept(polls: Sequence[str], last: str) -> None:
    names = Names()
    for poll in polls:
        got = names.unique({str(row): name for row, name in enumerate(poll.split(), start=1) if name != "-"})
    assert got == {str(row): name for row, name in enumerate(last.split(), start=1) if name != "-"}


@given(st.lists(st.dictionaries(st.integers(1, 6).map(str), st.sampled_from(["a", "a-2", "a/2", "b", "柜", "-", ""]))))
def test_no_two_rows_ever_share_a_name(polls: list[dict[str, str]]) -> None:
    names = Names()
    for said in polls:
        got = names.unique(said)
        assert len(set(got.values())) == len(got)
        assert got == names.unique(said)
        fresh = Names().unique(said)
        assert set(fresh) == set(got) == {index for index, name in said.items() if name.strip("-")}


ENERGY = "1.3.6.1.4.1.99.6.0"


def energies(raws: Sequence[tuple[int, bool]], wraps_at: int | None = 2**32) -> list[float | None]:
    source = {"oid": ENERGY, "unit": "kWh", "scale": 0.1}
    if wraps_at is not None:
        source["wraps_at"] = wraps_at
    converter = Converter(profile("snmp", [{"metric": "power.energy", "from": [source]}]), device="d")
    found: list[float | None] = []
    for at, (raw, restarted) in enumerate(raws, start=1):
        (reading,) = converter.convert(SnmpAnswer({ENERGY: raw}), taken_at=at * 1000, restarted=restarted)
        assert reading.value is not None or reading.reason is QualityReason.SLEW
        found.append(None if reading.value is None else round(float(reading.value) / 100, 6))
    return found


@pytest.mark.parametrize(
    ("wraps_at", "raws", "totals"),
    [
        (2**32, [(2**32 - 5, False), (7, False), (9, False)], [2**32 - 5, 2**32 + 7, 2**32 + 9]),
        (2**16, [(65_000, False), (100, False), (60_000, False), (50, False)], [65_000, 65_636, 125_536, 131_122]),
        (2**64, [(10**10, False), (5, False), (6, False)], [10**10, None, 6]),  # nobody lives to see that wrap
        (2**32, [(2**32 - 5, False), (7, True)], [2**32 - 5, 7]),  # the device began anew: a reset
        (2**32, [(5000, False), (0, False), (5001, False)], [5000, None, 5001]),  # a glitch
        (2**32, [(5000, False), (3, False), (4, False)], [5000, None, 4]),  # a reset by hand
        (None, [(5000, False), (3, False), (4, False)], [5000, None, 4]),
    ],
)
def test_a_wrap_of_a_counter_is_told_from_a_reset(
    wraps_at: int | None, raws: list[tuple[int, bool]], totals: list[float | None]
) -> None:
    assert energies(raws, wraps_at) == totals


@pytest.mark.parametrize(
    ("raws", "totals"),
    [
        ([(0, 65_534), (3600, 65_535), (7200, 0), (10_800, 1)], [65_534, 65_535, 65_536, 65_537]),
        # A compressor of seven years is replaced: its hours do not go on, though the way past the end is short.
        ([(0, 60_000), (60, 0), (120, 0)], [60_000, None, 0]),
        # Three months without an answer, and the counter went past its end meanwhile.
        ([(0, 65_000), (90 * 86_400, 1_600)], [65_000, 67_136]),
    ],
)
def test_hours_cannot_gain_more_than_has_passed(raws: list[tuple[int, int]], totals: list[float | None]) -> None:
    source = {"oid": ENERGY, "unit": "h", "wraps_at": 65_536}
    converter = Converter(profile("snmp", [{"metric": "crac.compressor.run_hours", "from": [source]}]), device="d")
    found = []
    for seconds, raw in raws:
        (reading,) = converter.convert(SnmpAnswer({ENERGY: raw}), taken_at=(1 + seconds) * 1000)
        found.append(None if reading.value is None else float(reading.value) / 3600)
    assert found == totals


def test_only_counters_wrap() -> None:
    with pytest.raises(ValueError, match="is no counter"):
        profile("snmp", [{"metric": "room.temperature", "from": [{"oid": ENERGY, "unit": "Cel", "wraps_at": 65536}]}])


def test_rows_that_are_no_rows_do_not_appear_when_their_count_is_not_answered() -> None:
    counted = "1.3.6.1.4.1.99.7.0"
    point = {
        "metric": "room.temperature",
        "subject": "probe/{index}",
        "rows": {"oid": counted},
        "from": [{"column": VALUE, "unit": "Cel"}],
    }
    converter = Converter(profile("snmp", [point]), device="d")
    table: dict[str, SnmpValue] = {f"{VALUE}.1": 20, f"{VALUE}.2": 0}  # the card fills the table with zeros
    first = converter.convert(SnmpAnswer(table | {counted: 1}), taken_at=1)
    second = converter.convert(SnmpAnswer(table, {counted: LATE}), taken_at=2)
    assert [[(r.subject, r.value) for r in readings] for readings in (first, second)] == [[("probe/1", 20.0)]] * 2
