"""The queue of a bus, with pollers of a few lines."""

import asyncio

import pytest

from collectors.bus import PATIENCE, Bus, GiveWay
from collectors.exchange import PollOutcome


class Scripted:
    """A poller that waits for leave before it answers."""

    def __init__(self, name: str, *, healthy: bool = True, fault: Exception | None = None) -> None:
        self.name = name
        self.healthy = healthy
        self.fault = fault
        self.leave = asyncio.Event()
        self.leave.set()
        self.polls = 0
        self.requests = 1

    async def poll(self, give_way: GiveWay | None = None) -> PollOutcome:
        self.polls += 1
        for _ in range(self.requests - 1):
            if give_way is not None:
                await give_way()
        await self.leave.wait()
        if self.fault is not None:
            raise self.fault
        return PollOutcome(self.name, 0, 0.0, 1, ())


def bus_of(key: str, *pollers: Scripted) -> Bus:
    return Bus(key, {poller.name: poller for poller in pollers})


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("key", ["snmp:ups", "modbus:gateway:502"])
async def test_a_slot_that_comes_while_a_device_is_asked_is_counted_and_not_queued(key: str) -> None:
    one = Scripted("one")
    one.leave.clear()
    bus = bus_of(key, one)
    outcomes: list[str] = []
    first = asyncio.create_task(bus.run(["one"], lambda outcome: outcomes.append(outcome.device)))
    await settle()
    await bus.run(["one"], lambda outcome: outcomes.append(outcome.device))
    await bus.run(["one"], lambda outcome: outcomes.append(outcome.device))
    one.leave.set()
    await first
    assert one.polls == 1
    assert outcomes == ["one"]
    assert bus.missed == {"one": 2}
    assert (bus.newly_missed().total(), bus.newly_missed().total()) == (2, 0), (
        "each missed slot is told once, whoever asks"
    )
    await bus.run(["one"], lambda outcome: outcomes.append(outcome.device))
    assert one.polls == 2


async def test_units_of_a_gateway_take_turns_and_devices_of_a_host_go_together() -> None:
    for key, together in (("modbus:gateway:502", 1), ("snmp:ups", 3)):
        units = [Scripted(name) for name in "abc"]
        for unit in units:
            unit.leave.clear()
        bus = bus_of(key, *units)
        run = asyncio.create_task(bus.run("abc", lambda outcome: None))
        await settle()
        assert sum(unit.polls for unit in units) == together
        for unit in units:
            unit.leave.set()
        await run
        assert [unit.polls for unit in units] == [1, 1, 1]


@pytest.mark.parametrize("key", ["snmp:ups", "modbus:gateway:502"])
async def test_a_fault_of_ours_with_one_device_stops_no_other_and_is_not_hidden(key: str) -> None:
    bus = bus_of(key, Scripted("bad", fault=ZeroDivisionError("ours")), Scripted("good"))
    outcomes: list[str] = []
    with pytest.raises(ExceptionGroup) as raised:
        await bus.run(["bad", "good"], lambda outcome: outcomes.append(outcome.device))
    assert [type(fault) for fault in raised.value.exceptions] == [ZeroDivisionError]
    assert outcomes == ["good"]


async def test_a_cancelled_run_leaves_the_queue_usable() -> None:
    slow, other = Scripted("slow"), Scripted("other")
    slow.leave.clear()
    bus = bus_of("modbus:gateway:502", slow, other)
    run = asyncio.create_task(bus.run(["slow", "other"], lambda outcome: None))
    await settle()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert other.polls == 0
    slow.leave.set()
    await bus.run(["slow", "other"], lambda outcome: None)
    assert (slow.polls, other.polls) == (2, 1)
    assert not bus.missed


async def test_a_suspect_is_asked_in_the_end_however_much_there_is_to_do() -> None:
    suspect = Scripted("suspect", healthy=False)
    live = [Scripted(f"live-{number}") for number in range(PATIENCE + 10)]
    order: list[str] = []
    await bus_of("modbus:gateway:502", suspect, *live).run(
        ["suspect", *(poller.name for poller in live)], lambda outcome: order.append(outcome.device)
    )
    assert order.index("suspect") == PATIENCE


async def test_an_id_of_another_bus_is_refused_before_anything_is_asked() -> None:
    one = Scripted("one")
    bus = bus_of("snmp:ups", one)
    with pytest.raises(KeyError, match="elsewhere is not on snmp:ups"):
        await bus.run(["one", "elsewhere"], lambda outcome: None)
    assert one.polls == 0
    await bus.run(["one"], lambda outcome: None)
    assert one.polls == 1


@pytest.mark.parametrize("key", ["snmp:ups", "modbus:gateway:502"])
async def test_news_of_a_device_waits_for_the_poll_under_way_and_asks_once_more(key: str) -> None:
    one = Scripted("one")
    one.leave.clear()
    bus = bus_of(key, one)
    outcomes: list[str] = []
    regular = asyncio.create_task(bus.run(["one"], lambda _: outcomes.append("regular")))
    await settle()
    asked = asyncio.create_task(bus.ask("one", lambda _: outcomes.append("asked")))
    await settle()
    assert one.polls == 1, "what is under way may have read before the news"
    one.leave.set()
    await asyncio.gather(regular, asked)
    assert outcomes == ["regular", "asked"]
    assert bus.missed == {}


async def test_one_that_takes_long_lets_in_who_waits_and_answers_but_no_suspect() -> None:
    long, quick, also, suspect = (
        Scripted(name, healthy=name != "suspect") for name in ("long", "quick", "also", "suspect")
    )
    long.requests = 3
    bus = bus_of("modbus:/dev/ttyUSB0", long, quick, also, suspect)
    order: list[str] = []
    await bus.run(["long", "quick", "suspect", "also"], lambda outcome: order.append(outcome.device))
    assert order == ["quick", "also", "long", "suspect"]
    assert long.polls == quick.polls == also.polls == suspect.polls == 1
    assert not bus.missed


async def test_a_fault_of_one_that_was_let_in_is_its_own() -> None:
    long, bad = Scripted("long"), Scripted("bad", fault=ZeroDivisionError("ours"))
    long.requests = 2
    outcomes: list[str] = []
    with pytest.raises(ExceptionGroup):
        await bus_of("modbus:gateway:502", long, bad).run(
            ["long", "bad"], lambda outcome: outcomes.append(outcome.device)
        )
    assert outcomes == ["long"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_call_that_ends_takes_no_turn_of_a_later_one(turns: int) -> None:
    quick, slow = Scripted("quick"), Scripted("slow")
    slow.leave.clear()
    bus = bus_of("snmp:host", quick, slow)
    first = asyncio.create_task(bus.run(["quick", "slow"], lambda outcome: None))
    await settle()
    slow.leave.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    await bus.run(["quick"], lambda outcome: None)
    await first
    assert (quick.polls, bus.missed.total()) == (2, 0)
