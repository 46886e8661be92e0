"""Agent, server and broker killed at random under load: `python -m bench.kill_everything [--agent 200 --server 200]`.

The true programs behind a real mosquitto, each killed with SIGKILL at random moments by a loop of its own. The witness
is a Modbus gateway that answers every register of a unit with the number of times that unit was read, and lets
some units be too hot for a while, once each. At the end the centre's database, read past the server's code, must hold
every count once, none that was not counted, nothing in quarantine, and one alarm and one ticket for each hot spell. A
kill of the agent may cost what was taken since its last group commit (1 s: the reading that waited and the one just
being answered); other holes are beyond the bound.
"""

import asyncio
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from agent.journal.reading import JournalReader
from facility.wire import Kind
from tests.agent.counting import POINTS, units, write_profile
from tests.agent.running import write_config
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.server.ingest.programs import ServerProgram
from tests.support.mosquitto import Mosquitto
from tests.support.peers import answers_tcp, free_port, until_async
from tests.support.programs import Program

console = Console(width=150)
ROOT = Path(__file__).parents[1]
# Units above this are those that get hot.
HOT_FROM = 100
COLD, HOT = 20, 60
# A hot spell in reads: longer than a restart takes, so that some living agent sees it begin and end.
SPELL_READS = 20
RULE = "bench-hot"
PER_READ = "unmapped.test.p000"


@dataclass
class Room:
    """The gateway's own books. begins: the read of a hot unit with which its spell begins."""

    begins: dict[int, int]
    reads: Counter[int] = field(default_factory=Counter)

    def hot(self, unit: int) -> bool:
        begin = self.begins[unit]
        return begin <= self.reads[unit] < begin + SPELL_READS

    @property
    def over(self) -> bool:
        return all(self.reads[unit] > begin + SPELL_READS for unit, begin in self.begins.items())

    async def reply(self, frame: Frame, say: Say) -> None:
        self.reads[frame.unit] += 1
        value = self.reads[frame.unit]
        if frame.unit > HOT_FROM:
            value = HOT if self.hot(frame.unit) else COLD
        await say(frame.answer(values=[value] * frame.count))


@dataclass
class Killer:
    """One program and how it is killed. after: called with each kill, once the program is dead."""

    program: Program
    kills: int
    alive_s: tuple[float, float]
    done: int = 0

    async def run(self, dice: random.Random, until: float, room: Room, marks: list[Counter[int]] | None) -> None:
        while self.done < self.kills and time.monotonic() < until:
            await asyncio.sleep(dice.uniform(*self.alive_s))
            await asyncio.to_thread(self.program.kill)
            self.done += 1
            if marks is not None:
                marks.append(Counter(room.reads))
            await asyncio.to_thread(self.program.start)


def site(folder: Path, *, port: int, broker: str, counting: int, hot: int, http: int) -> Path:
    """The agent's configuration: `counting` units of 100 points a second, and `hot` of one point each 2 s."""
    profiles = write_profile(folder)
    profile: dict[str, Any] = yaml.safe_load((profiles / "test" / "counter.yaml").read_text())
    profile |= {"model": "heater", "points": [{"metric": "unmapped.test.heat", "from": {"holding": 0, "type": "u16"}}]}
    (profiles / "test" / "heater.yaml").write_text(yaml.safe_dump(profile, allow_unicode=True))
    rule = {
        "id": RULE, "title": {"en": "Hot", "zh": "过热"}, "metric": "unmapped.test.heat",
        "levels": {"hi": {"limit": 50, "severity": "major"}}, "for": "0s", "clear_for": "0s",
        "source": "made for this measurement",
    }  # fmt: skip
    (folder / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [rule]}, allow_unicode=True))
    heaters = [
        {**each, "profile": "test/heater", "unit": HOT_FROM + i, "id": f"heater-{i}", "interval": "2s"}
        for i, each in enumerate(units(port, hot), start=1)
    ]
    return write_config(
        folder,
        broker=broker,
        devices=[*units(port, counting), *heaters],
        profiles={"folders": [str(profiles)]},
        rules={"files": ["rules.yaml"]},
        journal={"path": "journal.db", "group_commit": "1s"},
        http={"port": http},
    )


