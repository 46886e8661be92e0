"""Ticks that come late: a device is asked once for what fell due meanwhile; what is too late for that is missed."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent.figures import Figures
from agent.poller import Poller
from collectors.bus import GiveWay
from collectors.exchange import PollOutcome
from facility.clock import SystemClock
from tests.support.virtual_loop import run_virtual

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


def loop_clock() -> SystemClock:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return SystemClock(asyncio.sleep, monotonic=asyncio.get_running_loop().time, wall=lambda: began)


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


def test_a_device_that_is_added_is_asked_at_its_slot_and_one_that_is_gone_no_more() -> None:
    async def life() -> tuple[int, int, int, int]:
        figures = Figures()
        poller = Poller(clock=loop_clock(), take=lambda outcome: None, figures=figures)
        devices = {name: Asked(name) for name in ("stays", "goes", "comes")}
        first = {name: devices[name] for name in ("stays", "goes")}
        poller.configure(first, dict.fromkeys(first, 600_000))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(1200.5)
        # In the middle of a wait of minutes.
        then = {name: devices[name] for name in ("stays", "comes")}
        poller.configure(then, {"stays": 600_000, "comes": 2_000})
        gone = devices["goes"].polls
        await asyncio.sleep(1200.5)
        running.cancel()
        assert devices["goes"].polls == gone
        return devices["stays"].polls, gone, devices["comes"].polls, figures.missed_slots

    assert run_virtual(life()) == (4, 2, 600, 0)


def test_a_poller_without_devices_waits_for_some() -> None:
    async def life() -> tuple[int, int]:
        figures = Figures()
        poller = Poller(clock=loop_clock(), take=lambda outcome: None, figures=figures)
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(3600)
        device = Asked("late")
        poller.configure({"late": device}, {"late": 1_000})
        await asyncio.sleep(10.5)
        running.cancel()
        # What lies before it was there is no slot of its.
        return device.polls, figures.missed_slots

    assert run_virtual(life()) == (10, 0)
