"""One run: two agents and a centre through the faults of a seed, then until everything has drained."""

import asyncio
import contextlib
import functools
import itertools
import logging
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_dbapi

from agent.app import SNAPSHOT_S
from agent.http import HttpServer
from collectors.schedule import offset_ms
from facility.wire import Kind
from rules.files import library
from server.db import migrate
from server.history.tables import MIGRATIONS
from server.ingest.inbox import MAX_MESSAGES
from server.maintenance.catalogue import load_catalogue
from tests.simulation import checks
from tests.simulation.devices import POINTS, Health, Script, ScriptedDevice, opener
from tests.simulation.disk import Drive, at_once, connect, journal_drives
from tests.simulation.lives import forgettable
from tests.simulation.machines import START, Centre, Edge
from tests.simulation.network import Link, Network, Session
from tests.simulation.plan import CENTRE, EDGES, RESTART, Event, Fault, draw
from tests.simulation.rulebook import PLAIN
from tests.simulation.watch import Watch
from tests.support.virtual_loop import run_virtual

DEVICES_EACH = 2
INTERVAL_S = 30
# With nothing to send the uplink looks this often; the true second costs most of a run's time and finds no more.
LOOK_S = 15.0
# The same for what is new in the catalog.
SETTLE_S = 10.0
# The same for signs of life, which take a transaction each time.
SEEN_EVERY_S = 30.0
LOOKED_AT_EVERY_S = 60.0
# A block that was lost on its way is sent again after up to five minutes.
DRAIN_S = 1800.0
# After it no block that was lost is still waited for: five minutes, and a fifth for the spread.
QUIET_S = 400.0
# A machine's clock shows so much when its programs begin, if it does not know the time.
BOOT_S = 20.0
# An armed kill whose commit does not come happens anyway.
ARMED_S = 60.0
# agent.outbox_policy.WINDOW and agent.journal.journal.MEMORY_BYTES, said again: a bound that moves is to be noticed.
MOST_IN_FLIGHT, MOST_MEMORY = 32, 16 * 1024 * 1024


@dataclass
class Result:
    """What a run came to."""

    seed: int
    violations: list[str] = field(default_factory=list)
    faults: list[Event] = field(default_factory=list)
    readings: int = 0
    lost: int = 0
    refused: int = 0
    alarms: int = 0
    tickets: int = 0
    lives: int = 0
    drained_s: float = 0.0
    # Of the processor, so that a busy machine changes nothing.
    took_s: float = 0.0


