"""Ticks that come late: a device is asked once for what fell due meanwhile; what is too late for that is missed."""

import asyncio

import pytest

from agent.figures import Figures
from agent.poller import Poller
from collectors.bus import GiveWay
from collectors.exchange import PollOutcome
from facility.clock import SystemClock

INTERVAL_S = 10
DEVICES = 40


class HeldUpClock(SystemClock):
    """A second passes with each sleep, and more of them where the program is held up."""

    def __init__(self, seconds: list[int]) -> None:
        self._now = 1_000_000.0
        self._seconds = iter(seconds)
        super().__init__(self._pass, monotonic=lambda: self._now)

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left = next(self._seconds, None)
        if left is None:
            raise asyncio.CancelledError
        self._now += left


class Asked:
    bus = "snmp:host"
    healthy = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.polls = 0

    async def poll(self, give_way: GiveWay | None = None) -> PollOutcome:
        self.polls += 1
        return PollOutcome(self.name, 0, 0.0, 1, ())


@pytest.mark.parametrize(
    ("seconds", "polls", "missed"),
    [
        ([1] * 39, 4, 0),  # the first tick and 39 more: four intervals
        ([1] * 9 + [4] + [1] * 26, 4, 0),  # held up for 4 s: late, and every slot is kept
        ([1] * 4 + [25] + [1] * 10, None, None),  # for 25 s: one poll in place of two or three
    ],
)
async def test_a_slot_is_missed_when_the_next_has_come(
    seconds: list[int], polls: int | None, missed: int | None
) -> None:
    clock, figures = HeldUpClock(seconds), Figures()
    devices = {f"d{number}": Asked(f"d{number}") for number in range(DEVICES)}
    poller = Poller(clock=clock, take=lambda outcome: None, figures=figures)
    poller.configure(devices, dict.fromkeys(devices, INTERVAL_S * 1000))
    with pytest.raises(asyncio.CancelledError):
        await poller.run()
    made = [device.polls for device in devices.values()]
    if polls is not None:
        assert (set(made), figures.missed_slots) == ({polls}, missed)
    # Every slot of the time is either kept or counted.
    assert sum(made) + figures.missed_slots == DEVICES * (1 + sum(seconds)) // INTERVAL_S
