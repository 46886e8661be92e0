"""No address is asked faster than its budget, whoever is behind it."""

import asyncio
import time

import pytest

from collectors.device import ModbusLinks, ModbusTarget, SnmpTarget
from collectors.exchange import PollProblem
from collectors.pacing import Budget, Budgets
from facility.clock import SystemClock
from facility.profile import Profile
from tests.collectors.speaking.gateway import Unit, gateway
from tests.collectors.speaking.profiles import CHARGE, poller, probes, system_clock, ups, values
from tests.support.snmpd import Snmpd


def test_a_second_of_requests_goes_at_once_and_the_rest_one_by_one() -> None:
    budget = Budget(10)
    assert [budget.reserve(100.0) for _ in range(10)] == [0.0] * 10
    assert [round(budget.reserve(100.0), 6) for _ in range(3)] == [0.1, 0.2, 0.3]
    assert budget.held == 3
    # A quiet time saves up no more than a second's worth.
    assert [budget.reserve(500.0) for _ in range(10)] == [0.0] * 10
    assert budget.reserve(500.0) > 0
    # A place that was not used is the next one's.
    wait = budget.reserve(500.0)
    budget.give_back()
    assert budget.reserve(500.0) == wait
    with pytest.raises(ValueError, match="over 0"):
        Budget(0)


def waiting_clock(waits: list[float]) -> SystemClock:
    """Time stands still: what would be waited for is written down."""

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    return SystemClock(wait, monotonic=lambda: 1000.0)


async def test_the_units_of_a_gateway_share_its_budget() -> None:
    waits: list[float] = []
    clock = waiting_clock(waits)
    async with gateway({1: Unit(), 2: Unit()}) as port:
        links = ModbusLinks(clock=clock, budgets=Budgets(4))
        for unit in (1, 2):
            device = poller(
                ModbusTarget("127.0.0.1", port=port, unit=unit), probes([0, 50, 100]), links=links, clock=clock
            )
            outcome = await device.poll()
            assert (outcome.problem, outcome.requests) == (None, 3)
        await links.close()
    assert [round(wait, 6) for wait in waits] == [0.25, 0.5]
    assert links.budgets is not None
    assert links.budgets.held == 2


@pytest.mark.peer("snmpd")
async def test_an_snmp_agent_has_one_too(snmpd: Snmpd) -> None:
    snmpd.serve([(CHARGE, "integer", 88)])
    waits: list[float] = []
    clock = waiting_clock(waits)
    links = ModbusLinks(clock=clock, budgets=Budgets(1))
    device = poller(SnmpTarget(snmpd.host, snmpd.port, community="public"), ups(), links=links, clock=clock)
    outcome = await device.poll()
    assert outcome.problem is None
    assert len(waits) == outcome.requests - 1


@pytest.mark.peer("snmpd")
async def test_waiting_for_the_budget_is_no_silence_of_an_snmp_agent(snmpd: Snmpd) -> None:
    snmpd.serve([(CHARGE, "integer", 88)])
    links = ModbusLinks(clock=system_clock(), budgets=(budgets := Budgets(2)))
    # Four timeouts are what an answer is waited for at most; the place in the budget comes later than that.
    target = SnmpTarget(snmpd.host, snmpd.port, community="public", timeout_s=0.05)
    device = poller(target, ups(), links=links, deadline_s=5.0)
    for _ in range(3):
        budgets.of(f"{snmpd.host}:{snmpd.port}").reserve(time.monotonic())
    outcome = await device.poll()
    assert outcome.problem is None, outcome.detail
    assert values(outcome)["ups.battery.charge"] == 88
    assert budgets.held > 1


@pytest.mark.peer("snmpd")
async def test_a_place_that_comes_after_the_deadline_is_given_back(snmpd: Snmpd) -> None:
    links = ModbusLinks(clock=system_clock(), budgets=(budgets := Budgets(0.5)))
    async with gateway({1: (unit := Unit())}) as port:
        targets: list[tuple[SnmpTarget | ModbusTarget, Profile, int]] = [
            (SnmpTarget(snmpd.host, snmpd.port, community="public"), ups(), snmpd.port),
            (ModbusTarget("127.0.0.1", port=port), probes([0]), port),
        ]
        for target, polled_by, at in targets:
            budget = budgets.of(f"127.0.0.1:{at}")
            device = poller(target, polled_by, links=links, deadline_s=0.3)
            for _ in range(2):
                budget.reserve(time.monotonic())
            for _ in range(2):
                outcome = await device.poll()
                assert (outcome.problem, outcome.requests, outcome.readings) == (PollProblem.HELD_BACK, 0, ())
                assert "deadline reached before" in outcome.detail
                assert device.healthy, "it was not asked: of the device that says nothing"
            outcome = await device.poll()
            assert outcome.problem is PollProblem.TIMEOUT, "by now nothing is known of it"
            assert not device.healthy
            # Of two seconds' places each: those of this test, less the time that it took.
            assert 3.0 < budget.reserve(time.monotonic()) < 5.0
        assert unit.asked == []
        await links.close()
