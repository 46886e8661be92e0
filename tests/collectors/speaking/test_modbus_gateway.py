"""Against pymodbus's server: merged reads, holes that are learnt, and dead and slow units behind one gateway."""

import asyncio
import time

import pytest
from pymodbus.constants import ExcCodes

from collectors.bus import Bus
from collectors.device import ModbusLinks, ModbusTarget
from collectors.exchange import PollOutcome, PollProblem
from facility.reading import QualityReason
from tests.collectors.speaking.gateway import Unit, gateway
from tests.collectors.speaking.profiles import ShiftedClock, poller, probes, profile, reasons, system_clock, values
from tests.support.peers import free_port


def target(port: int, unit: int = 1, timeout_s: float = 0.2, address_offset: int = 0) -> ModbusTarget:
    return ModbusTarget("127.0.0.1", port=port, unit=unit, timeout_s=timeout_s, address_offset=address_offset)


def read(addresses: list[int], base: int = 0) -> dict[str, float | str | None]:
    return {
        "device.communication": "ok",
        **{f"room.temperature#probe/{address}": (base + address) / 10 for address in addresses},
    }


async def test_neighbours_are_read_in_one_request_over_one_connection() -> None:
    unit = Unit(base=100)
    async with gateway({1: unit}) as port:
        links = ModbusLinks(clock=system_clock())
        device = poller(target(port), probes([3, 4, 9, 60]), links=links)
        for _ in range(3):
            outcome = await device.poll()
            assert values(outcome) == read([3, 4, 9, 60], 100)
            assert outcome.requests == 2
        assert unit.asked[:2] == [(3, 3, 7), (3, 60, 1)]
        assert links.link(ModbusTarget("127.0.0.1", port=port)).connects == 1
        await links.close()


async def test_input_registers_and_an_address_offset() -> None:
    unit = Unit()
    async with gateway({7: unit}) as port:
        links = ModbusLinks(clock=system_clock())
        outcome = await poller(target(port, 7, address_offset=1), probes([20], table="input"), links=links).poll()
        assert values(outcome)["room.temperature#probe/20"] == 2.1
        assert unit.asked == [(4, 21, 1)]
        await links.close()


async def test_a_hole_in_a_gap_is_learnt_and_the_points_around_it_arrive_from_the_first_cycle() -> None:
    """Seen with other software: 174, 176 and 177 wanted, 175 does not exist."""
    unit = Unit(refuses=lambda at, count: ExcCodes.ILLEGAL_ADDRESS if at <= 175 < at + count else None)
    async with gateway({1: unit}) as port:
        links = ModbusLinks(clock=system_clock())
        device = poller(target(port), probes([174, 176, 177]), links=links)
        for cycle in range(3):
            unit.asked.clear()
            outcome = await device.poll()
            assert values(outcome) == read([174, 176, 177])
            if cycle:
                assert unit.asked == [(3, 174, 1), (3, 176, 2)]
        assert device.plan() == [
            "unit 1: FC03 holding:174",
            "unit 1: FC03 holding:176-177",
            "learnt: no request may reach across holding:176",
        ]
        await links.close()


async def test_a_learnt_hole_is_tried_again_after_a_day_and_not_before() -> None:
    fitted = False
    unit = Unit(refuses=lambda at, count: ExcCodes.ILLEGAL_ADDRESS if not fitted and at <= 12 < at + count else None)
    async with gateway({1: unit}) as port:
        clock = ShiftedClock()
        links = ModbusLinks(clock=clock)
        device = poller(target(port), probes([11, 12, 13]), links=links, clock=clock)
        await device.poll()
        fitted = True
        clock.ahead_s += 23.9 * 3600
        assert values(await device.poll())["room.temperature#probe/12"] is None
        clock.ahead_s += 0.2 * 3600
        unit.asked.clear()
        assert values(await device.poll()) == read([11, 12, 13])
        assert unit.asked == [(3, 11, 3)]
        await links.close()


