"""What happens in a run, drawn from its seed: when which fault falls on whom, and for how long."""

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.simulation.rulebook import EDITED, REMOVED, RULES

EDGES = ("edge-1", "edge-2")
CENTRE = "server"
BEFORE_COMMIT, AFTER_COMMIT, RESTART = "before a commit", "after a commit", "with a restart"
# Nothing falls before the programs are up, nor into the last minutes: what is left of a run must drain.
FIRST_S, LAST_S = 45.0, 120.0


class Fault(StrEnum):
    LINK_CUT = "link cut"
    LINK_BAD = "link bad"
    KILL = "kill"
    POWER_CUT = "power cut"
    DISK_FULL = "disk full"
    DISK_ERROR = "disk error"
    DEVICE_DEAD = "device dead"
    DEVICE_SLOW = "device slow"
    DEVICE_PARTIAL = "device partial"
    DEVICE_LYING = "device lying"
    CLOCK_JUMP = "clock jump"
    NO_CLOCK = "no clock"
    RELOAD = "reload"
    DEVICE_RETIRED = "device retired"
    DEVICE_MOVED = "device moved"


@dataclass(frozen=True, slots=True)
class Event:
    """One fault. amount: how bad.

    where: of a kill, at any moment or before or after the victim's next commit; of a disk error, whether the program is
    killed in the middle of it and begins anew at once; of a reload, what became of which rule, for so long; of a
    device that is retired or moved for so long, whether the agents read that from their files by beginning anew.
    """

    at: float
    fault: Fault
    victim: str
    seconds: float
    where: str = ""
    amount: float = 0.0

    def __str__(self) -> str:
        where = f" {self.where}" if self.where else ""
        return f"{self.at:8.1f} s  {self.fault}{where}: {self.victim}, {self.seconds:.0f} s, {self.amount:.2f}"


_WEIGHTS = {
    Fault.LINK_CUT: 5,
    Fault.LINK_BAD: 5,
    Fault.KILL: 8,
    Fault.POWER_CUT: 3,
    Fault.DISK_FULL: 2,
    Fault.DISK_ERROR: 2,
    Fault.DEVICE_DEAD: 2,
    Fault.DEVICE_SLOW: 2,
    Fault.DEVICE_PARTIAL: 2,
    Fault.DEVICE_LYING: 2,
    Fault.CLOCK_JUMP: 1,
    Fault.NO_CLOCK: 1,
    Fault.RELOAD: 2,
    Fault.DEVICE_RETIRED: 1,
    Fault.DEVICE_MOVED: 1,
}


def draw(
    dice: random.Random, *, seconds: float, devices: list[str], only: Collection[Fault] = tuple(Fault)
) -> list[Event]:
    """The faults of a run, in order; some three an hour, at least six. only: the kinds to draw from."""
    count = dice.randint(6, max(6, round(seconds / 1200)) + 6)
    weights = {fault: weight for fault, weight in _WEIGHTS.items() if fault in only}
    found = []
    for _ in range(count):
        at = dice.uniform(FIRST_S, max(seconds - LAST_S, FIRST_S + 1))
        fault = dice.choices(list(weights), list(weights.values()))[0]
        event = _event(dice, at, fault, devices)
        # Nothing outlasts the run.
        found.append(replace(event, seconds=min(event.seconds, seconds - at)))
    return sorted(found, key=lambda event: event.at)


def _event(dice: random.Random, at: float, fault: Fault, devices: list[str]) -> Event:
    anybody = dice.choice((*EDGES, CENTRE, CENTRE))
    match fault:
        case Fault.LINK_CUT:
            return Event(at, fault, anybody, 10 ** dice.uniform(0, 3.86))  # 1 s to 2 h
        case Fault.LINK_BAD:
            return Event(at, fault, anybody, dice.uniform(30, 1800), amount=dice.uniform(0.05, 1.0))
        case Fault.KILL | Fault.POWER_CUT:
            return Event(at, fault, anybody, 10 ** dice.uniform(0, 2), dice.choice(("", BEFORE_COMMIT, AFTER_COMMIT)))
        case Fault.DISK_FULL:
            return Event(at, fault, anybody, dice.uniform(10, 1200))
        case Fault.DISK_ERROR:
            # From one statement in a thousand to every one.
            return Event(
                at, fault, anybody, dice.uniform(10, 1200), dice.choice(("", RESTART)), 10 ** dice.uniform(-3, 0)
            )
        case Fault.CLOCK_JUMP:
            jump = dice.choice((-1, 1)) * dice.choice((5.0, 120.0, 3600.0))
            return Event(at, fault, dice.choice(EDGES), 0.0, amount=jump)
        case Fault.NO_CLOCK:
            # So long it is off, and so long it then goes without.
            return Event(at, fault, dice.choice(EDGES), 10 ** dice.uniform(0, 2), amount=10 ** dice.uniform(0.5, 3.2))
        case Fault.RELOAD:
            what = f"{dice.choice(sorted(RULES))} {dice.choice((EDITED, REMOVED))}"
            return Event(at, fault, dice.choice(EDGES), 10 ** dice.uniform(0.5, 3.3), what)
        case Fault.DEVICE_RETIRED | Fault.DEVICE_MOVED:
            return Event(at, fault, dice.choice(devices), 10 ** dice.uniform(0.5, 3.3), dice.choice(("", RESTART)))
    return Event(at, fault, dice.choice(devices), dice.uniform(20, 1800), amount=dice.uniform(0.1, 0.9))