def agent_program(folder: Path, config: Path, http: int) -> Program:
    return Program(
        "agent",
        [sys.executable, "-c", "from agent.cli import app; app()", "run", "--config", str(config)],
        folder=folder,
        environment={"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "COMMUNITY": "public"},
        ready=lambda: answers_tcp(http),
        start_s=60.0,
    )


def ask(path: Path, statement: str, *, beside: Path | None = None) -> list[tuple[Any, ...]]:
    """Rows of the centre's database; `beside` is attached as `central`."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as db:
        if beside is not None:
            db.execute("ATTACH ? AS central", (f"file:{beside}?mode=ro",))
        rows = db.execute(statement).fetchall()
    db.close()
    return rows


def history(folder: Path, metric: str = "") -> dict[tuple[int, str], list[int]]:
    """(unit, metric) -> values in order of time; one metric or all of the counting units."""
    which = f"= '{metric}'" if metric else "LIKE 'unmapped.test.p%'"
    rows = ask(
        folder / "history.db",
        "SELECT d.device, p.metric, r.value FROM history_readings r JOIN history_series s ON s.id = r.series"
        " JOIN central.points p ON p.id = s.point JOIN central.devices d ON d.id = p.device_id"
        f" WHERE p.metric {which} AND r.value IS NOT NULL ORDER BY r.series, r.taken_at",
        beside=folder / "main.db",
    )
    found: dict[tuple[int, str], list[int]] = {}
    for device, name, value in rows:
        found.setdefault((int(device.rpartition("-")[2]), name), []).append(int(value))
    return found


@dataclass
class Verdict:
    """What the centre has against what the gateway counted."""

    values: int = 0
    lost: int = 0
    beyond: int = 0
    twice: int = 0
    invented: int = 0
    examples: list[str] = field(default_factory=list)


def compare(
    found: dict[tuple[int, str], list[int]], last: Counter[int], marks: list[Counter[int]], room: Room
) -> Verdict:
    """last: the reads by unit of which all must be there; room's own go on until the agent stops."""
    verdict = Verdict()
    for unit, reads in last.items():
        # Of each kill: the read that waited for the group commit, and the one that was just being answered.
        allowed = {mark[unit] - back for mark in marks for back in (0, 1)}
        for number in range(POINTS):
            values = found.get((unit, f"unmapped.test.p{number:03}"), [])
            missing = set(range(1, reads + 1)) - set(values)
            verdict.values += len(values)
            verdict.lost += len(missing)
            verdict.beyond += len(missing - allowed)
            verdict.twice += len(values) - len(set(values))
            verdict.invented += sum(not 1 <= value <= room.reads[unit] for value in values)
            if missing - allowed and len(verdict.examples) < 5:
                verdict.examples.append(f"unit {unit} point {number}: {sorted(missing - allowed)[:10]}")
    return verdict


async def measure(options: dict[str, Any], folder: Path, stack: ExitStack) -> bool:
    dice = random.Random(options["seed"])
    http, server_folder = free_port(), folder / "server"
    broker = stack.enter_context(Mosquitto(folder / "mosquitto"))
    server = ServerProgram(
        server_folder, name="server", database_url=f"sqlite:///{server_folder / 'main.db'}", broker_port=broker.port
    )
    hot, counting = options["alarms"], options["units"]
    room = Room({HOT_FROM + i: dice.randint(10, options["spread"]) for i in range(1, hot + 1)})
    marks: list[Counter[int]] = []
    began = time.monotonic()
    async with odd_gateway(room.reply) as (port, _):
        config = site(folder, port=port, broker=broker.url, counting=counting, hot=hot, http=http)
        agent = agent_program(folder, config, http)
        stack.callback(server.stop)
        stack.callback(agent.stop)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(agent.start)
        until = began + options["minutes"] * 60
        killers = {
            "agent": Killer(agent, options["agent"], (0.2, 4.0)),
            "server": Killer(server, options["server"], (0.2, 3.0)),
            "broker": Killer(broker, options["broker"], (1.0, 30.0)),
        }
        async with asyncio.TaskGroup() as group:
            for name, killer in killers.items():
                kept = marks if name == "agent" else None
                group.create_task(killer.run(random.Random(dice.random()), until, room, kept))
        killing = time.monotonic() - began
        await until_async(lambda: room.over, timeout=600, what="the last hot spell being over")
        spells = time.monotonic() - began - killing
        last = Counter({unit: reads for unit, reads in room.reads.items() if unit < HOT_FROM})

        async def arrived() -> bool:
            await asyncio.sleep(1.0)
            newest = await asyncio.to_thread(history, server_folder, PER_READ)
            status = await asyncio.to_thread(JournalReader(folder / "journal.db").status)
            waiting = {each.kind: each.unsent for each in status.kinds}
            caught_up = all(max(newest.get((unit, PER_READ), [0])) >= reads for unit, reads in last.items())
            return caught_up and waiting.get(Kind.ALARMS, 0) == 0 and waiting.get(Kind.READINGS, 0) <= 5

        try:
            await until_async(arrived, timeout=options["patience"], what="everything having arrived")
        except AssertionError as exc:
            console.print(str(exc))  # what is missing shows below as lost
        drained = time.monotonic() - began - killing - spells
        await asyncio.to_thread(agent.stop)
        await asyncio.to_thread(server.stop)
    status = JournalReader(folder / "journal.db").status()
    waiting = ", ".join(f"{each.kind} {each.unsent}" for each in status.kinds)
    verdict = compare(history(server_folder), last, marks, room)
    main = server_folder / "main.db"
    alarms = ask(main, f"SELECT device, active, end_reason FROM alarms WHERE rule = '{RULE}'")
    tickets = ask(main, f"SELECT device, count(*) FROM tickets WHERE rule = '{RULE}' GROUP BY device")
    one_each = Counter(row[0] for row in alarms) == Counter(f"heater-{i}" for i in range(1, hot + 1))
    ended = all(not active and reason == "recovered" for _, active, reason in alarms)
    one_ticket = len(tickets) == hot and all(count == 1 for _, count in tickets)
    # Each alarm record with the ticket that says it is about it, which is one of its own device.
    linked = ask(
        main,
        "SELECT a.device, t.device FROM alarms a JOIN ticket_alarms l ON l.alarm_id = a.id"
        f" JOIN tickets t ON t.id = l.ticket_id WHERE a.rule = '{RULE}'",
    )
    all_linked = sorted(linked) == sorted((device, device) for device, _, _ in alarms)
    refused = ask(main, "SELECT reason, count(*) FROM ingest_quarantine GROUP BY reason")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = {
        "killed: agent, server, broker": ", ".join(str(killer.done) for killer in killers.values()),
        "values a second": counting * POINTS,
        "values in history": f"{verdict.values:,}",
        "lost within the stated bound": f"{verdict.lost - verdict.beyond:,}",
        "lost beyond it": f"{verdict.beyond:,} {'; '.join(verdict.examples)}",
        "stored twice, never counted": f"{verdict.twice}, {verdict.invented}",
        "blocks still unsent, set aside": f"{waiting}; {sum(status.quarantined.values())} {status.quarantined or ''}",
        "counted as dropped by the agent": sum(status.drops.values()),
        "hot spells, alarm records, all ended": f"{hot}, {len(alarms)}, {'yes' if ended else 'no'}",
        "tickets": f"{sum(count for _, count in tickets)} on {len(tickets)} devices,"
        f" {'each' if all_linked else 'NOT each'} with its alarm",
        "in quarantine at the centre": ", ".join(f"{reason} {count}" for reason, count in refused) or "nothing",
        "seconds killing, until the last spell, until all had arrived": f"{killing:.0f}, {spells:.0f}, {drained:.0f}",
        "CPU seconds of the programs": f"{usage.ru_utime + usage.ru_stime:.0f}",
    }
    table = Table("", f"coldaisle {version('coldaisle')}, seed {options['seed']}")
    for name, value in rows.items():
        table.add_row(name, str(value))
    console.print(table)
    right = verdict.beyond == verdict.twice == verdict.invented == 0 and not refused
    return right and one_each and ended and one_ticket and all_linked


def main(
    agent: Annotated[int, typer.Option(help="Kills of the agent.")] = 200,
    server: Annotated[int, typer.Option(help="Kills of the server.")] = 200,
    broker: Annotated[int, typer.Option(help="Kills of the broker.")] = 50,
    units: Annotated[int, typer.Option(help="Units of 100 values a second each.")] = 10,
    alarms: Annotated[int, typer.Option(help="Hot spells, one a device.")] = 40,
    spread: Annotated[int, typer.Option(help="Spells begin within so many reads, one in 2 s.")] = 240,
    minutes: Annotated[float, typer.Option(help="Kill no longer than this.")] = 60.0,
    patience: Annotated[float, typer.Option(help="Seconds for everything to arrive afterwards.")] = 120.0,
    seed: int = 1,
) -> None:
    options = {
        "agent": agent, "server": server, "broker": broker, "units": units, "alarms": alarms, "spread": spread,
        "minutes": minutes, "patience": patience, "seed": seed,
    }  # fmt: skip
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldaisle-kills-")))
        if not asyncio.run(measure(options, folder, stack)):
            raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
