"""Against Debian's snmpd: v2c, v3 authPriv, a restart, and a silent device among live ones."""

import asyncio
import time
from collections import Counter

import pytest

from collectors.bus import Bus
from collectors.device import DevicePoller, SnmpTarget
from collectors.exchange import PollOutcome, PollProblem
from facility.reading import QualityReason
from tests.collectors.speaking.awkward_agent import silent_socket
from tests.collectors.speaking.profiles import CHARGE, LOAD, RUNTIME, TIMEOUT_S, poller, reasons, ups, values
from tests.support.peers import free_port
from tests.support.snmpd import Snmpd

pytestmark = pytest.mark.peer("snmpd")

SERVED: list[tuple[str, str, str | int]] = [
    (CHARGE, "integer", 88),
    (RUNTIME, "integer", 31),
    (f"{LOAD}.1", "integer", 42),
    (f"{LOAD}.2", "integer", 43),
]
READ = {
    "device.communication": "ok",
    "ups.battery.charge": 88.0,
    "ups.battery.runtime": 31.0 * 60,
    "ups.output.load#phase/L1": 42.0,
    "ups.output.load#phase/L2": 43.0,
}


def v2c(agent: Snmpd, **more: object) -> SnmpTarget:
    return SnmpTarget(agent.host, port=agent.port, community=agent.community, timeout_s=TIMEOUT_S, **more)  # type: ignore[arg-type]


def v3(agent: Snmpd, **more: object) -> SnmpTarget:
    user = agent.v3
    given: dict[str, object] = {
        "version": "v3",
        "user": user.name,
        "auth": "sha256",
        "auth_key": user.auth_password,
        "priv": "aes128",
        "priv_key": user.priv_password,
        "timeout_s": TIMEOUT_S,
    }
    return SnmpTarget(agent.host, port=agent.port, **{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [v2c, v3])
async def test_reads_scalars_and_a_table_and_passes_over_what_is_not_there(snmpd: Snmpd, target: object) -> None:
    snmpd.serve(SERVED)
    device = poller(target(snmpd), ups())  # type: ignore[operator]
    outcome = await device.poll()
    assert outcome.problem is None
    assert values(outcome) == READ
    assert outcome.seconds < 1
    assert 2 <= outcome.requests <= 8
    again = await device.poll()
    assert values(again) == READ
    assert again.requests == 2  # one GET, one GETBULK
    later = {reading.point: reading.taken_at for reading in again.readings}
    assert all(later[reading.point] > reading.taken_at for reading in outcome.readings)


async def test_a_restart_of_the_agent_costs_at_most_one_cycle_over_v3(snmpd: Snmpd) -> None:
    snmpd.serve(SERVED)
    device = poller(v3(snmpd), ups())
    assert values(await device.poll()) == READ
    lost = 0
    for _ in range(2):
        snmpd.kill()
        snmpd.start()  # engineBoots + 1, engineTime from 0
        for _ in range(3):
            lost += (await device.poll()).problem is not None
    assert lost <= 1


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"auth_key": "not-the-password"}, "both passwords"),
        ({"user": "nobody"}, "nobody"),
        ({"auth": "sha1"}, "both protocols"),
    ],
)
async def test_wrong_credentials_are_named_and_not_called_silence(
    snmpd: Snmpd, wrong: dict[str, str], hint: str
) -> None:
    outcome = await poller(v3(snmpd, **wrong), ups()).poll()
    assert outcome.problem is PollProblem.BAD_CREDENTIALS
    assert hint in outcome.detail
    assert "not-the-password" not in outcome.detail
    assert values(outcome) == {"device.communication": "lost"}


async def test_a_wrong_privacy_password_is_hinted_at(snmpd: Snmpd) -> None:
    outcome = await poller(v3(snmpd, priv_key="not-the-password"), ups()).poll()
    assert outcome.problem is PollProblem.TIMEOUT
    assert "privacy password" in outcome.detail


async def test_points_turn_bad_once_when_the_device_is_lost_and_come_back(snmpd: Snmpd) -> None:
    snmpd.serve(SERVED)
    device = poller(v2c(snmpd), ups(), interval_s=0.01)
    assert values(await device.poll()) == READ
    snmpd.kill()
    first, second = await device.poll(), await device.poll()
    assert first.problem is PollProblem.REFUSED
    assert reasons(first) == dict.fromkeys(
        [key for key in READ if key != "device.communication"], QualityReason.UNREACHABLE
    )
    assert values(second) == {"device.communication": "lost"}
    snmpd.start()
    # The breaker lets it be for some of its intervals of 10 ms, no longer.
    deadline = time.monotonic() + 5
    while (back := await device.poll()).problem is PollProblem.BACKING_OFF and time.monotonic() < deadline:
        assert back.requests == 0
        await asyncio.sleep(0.01)
    assert values(back) == READ


async def test_a_refused_port_is_a_state_and_is_paced() -> None:
    port = free_port("udp")
    target = SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=TIMEOUT_S)
    device = poller(target, ups(), interval_s=60)
    outcomes = [await device.poll() for _ in range(200)]
    assert outcomes[0].problem is PollProblem.REFUSED
    assert sum(outcome.requests for outcome in outcomes) <= 3
    assert Counter(outcome.problem for outcome in outcomes)[PollProblem.BACKING_OFF] >= 197


async def test_one_silent_device_delays_none_of_the_others(snmpd: Snmpd) -> None:
    snmpd.serve(SERVED)
    silence_s = 0.6  # far above what a live device takes on a busy machine
    async with silent_socket() as port:
        devices: dict[str, DevicePoller] = {
            f"live-{number}": poller((v2c, v3)[number % 2](snmpd), ups(), name=f"live-{number}") for number in range(6)
        }
        dead = SnmpTarget("127.0.0.1", port=port, community="public", timeout_s=silence_s)
        devices["dead"] = poller(dead, ups(), name="dead")
        bus = Bus("snmp:127.0.0.1", devices)
        done: dict[str, list[float]] = {name: [] for name in devices}
        outcomes: list[PollOutcome] = []
        for _ in range(3):
            started = time.monotonic()

            def take(outcome: PollOutcome, started: float = started) -> None:
                done[outcome.device].append(time.monotonic() - started)
                outcomes.append(outcome)

            await bus.run(devices, take)
    live = [outcome for outcome in outcomes if outcome.device != "dead"]
    assert len(live) == 18
    assert all(outcome.problem is None and values(outcome) == READ for outcome in live)
    assert max(max(times) for name, times in done.items() if name != "dead") < silence_s
    assert {outcome.problem for outcome in outcomes if outcome.device == "dead"} == {PollProblem.TIMEOUT}
    assert max(done["dead"]) < 3 * silence_s