def shared_memory() -> str | None:
    """Where files cost no disk; None where there is no such place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextlib.contextmanager
def migrated() -> Iterator[Path]:
    """A folder with both databases at the newest revision, to be copied."""
    with tempfile.TemporaryDirectory(prefix="coldaisle-sim-", dir=shared_memory()) as name:
        folder = Path(name)
        asyncio.run(migrate.upgrade(f"sqlite:///{folder / 'main.db'}"))
        asyncio.run(migrate.upgrade(f"sqlite:///{folder / 'history.db'}", MIGRATIONS))
        yield folder


def run_seed(
    seed: int,
    databases: Path,
    *,
    hours: float = 6.0,
    only: Collection[Fault] = tuple(Fault),
    trace: Callable[[str], None] | None = None,
) -> Result:
    """Run a seed; everything in it follows from the seed, the length and the kinds of faults."""
    result = Result(seed)
    began = time.process_time()
    folder = Path(tempfile.mkdtemp(prefix=f"coldaisle-sim-{seed}-", dir=shared_memory()))
    try:
        world = World(seed, folder, databases, hours * 3600, only, result, trace)
        with world.stage():
            run_virtual(world.run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result.took_s = time.process_time() - began
    return result


class World:
    """The machines, the network between them, and what befalls them."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        databases: Path,
        seconds: float,
        only: Collection[Fault],
        result: Result,
        trace: Callable[[str], None] | None,
    ) -> None:
        self.seed, self.seconds, self.result = seed, seconds, result
        self._trace = trace
        self._only = only
        # One source each, so that a change in one part does not turn every other part of all seeds around.
        source = random.Random(seed)
        self._plan, self._script, self._ids, net, disk, device, site = (
            random.Random(source.getrandbits(64)) for _ in range(7)
        )
        self.network = Network(net, {name: Link() for name in (*EDGES, CENTRE)})
        self.devices = {
            name: ScriptedDevice(
                name,
                None,  # type: ignore[arg-type]  # the machine gives it its clock when it starts
                self.now,
                device,
                {point: Script.draw(self._script, seconds) for point in POINTS},
            )
            for edge in EDGES
            for name in _in_step(edge)
        }
        # In one run of four an agent is on a metered link.
        metered = site.choice((EDGES[0], *[""] * 3))
        self._places = {device: _home(device) for device in self.devices}
        self.edges = {
            name: Edge(
                name, folder / name, self.network, disk, self._new_id, self.devices,
                {device for device, place in self._places.items() if place == name}, metered=name == metered,
            )
            for name in EDGES
        }  # fmt: skip
        self.centre = Centre(folder / "centre", self.network, disk)
        self.centre.install(databases)
        self.watch = Watch(self.centre, self.edges, self.bad)
        for edge in self.edges.values():
            edge.committed = self.watch.committed
        self._ends: dict[tuple[Fault, str], float] = {}
        # Where the alarms of each agent stood that waited when it was looked at: a new number leaves a block its place.
        self._waits: dict[str, set[int]] = {}

    @contextlib.contextmanager
    def stage(self) -> Iterator[None]:
        """The seams of the programs to the world: broker, disks, devices, random numbers."""
        Session.network = self.network
        Drive.disk = self.centre.disk
        state, level = random.getstate(), logging.root.manager.disable
        random.seed(self.seed)
        if self._trace is None:
            logging.disable(logging.CRITICAL)
        with (
            mock.patch("aiomqtt.Client", Session),
            mock.patch.object(AsyncAdapt_aiosqlite_dbapi, "connect", connect),
            mock.patch("sqlite3.connect", journal_drives({edge.folder: edge.disk for edge in self.edges.values()})),
            mock.patch("asyncio.to_thread", at_once),
            mock.patch("agent.app.open_device", opener(self.devices)),
            mock.patch("agent.http.HttpServer.start", _unasked),
            mock.patch("agent.uplink.LOOK_S", LOOK_S),
            mock.patch("agent.app.SETTLE_S", SETTLE_S),
            mock.patch("server.ingest.component.SEEN_EVERY_S", SEEN_EVERY_S),
            mock.patch("server.app.library", _library),
            mock.patch("server.maintenance.domain.load_catalogue", _catalogue),
            mock.patch("facility.ids.uuid7", lambda nanoseconds: self._uuid(nanoseconds // 1_000_000)),
        ):
            try:
                yield
            finally:
                random.setstate(state)
                logging.disable(level)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def say(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.now():9.2f}  {text}")

    def _uuid(self, at_ms: int) -> uuid.UUID:
        return uuid.UUID(
            int=(at_ms << 80) | 7 << 76 | self._ids.getrandbits(12) << 64 | 2 << 62 | self._ids.getrandbits(62)
        )

    def _new_id(self, at_ms: int) -> str:
        return str(self._uuid(at_ms))

    # --- a run -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        self.result.faults = draw(self._plan, seconds=self.seconds, devices=list(self.devices), only=self._only)
        await self.centre.start()
        for edge in self.edges.values():
            await edge.start()
        looking = asyncio.create_task(self._look())
        async with asyncio.TaskGroup() as group:
            for event in self.result.faults:
                group.create_task(self._at(event))
        await asyncio.sleep(max(self.seconds - self.now(), 0.0))
        await self._calm()
        await self._drain()
        looking.cancel()
        for edge in self.edges.values():
            edge.finish()
        self.watch.look()
        checks.check(self)
        self.result.lives = sum(len(edge.lives) for edge in self.edges.values())
        for edge in self.edges.values():
            await edge.kill(power=False)
        await self.centre.kill(power=False)

    async def _at(self, event: Event) -> None:
        await asyncio.sleep(event.at)
        self.say(str(event))
        match event.fault:
            case Fault.KILL | Fault.POWER_CUT:
                await self._kill(event)
            case Fault.CLOCK_JUMP:
                edge = self.edges[event.victim]
                edge.set_clock(edge.jump + event.amount)
            case Fault.NO_CLOCK:
                await self._without_clock(self.edges[event.victim], event)
            case Fault.RELOAD:
                rule, _, variant = event.where.partition(" ")
                self.edges[event.victim].write_rule(rule, variant)
                await asyncio.sleep(event.seconds)
                self.edges[event.victim].write_rule(rule, PLAIN)
            case Fault.DEVICE_RETIRED | Fault.DEVICE_MOVED:
                home = _home(event.victim)
                (other,) = set(EDGES) - {home}
                away = "" if event.fault is Fault.DEVICE_RETIRED else other
                await self._place(event.victim, away, restart=event.where == RESTART)
                await asyncio.sleep(event.seconds)
                await self._place(event.victim, home, restart=event.where == RESTART)
            case _:
                await self._for_a_while(event)

    async def _for_a_while(self, event: Event) -> None:
        """A state that begins and ends; where two of them overlap, the later end counts."""
        key, ends = (event.fault, event.victim), self.now() + event.seconds
        self._ends[key] = max(self._ends.get(key, 0.0), ends)
        self._set(event, on=True)
        if event.where == RESTART:
            await asyncio.sleep(event.seconds / 2)
            await self._restart(self._machine(event.victim))
        await asyncio.sleep(event.at + event.seconds - self.now())
        if self.now() >= self._ends[key] - 1e-6:
            self._set(event, on=False)

    def _set(self, event: Event, *, on: bool) -> None:
        match event.fault:
            case Fault.LINK_CUT:
                self.network.cut(event.victim) if on else setattr(self.network.links[event.victim], "up", True)
            case Fault.LINK_BAD:
                self._worsen(self.network.links[event.victim], event.amount if on else 0.0)
            case Fault.DISK_FULL:
                self._machine(event.victim).disk.full = on
            case Fault.DISK_ERROR:
                self._machine(event.victim).disk.failing = event.amount if on else 0.0
            case Fault.DEVICE_DEAD:
                self.devices[event.victim].health.dead = on
            case Fault.DEVICE_SLOW:
                # Up to beyond the deadline of 20 s.
                self.devices[event.victim].health.seconds = 24.0 * event.amount if on else Health().seconds
            case Fault.DEVICE_PARTIAL:
                self.devices[event.victim].health.partial = event.amount if on else 0.0
            case Fault.DEVICE_LYING:
                self.devices[event.victim].health.lying = event.amount if on else 0.0

    def _worsen(self, link: Link, amount: float) -> None:
        link.latency = (0.005, 0.05 + 30.0 * amount**3)
        link.loss, link.twice, link.overtake = 0.5 * amount, 0.3 * amount, 0.5 * amount

    def _machine(self, name: str) -> Edge | Centre:
        return self.centre if name == CENTRE else self.edges[name]

    async def _kill(self, event: Event) -> None:
        machine = self._machine(event.victim)
        if not machine.running():
            return
        if event.where:
            due = asyncio.Event()
            machine.disk.die, machine.disk.armed = due.set, event.where
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ARMED_S):
                    await due.wait()
            machine.disk.armed = ""
            if not machine.running():
                return
        await machine.kill(power=event.fault is Fault.POWER_CUT)
        self.say(f"{event.victim} is down")
        await asyncio.sleep(event.seconds)
        if not machine.running():
            await machine.start()
            self.say(f"{event.victim} is up")

    async def _place(self, device: str, place: str, *, restart: bool) -> None:
        """A device is put into the configuration of one agent, or of none, and taken out of the other's first."""
        before, self._places[device] = self._places[device], place
        for name in (before, place):
            if name:
                edge = self.edges[name]
                edge.write_devices({each for each, where in self._places.items() if where == name}, reload=not restart)
                if restart:
                    await self._restart(edge)

    async def _restart(self, machine: Edge | Centre) -> None:
        if machine.running():
            await machine.kill(power=False)
            await machine.start()
            self.say(f"{machine.name} began anew")

    async def _without_clock(self, edge: Edge, event: Event) -> None:
        """Its power was cut and its battery is dead: it begins in 1970, and somebody tells it the time later."""
        if not edge.running():
            return
        await edge.kill(power=True)
        await asyncio.sleep(event.seconds)
        if edge.running():
            return
        edge.set_clock(-(START.timestamp() + self.now()) + BOOT_S)
        await edge.start()
        self.say(f"{edge.name} is up, in 1970")
        await asyncio.sleep(event.amount)
        edge.set_clock(0.0)

    async def _calm(self) -> None:
        """The faults stop."""
        for name, link in self.network.links.items():
            link.up = True
            self._worsen(link, 0.0)
            disk = self._machine(name).disk
            disk.full, disk.failing = False, 0.0
        for device in self.devices.values():
            device.health = Health()
        for edge in self.edges.values():
            if edge.jump:
                edge.set_clock(0.0)
            if not edge.running():
                await edge.start()
        if not self.centre.running():
            await self.centre.start()
        self.say("the faults are over")

    # --- looking ---------------------------------------------------------------------------------------------------

    def bad(self, text: str) -> None:
        text = f"{text} (seen at {self.now():.1f} s)"
        self.say(f"VIOLATION {text}")
        if len(self.result.violations) < 50:
            self.result.violations.append(text)

    async def _look(self) -> None:
        """Every queue keeps its bound, all the time; and the centre has nothing that the agents do not know of."""
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY_S)
            self.watch.look()
            if self.centre.queue() > MAX_MESSAGES:
                self.bad(f"9: {self.centre.queue()} messages wait at the centre")
            for edge in self.edges.values():
                if edge.agent is None or edge.agent.uplink is None:
                    continue
                if edge.agent.uplink.in_flight > MOST_IN_FLIGHT:
                    self.bad(f"9: {edge.agent.uplink.in_flight} blocks of {edge.name} are in flight")
                if self._late(edge):
                    self.bad(f"2: alarms of {edge.name} wait though nothing is in their way")
                if edge.agent.journal.stats().memory_bytes > MOST_MEMORY:
                    self.bad(f"9: the journal of {edge.name} holds {edge.agent.journal.stats().memory_bytes} bytes")

    def _late(self, edge: Edge) -> bool:
        """An alarm waits that waited at the last look, though no fault was about for longer than a lost block waits."""
        assert edge.agent is not None
        before, now, store = self._waits.pop(edge.name, set()), self.now(), edge.agent.journal._store
        if not store.unsent.blocks.get(Kind.ALARMS) or any(
            event.at < now < event.at + event.seconds + max(event.amount, 0.0) + QUIET_S for event in self.result.faults
        ):
            return False
        self._waits[edge.name] = {each.position for each in store.unsent_of(Kind.ALARMS, limit=1000)}
        return bool(before & self._waits[edge.name])

    async def _drain(self) -> None:
        # What an agent stamped by a clock that was ahead is behind it first.
        await asyncio.sleep(max(0.0, *(edge.astray_for() for edge in self.edges.values())))
        began = self.now()
        # One health block of each agent at least must have come through after the end of the faults; and a snapshot of
        # one that does not know of all it said.
        unknown = any(forgettable(edge.lives[-2:]) for edge in self.edges.values())
        await asyncio.sleep(SNAPSHOT_S + 10.0 if unknown else 70.0)
        while not all(_empty(edge) for edge in self.edges.values()) or self.centre.queue():
            await asyncio.sleep(0.5)
            if self.now() - began > DRAIN_S:
                left = {edge.name: checks.waiting(edge) for edge in self.edges.values()}
                self.bad(f"9: not drained {DRAIN_S:.0f} s after the faults stopped: {left}")
                break
        self.result.drained_s = self.now() - began


# They are the same at each start, and reading them costs as much as a quarter of an hour.
_library, _catalogue = functools.cache(library), functools.cache(load_catalogue)


async def _unasked(_pages: HttpServer) -> None:
    """Nobody asks an agent for its pages here. A socket that listens would be looked at in each turn of the loop."""


def _home(device: str) -> str:
    return next(edge for edge in EDGES if device.startswith(edge))


def _in_step(edge: str) -> list[str]:
    """Names of an agent's devices, all asked in the first second of an interval: agents' blocks meet at the centre."""
    names = (f"{edge}-d{number}" for number in itertools.count())
    first = (name for name in names if offset_ms(name, INTERVAL_S * 1000) == 0)
    return list(itertools.islice(first, DEVICES_EACH))


def _empty(edge: Edge) -> bool:
    return not any(checks.waiting(edge).values())


__all__ = ["START", "Result", "migrated", "run_seed"]