@pytest.mark.parametrize("code", [ExcCodes.ILLEGAL_FUNCTION, ExcCodes.ILLEGAL_ADDRESS, ExcCodes.ILLEGAL_VALUE])
async def test_a_register_that_is_not_there_costs_only_itself_and_is_not_asked_again(code: ExcCodes) -> None:
    unit = Unit(refuses=lambda at, count: code if at <= 12 < at + count else None)
    wanted = list(range(10, 18))
    async with gateway({1: unit}) as port:
        links = ModbusLinks(clock=system_clock())
        device = poller(target(port), probes(wanted), links=links)
        first = await device.poll()
        assert {key: value for key, value in values(first).items() if value is not None} == read(
            [address for address in wanted if address != 12]
        )
        assert reasons(first) == {"room.temperature#probe/12": QualityReason.NO_SUCH_OBJECT}
        unit.asked.clear()
        second = await device.poll()
        assert reasons(second) == reasons(first)
        assert unit.asked == [(3, 10, 2), (3, 13, 5)]
        await links.close()


async def test_a_device_failure_of_one_register_costs_only_itself_and_is_asked_again() -> None:
    broken = True
    unit = Unit(refuses=lambda at, count: ExcCodes.DEVICE_FAILURE if broken and at <= 12 < at + count else None)
    async with gateway({1: unit}) as port:
        links = ModbusLinks(clock=system_clock())
        device = poller(target(port), probes([11, 12, 13]), links=links)
        outcome = await device.poll()
        assert reasons(outcome) == {"room.temperature#probe/12": QualityReason.EXCEPTION}
        assert values(outcome)["room.temperature#probe/13"] == 1.3
        broken = False
        assert values(await device.poll()) == read([11, 12, 13])
        await links.close()


async def test_blocks_the_device_is_too_small_for_are_cut_where_it_says() -> None:
    unit = Unit(refuses=lambda at, count: ExcCodes.ILLEGAL_VALUE if count > 10 else None)
    wanted = list(range(40))
    async with gateway({1: unit}) as port:
        links = ModbusLinks(clock=system_clock())
        device = poller(target(port), probes(wanted), links=links)
        for _ in range(4):
            unit.asked.clear()
            assert values(await device.poll()) == read(wanted)
        assert sorted(count for _, _, count in unit.asked) == [10, 10, 10, 10]
        await links.close()


async def test_eight_units_one_dead_one_slow_keep_their_cycles() -> None:
    """Silence of one unit neither closes the connection of the others nor takes their turn."""
    units = {number: Unit(base=10 * number) for number in range(1, 9) if number != 4}
    units[6].slow_s = 0.1
    async with gateway(units) as port:
        links = ModbusLinks(clock=system_clock())
        devices = {
            f"unit-{number}": poller(
                target(port, number, 0.4), probes([1, 2]), name=f"unit-{number}", links=links, interval_s=1.0
            )
            for number in range(1, 9)
        }
        bus = Bus(f"modbus:127.0.0.1:{port}", devices)
        outcomes: list[PollOutcome] = []
        live_times: list[float] = []
        for cycle in range(10):
            started = time.monotonic()

            def take(outcome: PollOutcome, started: float = started, cycle: int = cycle) -> None:
                outcomes.append(outcome)
                if outcome.device != "unit-4" and cycle:
                    live_times.append(time.monotonic() - started)

            await bus.run(devices, take)
        dead = [outcome for outcome in outcomes if outcome.device == "unit-4"]
        live = [outcome for outcome in outcomes if outcome.device != "unit-4"]
        assert len(live) == 70
        for outcome in live:
            base = 10 * int(outcome.device.removeprefix("unit-"))
            assert values(outcome) == read([1, 2], base), outcome
        # From the second cycle on the dead unit goes last: the others take what the slow one takes, and no timeout.
        assert max(live_times) < 0.4
        assert {outcome.problem for outcome in dead} == {PollProblem.TIMEOUT, PollProblem.BACKING_OFF}
        assert sum(outcome.requests for outcome in dead) <= 4
        assert links.link(ModbusTarget("127.0.0.1", port=port)).connects == 1
        assert not bus.missed
        await links.close()


