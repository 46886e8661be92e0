"""The demo: simulated room, broker, one true agent and one true server as processes of one tree, all on loopback.

`DIR/demo.json` says where everything is, and when the scripted fault was caused, so that scripts can check the promise:
a ticket that names the faulty device and the rule.
"""

import asyncio
import json
import logging
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from coldaisle.demo import site
from coldaisle.demo.broker import EmbeddedBroker
from coldaisle.demo.children import Child
from coldaisle.demo.ports import choose
from coldaisle.demo.seed import Seeded, seed
from coldaisle.demo.sink import NotifySink
from coldaisle.demo.watch import NotYetError, fetch
from facility.clock import Clock
from server.db import migrate
from server.db.session import Database
from simulator.app import RoomServer
from simulator.serving import serve

log = logging.getLogger(__name__)

FAULT, FAULTY_DEVICE = "crac-failure", "crac-2"
# Where each program listens when nobody else does.
AGENT_PORT, BROKER_PORT, SINK_PORT, SIMULATOR_PORT, TRAP_PORT = 9470, 18830, 18081, 18080, 10162
ASK_S = 0.5
# All devices are normally seen within a few seconds; a demo that cannot show that must say so instead of hanging.
READY_S = 45.0
TICKET_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    folder: Path
    port: int = 8080
    database_url: str = ""
    with_fault: bool = True


@dataclass(slots=True)
class Demo:
    """A running demo. `facts` is what stands in demo.json."""

    options: Options
    clock: Clock
    facts: dict[str, Any] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.options.folder / "demo.json"

    def write(self) -> None:
        """Replace demo.json at once, so that a reader never sees half of it."""
        self.facts["pids"] = {"demo": os.getpid()} | {child.name: child.pid for child in self.children}
        scratch = self.file.with_suffix(".tmp")
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(self.facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        scratch.replace(self.file)

    async def run(self, say: "Say") -> None:
        """Until cancelled. Raises OSError when a port is taken in the meantime, ValueError for a bad database URL."""
        folder = self.options.folder
        folder.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(EmbeddedBroker(choose(BROKER_PORT)))
            trap_port = choose(TRAP_PORT, udp=True)
            room = RoomServer(
                http_port=choose(SIMULATOR_PORT),
                uplink_target=("127.0.0.1", broker.port),
                trap_sink=("127.0.0.1", trap_port),
            )
            await stack.enter_async_context(room)
            sink = NotifySink()
            sink_url = await stack.enter_async_context(serve(sink.app, port=choose(SINK_PORT), name="the notify sink"))
            server_port, agent_port = choose(self.options.port), choose(AGENT_PORT)
            server_url = f"http://127.0.0.1:{server_port}"
            seeded = await self._seed(sink_url)
            relay = room.uplink_address or ("127.0.0.1", broker.port)
            config = site.write_agent_config(
                folder,
                room.devices,
                broker=f"mqtt://{relay[0]}:{relay[1]}",
                metrics_port=agent_port,
                trap_port=trap_port,
            )
            self.children = [self._server(server_port, broker.port), self._agent(config)]
            self.facts = {
                "server_url": server_url,
                "login": seeded.login,
                "password": seeded.password,
                "api_token": seeded.token,
                "agent_metrics_url": f"http://127.0.0.1:{agent_port}/metrics",
                "simulator_url": room.url,
                "trap_address": f"127.0.0.1:{trap_port}",
                "broker_url": broker.url,
                "notify_sink_url": f"{sink_url}/notify",
                "site": site.SITE,
                "started_at": _text(self.clock.now()),
            }
            self.write()
            async with asyncio.TaskGroup() as group:
                for child in self.children:
                    group.create_task(child.run(self.write), name=f"demo-{child.name}")
                await self._show(say, seeded, room)
                # The children run until the demo is cancelled.

    async def _seed(self, sink_url: str) -> Seeded:
        database_url = self._database_url()
        await migrate.upgrade(database_url)
        db = Database(database_url)
        try:
            return await seed(db, notify_url=sink_url.replace("http://", "json://") + "/notify", now=self.clock.now())
        finally:
            await db.close()

    def _database_url(self) -> str:
        return self.options.database_url or f"sqlite:///{self.options.folder / 'server' / 'main.db'}"

    def _server(self, port: int, broker_port: int) -> Child:
        environment = {
            "COLDAISLE_SERVER_MQTT__HOST": "127.0.0.1",
            "COLDAISLE_SERVER_MQTT__PORT": str(broker_port),
            "COLDAISLE_SERVER_HTTP__PUBLIC_URL": f"http://127.0.0.1:{port}",
        }
        arguments = ["server", "run", "--data-dir", str(self.options.folder / "server"), "--port", str(port)]
        if self.options.database_url:
            environment["COLDAISLE_SERVER_DATABASE_URL"] = self.options.database_url
        return Child("server", arguments, self.options.folder / "server.log", environment)

    def _agent(self, config: Path) -> Child:
        return Child("agent", ["agent", "run", "--config", str(config)], self.options.folder / "agent.log")

    async def _show(self, say: "Say", seeded: Seeded, room: RoomServer) -> None:
        say.where(self.facts)
        expected = len(room.devices)
        seen = await self._until_seen(expected, seeded.token)
        say.devices(seen, expected)
        if not self.options.with_fault:
            return
        self.facts["fault"] = {"name": FAULT, "device": FAULTY_DEVICE}
        self.facts["fault_at"] = _text(self.clock.now())
        await fetch(f"{room.url}/faults/{FAULT}", body={"device": FAULTY_DEVICE})
        self.write()
        say.fault(FAULT, FAULTY_DEVICE)
        say.ticket(await self._until_ticket(seeded.token), self.facts["server_url"])

    async def _until_seen(self, expected: int, token: str) -> int:
        """How many devices the server has values of, once it has all of them or `READY_S` are over."""
        seen = 0
        deadline = self.clock.monotonic() + READY_S
        while seen < expected and self.clock.monotonic() < deadline:
            try:
                page = await fetch(f"{self.facts['server_url']}/api/v1/devices?limit=200", token=token)
                seen = sum(1 for device in page["items"] if device["communication"] == "ok")
            except NotYetError as exc:
                log.debug("not yet: %s", exc)
            await self.clock.sleep(ASK_S)
        return seen

    async def _until_ticket(self, token: str) -> dict[str, Any] | None:
        """The first ticket of the faulty device, or None when there is none within `TICKET_S`."""
        deadline = self.clock.monotonic() + TICKET_S
        while self.clock.monotonic() < deadline:
            try:
                page = await fetch(f"{self.facts['server_url']}/api/v1/tickets?device={FAULTY_DEVICE}", token=token)
            except NotYetError as exc:
                log.debug("not yet: %s", exc)
                page = {"items": []}
            # An earlier run in the same folder may have left its own ticket: only one opened by this fault counts.
            for ticket in page["items"]:
                if datetime.fromisoformat(ticket["opened_at"]) >= datetime.fromisoformat(self.facts["fault_at"]):
                    return dict(ticket)
            await self.clock.sleep(ASK_S)
        return None


class Say:
    """What the demo tells the person at the terminal; the CLI's own class prints it."""

    def where(self, facts: dict[str, Any]) -> None:
        """Everything is starting; here is where to look."""

    def devices(self, seen: int, expected: int) -> None:
        """So many devices have brought values to the centre."""

    def fault(self, name: str, device: str) -> None:
        """The scripted fault has been caused."""

    def ticket(self, ticket: dict[str, Any] | None, server_url: str) -> None:
        """The ticket is there, or did not come in time."""


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
