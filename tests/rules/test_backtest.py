"""A record played in long blocks says what the engine said live, poll by poll."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest

from facility.alarms import AlarmEventKind
from facility.ids import new_id
from facility.reading import PointKey, Quality, Reading
from rules.backtest import Chunk, Hole, Would, backtest
from rules.engine import Engine
from rules.facts import DeviceFacts
from rules.files import library
from rules.model import RuleSet
from tests.rules.support import TEMPERATURE, high, rule
from tests.rules.test_derived import RETURN, STATE, SUPPLY, crac, running, spread

RULES = RuleSet((
    running(missing="ignore").model_copy(update={"id": "running"}),
    spread().model_copy(update={"id": "spread"}),
    high(id="hot", metric=RETURN, for_="30s"),
    rule(id="off", metric=STATE, state={"off": "minor"}, flap="off"),
))  # fmt: skip
UNITS = [crac(name) for name in ("c1", "c2", "c3")]
BLOCK_MS = 600_000


def polls(seed: int) -> list[list[Reading]]:
    """Two hours of three units, each polled every ten seconds at its own moment; now and then one cannot be read."""
    dice = random.Random(seed)
    found: list[list[Reading]] = []
    states = dict.fromkeys(("c1", "c2", "c3"), "on")
    for tick in range(720):
        for n, device in enumerate(states):
            at = tick * 10_000 + n * 1_700
            if dice.random() < 0.03:
                states[device] = "off" if states[device] == "on" else "on"
            values: list[tuple[str, float | str]] = [
                (STATE, states[device]), (SUPPLY, 15.0), (RETURN, dice.choice((16.0, 24.0, 30.0))),
            ]  # fmt: skip
            failed = dice.random() < 0.02
            quality = Quality.BAD if failed else Quality.GOOD
            found.append([
                Reading(device, metric, "", None if failed else value, at, quality) for metric, value in values
            ])  # fmt: skip
    return found


def blocks(taken: Sequence[list[Reading]]) -> list[Chunk]:
    """The same in columns of ten minutes."""
    columns: dict[int, dict[PointKey, list[Reading]]] = defaultdict(lambda: defaultdict(list))
    for poll in taken:
        for each in poll:
            columns[each.taken_at // BLOCK_MS][each.point].append(each)
    return [
        Chunk(
            [
                (point, [r.taken_at for r in rows], [r.value for r in rows], [r.quality is Quality.GOOD for r in rows])
                for point, rows in by_point.items()
            ]
        )
        for _, by_point in sorted(columns.items())
    ]


@pytest.mark.parametrize("seed", range(8))
def test_blocks_of_ten_minutes_say_what_was_said_live(seed: int) -> None:
    taken = polls(seed)
    live = Engine(RULES, UNITS, origin="edge-1", new_id=new_id, started_ms=0)
    events = [event for poll in taken for event in live.advance(poll[0].taken_at) + live.samples(poll)]
    raised = sorted((event.rule, event.device, event.at) for event in events if event.kind is AlarmEventKind.RAISED)
    ended = sorted((event.rule, event.device, event.at) for event in events if event.kind is AlarmEventKind.ENDED)
    report = backtest(RULES, UNITS, blocks(taken))
    assert sorted((each.rule, each.device, each.raised_ms) for each in report.alarms) == raised
    assert sorted((w.rule, w.device, w.ended_ms) for w in report.alarms if w.ended_ms is not None) == ended
    assert {rule for rule, _, _ in raised} >= {"running", "off"}


def test_a_point_of_the_record_that_no_catalog_names_is_an_input_too() -> None:
    nameless = [DeviceFacts(unit.id, unit.kind, room=unit.room, interval_s=10) for unit in UNITS]
    assert backtest(RULES, nameless, blocks(polls(1))) == backtest(RULES, UNITS, blocks(polls(1)))


def test_without_numbers_columns_are_played_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[int] = []
    series = Engine.series

    def noted(self: Engine, key: PointKey, times: Sequence[int], *more: object) -> object:
        whole.append(len(times))
        return series(self, key, times, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "series", noted)
    taken = [[Reading("d1", TEMPERATURE, "", 20.0, at)] for at in range(0, 1_200_000, 10_000)]
    backtest(RuleSet((high(), *RULES)), [DeviceFacts("d1", "sensor"), *UNITS], blocks(taken))
    assert whole == [60, 60]


MINUTE = 60_000
HOUR = 60 * MINUTE
GONE = rule(id="gone", metric=TEMPERATURE, absent={"after": "10m", "severity": "minor"})


def sensor(name: str) -> DeviceFacts:
    return DeviceFacts(name, "sensor", points=(PointKey(name, TEMPERATURE, ""),), interval_s=30)


def each_half_minute(name: str, begin: int, end: int, value: float = 20.0) -> list[list[Reading]]:
    return [[Reading(name, TEMPERATURE, "", value, at)] for at in range(begin, end, 30_000)]


def heard(name: str, words: Sequence[tuple[int, int, str]], subject: str = "") -> list[list[Reading]]:
    return [
        [Reading(name, "device.communication", subject, word, at)]
        for begin, end, word in words
        for at in range(begin, end, 30_000)
    ]


def wide(*taken: list[list[Reading]]) -> list[Chunk]:
    """All of it in one chunk, however long."""
    columns: dict[PointKey, list[Reading]] = defaultdict(list)
    for poll in (poll for each in taken for poll in each):
        columns[poll[0].point].append(poll[0])
    return [
        Chunk([(point, [r.taken_at for r in rows], [r.value for r in rows], None) for point, rows in columns.items()])
    ]


def of(alarms: Sequence[Would]) -> list[tuple[str, str, int, int | None]]:
    return [(each.rule, each.device, each.raised_ms, each.ended_ms) for each in alarms]


@pytest.mark.parametrize("cut", [blocks, wide])
def test_the_time_an_agent_was_off_counts_for_nobody(cut: Callable[[list[list[Reading]]], list[Chunk]]) -> None:
    taken = sorted(
        (
            poll
            for name in ("d1", "d2")
            for poll in each_half_minute(name, 0, HOUR) + each_half_minute(name, 5 * HOUR, 6 * HOUR)
        ),
        key=lambda poll: poll[0].taken_at,
    )
    report = backtest(RuleSet((GONE,)), [sensor("d1"), sensor("d2")], cut(taken))
    assert report.raised == {}
    assert report.holes == [Hole("", HOUR - 30_000, 5 * HOUR)]
    assert report.silent_ms == 4 * HOUR + 30_000


def test_an_alarm_that_stood_when_the_agent_went_off_stands_when_it_is_back() -> None:
    taken = each_half_minute("d1", 0, HOUR, 30.0) + each_half_minute("d1", 5 * HOUR, 5 * HOUR + MINUTE, 30.0)
    taken += each_half_minute("d1", 5 * HOUR + MINUTE, 6 * HOUR)
    report = backtest(RuleSet((high(for_="1m"),)), [sensor("d1")], blocks(taken))
    assert [(each.raised_ms, each.ended_ms) for each in report.alarms] == [(MINUTE, 5 * HOUR + MINUTE)]


def test_a_point_that_is_silent_while_another_is_heard_is_absent() -> None:
    taken = each_half_minute("d1", 0, HOUR) + each_half_minute("d1", 2 * HOUR, 3 * HOUR)
    report = backtest(RuleSet((GONE,)), [sensor("d1"), sensor("d2")], wide(taken, each_half_minute("d2", 0, 3 * HOUR)))
    assert of(report.alarms) == [("gone", "d1", HOUR - 30_000 + 10 * MINUTE, 2 * HOUR)]
    assert report.holes == []


def test_a_device_that_does_not_answer_is_not_absent_in_a_wide_chunk() -> None:
    taken = each_half_minute("d1", 0, HOUR) + each_half_minute("d1", 2 * HOUR, 3 * HOUR)
    words = [(0, HOUR, "ok"), (HOUR, 2 * HOUR, "lost"), (2 * HOUR, 3 * HOUR, "ok")]
    assert backtest(RuleSet((GONE,)), [sensor("d1")], wide(taken, heard("d1", words))).raised == {}


def test_a_lost_part_says_nothing_of_its_device_in_a_wide_chunk() -> None:
    taken = each_half_minute("d1", 0, HOUR) + each_half_minute("d1", 2 * HOUR, 3 * HOUR)
    words = heard("d1", [(0, 3 * HOUR, "ok")])
    probe = heard("d1", [(0, 3 * HOUR, "lost")], subject="probe/1")
    report = backtest(RuleSet((GONE,)), [sensor("d1")], wide(taken, words, probe))
    assert of(report.alarms) == [("gone", "d1", HOUR - 30_000 + 10 * MINUTE, 2 * HOUR)]


@pytest.mark.parametrize("cut", [blocks, wide])
def test_of_a_device_that_came_later_nothing_was_expected_before(
    cut: Callable[[list[list[Reading]]], list[Chunk]],
) -> None:
    taken = each_half_minute("d1", 0, 4 * HOUR) + each_half_minute("new", 2 * HOUR, 3 * HOUR)
    taken.sort(key=lambda poll: poll[0].taken_at)
    report = backtest(RuleSet((GONE,)), [sensor("d1"), sensor("new")], cut(taken))
    assert of(report.alarms) == [("gone", "new", 3 * HOUR - 30_000 + 10 * MINUTE, None)]


def test_each_agent_has_its_own_holes() -> None:
    taken = each_half_minute("d1", 0, HOUR) + each_half_minute("d1", 5 * HOUR, 6 * HOUR)
    record = wide(taken, each_half_minute("d2", 0, 6 * HOUR))
    report = backtest(RuleSet((GONE,)), [sensor("d1"), sensor("d2")], record, agents={"d1": "one", "d2": "two"})
    assert report.raised == {}
    assert report.holes == [Hole("one", HOUR - 30_000, 5 * HOUR)]


def test_rules_of_the_centre_are_judged_over_all_agents() -> None:
    source = "ups.output.source"
    units = [DeviceFacts(name, "ups", points=(PointKey(name, source, ""),), interval_s=30) for name in ("u1", "u2")]
    taken = [
        [Reading(unit.id, source, "", "battery" if HOUR <= at < 2 * HOUR else "mains", at)]
        for at in range(0, 3 * HOUR, 30_000)
        for unit in units
    ]
    only = RuleSet(tuple(rule for rule in library() if rule.id == "site-ups-several-on-battery"))
    report = backtest(only, units, blocks(taken), agents={"u1": "one", "u2": "two"})
    assert of(report.alarms) == [("site-ups-several-on-battery", "site", HOUR + 10_000, 2 * HOUR + 30_000)]


def test_progress_is_told_with_each_chunk() -> None:
    told: list[int] = []
    backtest(RuleSet((GONE,)), [sensor("d1")], blocks(each_half_minute("d1", 0, HOUR)), progress=told.append)
    assert told == [20] * 6
