"""Nothing lost, nothing twice: `python -m bench.kill_ingest [--database-url URL] [--kills 20] [--workers 1]`.

True servers behind a real mosquitto, killed with SIGKILL at random while an independent sender (its own JSON and zlib)
feeds a counter per point and alarms' lives. At the end history must hold exactly 0..N of each point, and alarms and
tickets be those of a plain model that was told the same. Without a URL: SQLite and one
worker; `--postgresql` makes a cluster of its own, thrown away afterwards.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.server.ingest.alarm_model import kept_alarms, kept_tickets
from tests.server.ingest.programs import ServerProgram
from tests.server.ingest.test_killed_server import counted, counting_agent, run_with_kills
from tests.support.mosquitto import Mosquitto
from tests.support.postgresql import Postgresql

console = Console(width=150)
POINTS = 50


def differing(wanted: Mapping[str, object], found: Mapping[str, object]) -> int:
    """How many keys are in one only, or differ."""
    return sum(wanted.get(key) != found.get(key) for key in {*wanted, *found})


def main(
    database_url: Annotated[
        str | None, typer.Option(help="An empty database; default: SQLite in a new folder.")
    ] = None,
    postgresql: Annotated[bool, typer.Option(help="Use a PostgreSQL cluster made for this run.")] = False,
    kills: int = 20,
    workers: int = 1,
    rate: Annotated[int, typer.Option(help="Values a second.")] = 500,
    seed: int = 1,
) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = database_url or f"sqlite:///{folder / 'main.db'}"
        if postgresql:
            cluster = Postgresql()
            stack.callback(cluster.dispose)
            cluster.start()
            url = cluster.new_database()
        broker = stack.enter_context(Mosquitto(folder / "mosquitto"))
        servers = [
            ServerProgram(
                folder / f"worker-{number}",
                name=f"worker-{number}",
                database_url=url,
                broker_port=broker.port,
                role="ingest" if workers > 1 else "all",
                shared=workers > 1,
            )
            for number in range(workers)
        ]
        for server in servers:
            stack.enter_context(server)
        agent = counting_agent(broker.port, points=POINTS, seed=seed)
        began = time.monotonic()
        asyncio.run(run_with_kills(servers, agent, kills=kills, rate=rate, seed=seed, spell=(0.5, 3.0)))
        seconds = time.monotonic() - began
        found = asyncio.run(counted(url))
        alarms, tickets = asyncio.run(kept_alarms(url)), asyncio.run(kept_tickets(url))
    assert agent.alarms is not None
    wrong_alarms = differing(agent.alarms.alarms(), alarms)
    wrong_tickets = differing(agent.alarms.tickets(), tickets)
    owed = agent.owed()
    lost = sum(len(set(values) - set(found.get(device, []))) for device, values in owed.items())
    twice = sum(n - 1 for values in found.values() for n in Counter(values).values())
    table = Table(
        "database", "workers", "kills", "values sent", "lost", "twice", "alarms (wrong)", "tickets (wrong)", "answers",
        "seconds",
    )  # fmt: skip
    name = "postgresql" if url.startswith("postgresql") else "sqlite"
    sent = sum(map(len, owed.values()))
    answers = ", ".join(f"{word} {n}" for word, n in sorted(agent.answers.items()))
    table.add_row(
        name, str(workers), str(kills), f"{sent:,}", str(lost), str(twice), f"{len(alarms)} ({wrong_alarms})",
        f"{len(tickets)} ({wrong_tickets})", answers, f"{seconds:.0f}",
    )  # fmt: skip
    console.print(table)
    if found != owed or wrong_alarms or wrong_tickets:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
