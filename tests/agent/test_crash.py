"""The true agent process, killed and cut off: what is lost, what is doubled, what is said twice."""

import asyncio
import bisect
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
from tests.support.stalls import watched

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


# No Python program begins so soon after its start: what is answered until then was asked by the one before.
BEGINS_S = 0.2
# A group commit; and what the answer on its way at the kill, the commit itself and the one before it take.
LOST_S = 1.0 + 1.0


@dataclass(frozen=True, slots=True)
class Killed:
    """A life of the agent that was killed. Times in monotonic seconds; following: when the next one was started."""

    begun: float
    at: float
    following: float


def lost_by_life(
    seen: Sequence[int], answered: Sequence[float], lives: Sequence[Killed]
) -> list[tuple[Killed, list[int], list[int]]]:
    """The counts of each life that never came: those in the midst of what came, and those after it.

    seen: the counts that came; answered: when each count was, from 1 on.
    """
    came, found, begun = set(seen), [], 0
    for life in lives:
        ended = bisect.bisect(answered, life.following + BEGINS_S)
        last = max((count for count in came if begun < count <= ended), default=begun)
        missing = [count for count in range(begun + 1, ended + 1) if count not in came]
        found.append((life, [one for one in missing if one < last], [one for one in missing if one > last]))
        begun = ended
    return found


@pytest.mark.peer("mosquitto")
@pytest.mark.timeout(180)
async def test_killed_at_random_at_most_a_second_is_lost_and_nothing_doubled(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    seed = int(os.environ.get("COLDAISLE_SEED", "20261123"))
    chance = random.Random(seed)
    kills = 6
    http = free_port()
    async with (
        counting_gateway() as gateway,
        Ledger(mosquitto.host, mosquitto.port) as ledger,
        watched(tmp_path) as machine,
    ):
        config = write_config(
            tmp_path,
            broker=mosquitto.url,
            # One answer may take the whole poll: none is asked for twice.
            devices=units(gateway.port, UNITS, deadline="1s", timeout="1s"),
            profiles={"folders": [str(write_profile(tmp_path))]},
            journal={"path": "journal.db", "group_commit": "1s"},
            http={"port": http},
        )
        agent = agent_process(tmp_path, config, http)
        lives = []
        started = time.monotonic()
        await asyncio.to_thread(agent.start)
        for _ in range(kills):
            begun = gateway.reads[1]
            enough = begun + chance.randint(3, 5)
            await until_async(lambda enough=enough: gateway.reads[1] >= enough, timeout=20)  # type: ignore[misc]
            # Somewhere in the second after that read: the next unit's read, a commit, a publish.
            another = gateway.reads.total() + chance.randint(0, UNITS)
            await until_async(lambda another=another: gateway.reads.total() >= another, timeout=20)  # type: ignore[misc]
            at = time.monotonic()
            await asyncio.to_thread(agent.kill)
            following = time.monotonic()
            lives.append(Killed(started, at, following))
            started = following
            await asyncio.to_thread(agent.start)
        last = {unit: gateway.reads[unit] + 2 for unit in range(1, UNITS + 1)}
        await until_async(lambda: all((counts(ledger, unit) or [0])[-1] >= last[unit] for unit in last), timeout=30)
        await asyncio.to_thread(agent.stop)
        status = JournalReader(tmp_path / "journal.db").status()
    print(f"seed {seed}")
    assert ledger.conflicting == []
    lost = 0
    for unit in range(1, UNITS + 1):
        answered = gateway.answered[unit]
        for point in (0, POINTS - 1):
            seen = counts(ledger, unit, point)
            assert len(seen) == len(set(seen)), "a reading came twice"
            assert seen == sorted(seen)
            for life, amid, after in lost_by_life(seen, answered, lives):
                stood = machine.longest(life.begun, life.following)
                # On a machine that stands still an answer may come after its second, and be given up.
                assert not amid or stood > 0.5, (seed, unit, amid, "lost, though what was taken later was not")
                age = life.at - answered[after[0] - 1] if after else 0.0
                assert age <= LOST_S + 3 * stood, (seed, unit, after, f"{age:.2f} s old; it stood for {stood:.2f} s")
                lost += len(after)
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
