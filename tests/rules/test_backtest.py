"""A record played in long blocks says what the engine said live, poll by poll."""

import random
from collections import defaultdict
from collections.abc import Sequence

import pytest

from facility.alarms import AlarmEventKind
from facility.ids import new_id
from facility.reading import PointKey, Quality, Reading
from rules.backtest import Chunk, backtest
from rules.engine import Engine
from rules.facts import DeviceFacts
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
            ],
            number * BLOCK_MS,
            (number + 1) * BLOCK_MS - 1,
        )
        for number, by_point in sorted(columns.items())
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
