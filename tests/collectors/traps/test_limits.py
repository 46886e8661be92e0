"""How much a sender may say, what was said before, and when a device is asked."""

from dataclasses import replace

from collectors.traps.confirming import APART_S, Confirmations
from collectors.traps.limits import (
    BURST,
    FIRST_WORD_S,
    INFORM_AGAIN_S,
    MAX_REMEMBERED,
    NEXT_WORD_S,
    QUIET_S,
    RATE,
    TRAP_AGAIN_S,
    Flood,
    Gate,
    Repeats,
)
from collectors.traps.notification import Notification, SnmpWord

INFORM = Notification("10.0.0.1", 50000, SnmpWord.V2C, True, "1.3.6.1.4.1.318.0.5", 7, 100)


def said(gate: Gate, source: str, times: int, at: float) -> int:
    return sum(gate.admit(source, at) for _ in range(times))


def test_a_burst_passes_and_then_so_many_a_second() -> None:
    gate = Gate()
    gate.knows(["10.0.0.1"])
    assert said(gate, "10.0.0.1", 500, 0.0) == BURST
    assert said(gate, "10.0.0.1", 500, 1.0) == RATE


def test_strangers_share_one_allowance_and_take_nothing_from_the_devices() -> None:
    gate = Gate()
    gate.knows(["10.0.0.1"])
    assert sum(gate.admit(f"192.0.2.{n % 250}", 0.0) for n in range(5000)) == BURST
    assert said(gate, "10.0.0.1", 50, 0.0) == 50
    assert [flood.source for flood in gate.floods(QUIET_S)] == [""]


def test_a_flood_is_summed_up_once_when_it_is_over() -> None:
    gate = Gate()
    gate.knows(["a"])
    said(gate, "a", BURST + 40, 0.0)
    said(gate, "a", 3 + round(RATE), 1.0)
    assert gate.floods(2.0) == []
    assert gate.floods(1.0 + QUIET_S) == [Flood("a", 43, 1.0)]
    assert gate.floods(2 * QUIET_S) == []


def test_a_flood_that_does_not_end_is_told_early_and_then_seldom() -> None:
    gate = Gate()
    gate.knows(["a"])
    told: list[float] = []
    dropped = 0
    for second in range(1500):
        said(gate, "a", 50, float(second))
        for flood in gate.floods(float(second)):
            told.append(float(second))
            dropped += flood.dropped
    began = 2.0  # the burst lasts so long
    assert told == [began + FIRST_WORD_S + times * NEXT_WORD_S for times in range(3)]
    (last,) = gate.floods(1500.0 + QUIET_S)
    assert dropped + last.dropped + BURST + 1499 * RATE == 50 * 1500, "each dropped trap is in one summary"


def test_the_same_inform_is_known_for_minutes_and_a_doubled_trap_for_a_moment() -> None:
    repeats = Repeats()
    assert not repeats.again(INFORM, 0.0)
    assert repeats.again(INFORM, 60.0)
    assert not repeats.again(replace(INFORM, request_id=8), 60.0)
    assert not repeats.again(replace(INFORM, uptime=6100), 60.0), "a card that numbers all its messages alike"
    assert not repeats.again(INFORM, INFORM_AGAIN_S)
    trap = replace(INFORM, inform=False)
    assert not repeats.again(trap, 0.0)
    assert repeats.again(trap, 0.1)
    assert not repeats.again(trap, TRAP_AGAIN_S)
    repeats.forget(trap)
    assert not repeats.again(trap, TRAP_AGAIN_S)


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats()
    for number in range(MAX_REMEMBERED + 1):
        repeats.again(replace(INFORM, request_id=number), 0.0)
    assert not repeats.again(replace(INFORM, request_id=0), 1.0), "the oldest is forgotten"
    assert repeats.again(replace(INFORM, request_id=MAX_REMEMBERED), 1.0)


def test_a_device_is_asked_at_once_and_then_no_sooner_than_apart() -> None:
    polls = Confirmations()
    assert polls.wait(0.0) is None
    polls.want("a")
    assert (polls.wait(0.0), polls.due(0.0)) == (0.0, ["a"])
    for at in (0.1, 1.0, 2.0):
        polls.want("a")
        assert polls.due(at) == []
    polls.want("b")
    assert polls.due(2.0) == ["b"], "another device need not wait"
    assert polls.wait(2.0) == APART_S - 2.0
    assert polls.due(APART_S) == ["a"], "what came soon after a poll is not forgotten"
    assert polls.wait(APART_S) is None
    polls.want("a")
    polls.knows(frozenset({"b"}))
    assert polls.due(100.0) == []
