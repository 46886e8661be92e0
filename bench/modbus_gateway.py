"""Eight Modbus units behind one RTU gateway, one dead, one slow: `python bench/modbus_gateway.py [--seconds 120]`.

The gateway is a TCP server that passes RTU frames on to a serial line as slow as a real one (characters, turnaround,
one request at a time); the agent's own poller asks. A cycle is kept when all values of a unit's slot came, and right.
Ends with 1 if a healthy unit kept less than 99 % of its cycles, or any value was wrong.
"""

import argparse
import asyncio
import statistics
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agent.figures import Figures
from agent.poller import Poller
from collectors.device import ModbusLinks, ModbusTarget, PolledDevice, open_device
from collectors.exchange import PollOutcome
from collectors.modbus.target import Framing
from collectors.schedule import TICK_MS, missed_slots
from facility.clock import SystemClock, now_ms
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.collectors.speaking.profiles import probes

UNITS = range(1, 9)
DEAD, SLOW = 4, 6
# Three requests a poll: 20 registers, 10 registers, 1 register.
ADDRESSES = [*range(20), *range(100, 110), 150]
CHARACTER_BITS = 11
TURNAROUND_S = 0.02
WANTED = 0.99


@dataclass(slots=True)
class Kept:
    """What became of one unit's slots."""

    due: int = 0
    whole: int = 0
    partial: int = 0
    wrong: int = 0
    requests: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        return min(1.0, self.whole / self.due) if self.due else 0.0


def note(kept: Kept, outcome: PollOutcome) -> None:
    kept.requests += outcome.requests
    kept.seconds.append(outcome.seconds)
    if outcome.problem is not None:
        kept.problems[str(outcome.problem)] += 1
        return
    values = {each.subject: each.value for each in outcome.readings if each.metric == "room.temperature"}
    good = {subject: value for subject, value in values.items() if value is not None}
    kept.wrong += sum(value != int(subject.rpartition("/")[2]) / 10 for subject, value in good.items())
    if len(good) == len(ADDRESSES):
        kept.whole += 1
    else:
        kept.partial += 1


async def run(seconds: int, interval_s: int, slow_s: float, baud: int) -> dict[int, Kept]:
    async def line(frame: Frame, say: Say) -> None:
        if frame.unit == DEAD:
            return
        answer = frame.answer()
        await asyncio.sleep(
            (8 + len(answer)) * CHARACTER_BITS / baud + (slow_s if frame.unit == SLOW else TURNAROUND_S)
        )
        await say(answer)

    clock = SystemClock(asyncio.sleep)
    kept: dict[int, Kept] = defaultdict(Kept)
    deadline_s = min(interval_s * 0.8, 10.0)  # as a site has it that says nothing
    async with odd_gateway(line, rtu=True) as (port, _):
        links = ModbusLinks(clock=clock)
        pollers = {
            f"unit-{unit}": open_device(
                PolledDevice(
                    f"unit-{unit}",
                    probes(ADDRESSES),
                    ModbusTarget(
                        "127.0.0.1", port=port, unit=unit, timeout_s=min(deadline_s * 0.4, 2.0), framing=Framing.RTU
                    ),
                    interval_s,
                    deadline_s,
                ),
                clock=clock,
                modbus_links=links,
            )
            for unit in UNITS
        }
        poller = Poller(
            clock=clock,
            take=lambda outcome: note(kept[int(outcome.device.removeprefix("unit-"))], outcome),
            figures=Figures(),
        )
        poller.configure(pollers, dict.fromkeys(pollers, interval_s * 1000))
        first = now_ms(clock) // TICK_MS
        for unit in UNITS:
            kept[unit].due = missed_slots(f"unit-{unit}", interval_s * 1000, after=first - 1, until=first + seconds)
        # One interval more, so that the last slots can end.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + interval_s):
                await poller.run()
        await links.close()
    return dict(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--interval", type=int, default=5)
    parser.add_argument("--slow", type=float, default=1.2, help="seconds the slow unit thinks before each answer")
    parser.add_argument("--baud", type=int, default=9600)
    given = parser.parse_args()
    kept = asyncio.run(run(given.seconds, given.interval, given.slow, given.baud))
    print("| unit | slots | kept whole | share | partial | wrong | lost | requests | poll p50 s | max s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for unit, each in sorted(kept.items()):
        name = f"{unit} dead" if unit == DEAD else f"{unit} slow" if unit == SLOW else str(unit)
        print(
            f"| {name} | {each.due} | {each.whole} | {100 * each.share:.1f} % | {each.partial} | {each.wrong} | "
            f"{dict(each.problems) or ''} | {each.requests} | {statistics.median(each.seconds):.2f} | "
            f"{max(each.seconds):.2f} |"
        )
    healthy = [each for unit, each in kept.items() if unit not in (DEAD, SLOW)]
    worst = min(each.share for each in healthy)
    print(f"\nhealthy units: worst {100 * worst:.1f} % of cycles kept, wanted {100 * WANTED:.0f} %")
    return int(worst < WANTED or any(each.wrong for each in kept.values()))


if __name__ == "__main__":
    sys.exit(main())