async def test_a_unit_due_later_goes_before_a_suspect_that_waits() -> None:
    units = {1: Unit(), 2: Unit(slow_s=0.05)}
    async with gateway(units) as port:
        links = ModbusLinks(clock=system_clock())
        devices = {
            name: poller(target(port, unit), probes([1]), name=name, links=links)
            for name, unit in (("live", 1), ("slow", 2), ("dead-a", 8), ("dead-b", 9))
        }
        bus = Bus(f"modbus:127.0.0.1:{port}", devices)
        order: list[str] = []
        for name in ("dead-a", "dead-b"):
            await bus.run([name], lambda outcome: None)
        async with asyncio.TaskGroup() as group:
            group.create_task(bus.run(["dead-a", "dead-b", "slow"], lambda outcome: order.append(outcome.device)))
            await asyncio.sleep(0)
            group.create_task(bus.run(["live", "dead-a"], lambda outcome: order.append(outcome.device)))
        assert order == ["slow", "live", "dead-a", "dead-b"]
        assert bus.missed == {"dead-a": 1}
        await links.close()


async def test_a_refused_gateway_is_a_state_and_is_not_hammered_by_its_units() -> None:
    port = free_port("tcp")
    links = ModbusLinks(clock=system_clock())
    devices = {
        f"unit-{number}": poller(target(port, number), probes([1]), name=f"unit-{number}", links=links)
        for number in range(1, 9)
    }
    bus = Bus(f"modbus:127.0.0.1:{port}", devices)
    outcomes: list[PollOutcome] = []
    for _ in range(20):
        await bus.run(devices, outcomes.append)
    assert outcomes[0].problem is PollProblem.REFUSED
    assert "refuses connections" in outcomes[7].detail
    assert links.link(ModbusTarget("127.0.0.1", port=port)).connects == 1
    assert all(outcome.requests == 0 for outcome in outcomes)
    await links.close()


async def test_a_gateway_that_goes_away_is_a_state() -> None:
    links = ModbusLinks(clock=system_clock())
    async with gateway({1: Unit()}) as port:
        device = poller(target(port), probes([1]), links=links, interval_s=0.01)
        assert values(await device.poll()) == read([1])
    lost = await device.poll()
    assert lost.problem in (PollProblem.UNREACHABLE, PollProblem.REFUSED)
    assert reasons(lost) == {"room.temperature#probe/1": QualityReason.UNREACHABLE}
    await links.close()


async def test_bits_of_coils_and_discrete_inputs() -> None:
    contact = profile(
        "modbus",
        [
            {
                "metric": "leak.state",
                "subject": f"zone/{table}-{at}",
                "from": [{table: at, "type": "flag", "states": {"0": "dry", "1": "leak"}}],
            }
            for table in ("coil", "discrete")
            for at in (0, 9)
        ],
        kind="leak",
    )
    async with gateway({1: Unit(base=1)}) as port:
        links = ModbusLinks(clock=system_clock())
        outcome = await poller(target(port), contact, links=links).poll()
        # Shared registers: 16 bits each from the register at that address, which holds its address + 1.
        assert values(outcome) == {
            "device.communication": "ok",
            "leak.state#zone/coil-0": "leak",
            "leak.state#zone/coil-9": "dry",
            "leak.state#zone/discrete-0": "leak",
            "leak.state#zone/discrete-9": "dry",
        }
        await links.close()


async def test_a_gateways_connection_is_closed_with_its_last_unit() -> None:
    async with gateway({1: Unit(), 2: Unit()}) as port:
        links = ModbusLinks(clock=system_clock())
        one, two = (poller(target(port, unit), probes([1]), name=f"unit-{unit}", links=links) for unit in (1, 2))
        link = links.link(ModbusTarget("127.0.0.1", port=port))
        assert values(await one.poll()) == read([1])
        await one.close()
        assert values(await two.poll()) == read([1])
        assert link.connects == 1
        await two.close()
        assert not link.connected
        assert links.link(ModbusTarget("127.0.0.1", port=port)) is not link
