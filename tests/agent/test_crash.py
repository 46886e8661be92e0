"""The true agent process, killed and cut off: what is lost, what is doubled, what is said twice."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from agent.journal.reading import JournalReader
from tests.agent.counting import POINTS, counting_gateway, units, write_profile
from tests.agent.ledger import Ledger
from tests.agent.running import ENVIRON, ups, write_config
from tests.agent.test_end_to_end import HEALTHY, ON_BATTERY
from tests.support.mosquitto import Mosquitto
from tests.support.peers import answers_tcp, free_port, until_async
from tests.support.programs import Program
from tests.support.snmpd import Snmpd

UNITS = 5  # with 100 points each, every second: 500 values a second


def agent_process(folder: Path, config: Path, http_port: int) -> Program:
    # `coldaisle agent run`, without the other sub-commands in the way.
    command = [sys.executable, "-c", "from agent.cli import app; app()", "run", "--config", str(config)]
    root = Path(__file__).parents[2]
    return Program(
        "agent",
        command,
        folder=folder,
        environment={**ENVIRON, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"},
        ready=lambda: answers_tcp(http_port),
    )


def counts(ledger: Ledger, unit: int, point: int = 0) -> list[int]:
    """The counter values of a unit the centre has, in the order they were taken."""
    samples = ledger.samples(f"unit-{unit}", f"unmapped.test.p{point:03}")
    return [round(value) for _, value in samples if value is not None]  # a machine held up has polls without an answer


def snapshots(ledger: Ledger) -> list[set[str]]:
    """The occurrences of every snapshot, in order."""
    said = [item["snapshot"] for item in ledger.items("alarms") if item.get("snapshot") is not None]
    return [{each["occurrence"] for each in active} for active in said]


@pytest.mark.peer("mosquitto")
@pytest.mark.timeout(180)
async def test_killed_at_random_at_most_a_second_is_lost_and_nothing_doubled(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    seed = int(os.environ.get("COLDAISLE_SEED", "20261123"))
    chance = random.Random(seed)
    kills = 6
    http = free_port()
    async with counting_gateway() as gateway, Ledger(mosquitto.host, mosquitto.port) as ledger:
        config = write_config(
            tmp_path,
            broker=mosquitto.url,
            devices=units(gateway.port, UNITS),
            profiles={"folders": [str(write_profile(tmp_path))]},
            journal={"path": "journal.db", "group_commit": "1s"},
            http={"port": http},
        )
        agent = agent_process(tmp_path, config, http)
        for _ in range(kills):
            await asyncio.to_thread(agent.start)
            begun = gateway.reads[1]
            enough = begun + chance.randint(2, 4)
            await until_async(lambda enough=enough: gateway.reads[1] >= enough, timeout=20)  # type: ignore[misc]
            # Somewhere in the second after that read: the next unit's read, a commit, a publish.
            another = gateway.reads.total() + chance.randint(0, UNITS)
            await until_async(lambda another=another: gateway.reads.total() >= another, timeout=20)  # type: ignore[misc]
            await asyncio.to_thread(agent.kill)
        await asyncio.to_thread(agent.start)
        last = {unit: gateway.reads[unit] + 2 for unit in range(1, UNITS + 1)}
        await until_async(lambda: all((counts(ledger, unit) or [0])[-1] >= last[unit] for unit in last), timeout=30)
        await asyncio.to_thread(agent.stop)
        status = JournalReader(tmp_path / "journal.db").status()
    print(f"seed {seed}")
    assert ledger.conflicting == []
    lost = 0
    for unit in range(1, UNITS + 1):
        for point in (0, POINTS - 1):
            seen = counts(ledger, unit, point)
            assert len(seen) == len(set(seen)), "a reading came twice"
            assert seen == sorted(seen)
            missing = set(range(1, max(seen) + 1)) - set(seen)
            # One second: the reading that waited for the commit, and one that was just being answered.
            assert len(missing) <= 2 * kills, (seed, unit, sorted(missing))
            runs = sum(1 for value in missing if value - 1 not in missing)
            assert all(not {v, v + 1, v + 2} <= missing for v in missing), "more than a second was lost in one kill"
            assert runs <= kills
            lost += len(missing)
    print(f"lost {lost} readings of 2 x {UNITS} points in {kills} kills")
    # The journal beside it agrees: nothing was dropped on purpose, nothing is quarantined.
    assert status.drops == {}
    assert status.quarantined == {}


@pytest.mark.peer("mosquitto")
@pytest.mark.timeout(180)
async def test_a_broker_that_was_away_gets_everything_and_live_readings_before_the_backlog(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    http = free_port()
    async with counting_gateway() as gateway, Ledger(mosquitto.host, mosquitto.port) as ledger:
        config = write_config(
            tmp_path,
            broker=mosquitto.url,
            devices=units(gateway.port, UNITS),
            profiles={"folders": [str(write_profile(tmp_path))]},
            http={"port": http},
        )
        agent = agent_process(tmp_path, config, http)
        await asyncio.to_thread(agent.start)
        await until_async(lambda: len(counts(ledger, 1)) >= 2, timeout=20)
        await asyncio.to_thread(mosquitto.kill)
        away = gateway.reads[1] + 8
        await until_async(lambda: gateway.reads[1] >= away, timeout=30)
        await asyncio.to_thread(agent.stop)  # an orderly stop in between loses nothing
        await asyncio.to_thread(agent.start)
        await until_async(lambda: gateway.reads[1] >= away + 3, timeout=30)
        heard = len(ledger.order)
        await asyncio.to_thread(mosquitto.start)
        everything = gateway.reads[1]
        # A read the gateway answered while the agent was being stopped is not the agent's any more.
        await until_async(
            lambda: len(set(range(1, everything + 1)) - set(counts(ledger, 1))) <= 1,
            timeout=60,
            what="the backlog being gone",
        )
        await asyncio.to_thread(agent.stop)
    for unit in range(1, UNITS + 1):
        seen = counts(ledger, unit)
        assert len(set(range(1, max(seen) + 1)) - set(seen)) <= 1, unit
        assert len(seen) == len(set(seen))
    assert ledger.conflicting == []
    # What an earlier life of the agent left is backlog; the first that comes is of the present one.
    earlier = {stream for stream, _ in ledger.order[:heard]}
    came = [name for name in ledger.order[heard:] if ledger.blocks[name][0]["kind"] == "readings"]
    assert came[0][0] not in earlier
    assert any(stream in earlier for stream, _ in came)


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("snmpd")
@pytest.mark.timeout(120)
async def test_an_alarm_survives_kill_9_and_is_not_raised_again(
    tmp_path: Path, mosquitto: Mosquitto, snmpd: Snmpd
) -> None:
    snmpd.serve(ON_BATTERY)
    http = free_port()
    config = write_config(
        tmp_path,
        broker=mosquitto.url,
        devices=[ups(snmpd.port)],
        rooms=[{"id": "hall"}],
        http={"port": http},
    )
    agent = agent_process(tmp_path, config, http)
    async with Ledger(mosquitto.host, mosquitto.port) as ledger:
        await asyncio.to_thread(agent.start)
        await until_async(ledger.events, timeout=40, what="an alarm")
        raised = {event["occurrence"] for event in ledger.events() if event["kind"] == "raised"}
        await asyncio.to_thread(agent.kill)
        samples = len(ledger.samples("ups-1", "ups.output.source"))
        await asyncio.to_thread(agent.start)
        await until_async(lambda: len(ledger.samples("ups-1", "ups.output.source")) >= samples + 4, timeout=30)
        assert {event["occurrence"] for event in ledger.events() if event["kind"] == "raised"} == raised
        # What is active is said anew on every connection, under the same occurrences.
        await until_async(lambda: snapshots(ledger)[-1] == raised, timeout=10, what="the snapshot after the restart")
        snmpd.serve(HEALTHY)
        await until_async(
            lambda: raised <= {event["occurrence"] for event in ledger.events() if event["kind"] == "ended"}, timeout=60
        )
        ended = [event for event in ledger.events() if event["kind"] == "ended"]
        assert {event["reason"] for event in ended} == {"recovered"}
        os.kill(agent.pid, signal.SIGTERM)
        await until_async(lambda: not agent.alive, timeout=10)
    assert ledger.items("events")[0]["kind"] == "agent_started"
