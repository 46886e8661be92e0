"""The machines of a run: each an incarnation after the other of the true program, on a disk that stays."""

import asyncio
import contextlib
import itertools
import json
import random
import re
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from agent.app import CLOCK_LOOK_S, SNAPSHOT_S, Agent, build
from agent.journal.block import BlockState, Key
from agent.journal.sql import StoreFull
from agent.site import Site, read_site
from facility import wire
from facility.clock import SystemClock, now_ms
from facility.ids import NewId
from facility.items import decode_alarms
from facility.wire import Kind, RejectReason
from rules.model import RuleSet
from server.app import WEB, domains_of
from server.config import ServerConfig
from server.db.session import Database
from server.history.tables import history_url
from server.ingest.component import Ingest
from server.ingest.jobs import Job
from server.ingest.processor import Processor
from server.kit.attachments import AttachmentStore
from server.kit.context import Kit
from server.kit.i18n import Translations
from server.kit.metrics import Metrics
from server.kit.secrets import Signer
from server.kit.templates import Templates
from tests.simulation.devices import ScriptedDevice
from tests.simulation.disk import Disk, DiskOffload, Drive, tear
from tests.simulation.lives import Life, follow
from tests.simulation.network import Network
from tests.simulation.rows import Files
from tests.simulation.rulebook import PLAIN, REMOVED, RULES, RULES_YAML, rule_as

START = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
SITE = "hall"
JOBS = ("tickets.resolve_recovered", "fleet.silence", "alarms.losses", "alarms.rejudge_mutes")
JOBS_EVERY_S = 120.0
# The same for a snapshot that was lost, or waits for a new session.
SNAPSHOT_UNDER_WAY_S = 60.0
# Of a metered link: the least there may be, so that readings are thinned within minutes.
BUDGET_MB = 10
# Shared by every run of a process: they hold nothing of a run.
# Reading one takes as long as an hour of a run.
_SITES: dict[str, Site] = {}
_TRANSLATIONS = Translations(WEB / "locale")
_TEMPLATES = Templates(_TRANSLATIONS, [WEB / "templates"])


def machine_clock(jump: Callable[[], float]) -> SystemClock:
    """A machine's clock: virtual time, and a wall clock somebody may have set wrong by so many seconds."""
    loop = asyncio.get_running_loop()
    return SystemClock(
        asyncio.sleep,
        monotonic=loop.time,
        wall=lambda: START + timedelta(seconds=loop.time() + jump()),
    )


@dataclass
class Edge:
    """An agent's machine. devices: those of every machine; own: those it polls; metered: its link costs by the byte.

    committed: told of each block that the agent is told the centre has.
    """

    name: str
    folder: Path
    network: Network
    dice: random.Random
    ids: NewId
    devices: dict[str, ScriptedDevice]
    own: set[str]
    metered: bool = False
    lives: list[Life] = field(default_factory=list)
    jump: float = 0.0
    # Every jump its clock had, and from when on.
    jumps: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    agent: Agent | None = None
    fell: list[str] = field(default_factory=list)
    committed: Callable[["Edge", Key], None] = lambda _edge, _key: None

    def __post_init__(self) -> None:
        self.disk = Disk(self.dice)
        self._task: asyncio.Task[None] | None = None
        self._rules = dict.fromkeys(RULES, PLAIN)
        self._site = self._read_site()
        self.refused_since: float | None = None

    def _read_site(self) -> Site:
        self.folder.mkdir(parents=True)
        (self.folder / "rules.yaml").write_text(RULES_YAML)
        config = {
            "version": 1,
            "site": SITE,
            "agent": self.name,
            "credentials": {"v2c": {"snmp": "v2c", "community": {"env": "COMMUNITY"}}},
            "journal": {"path": "journal.db", "group_commit": "1s"},
            "http": {"port": 0},
            "uplink": {"broker": "mqtt://broker.test:1883", **({"budget_mb_month": BUDGET_MB} if self.metered else {})},
            "rules": {"files": ["rules.yaml"]},
            "devices": [
                {
                    "id": device, "name": {"en": device, "zh": device}, "profile": "ietf/ups-mib",
                    "address": f"192.0.2.{number}", "credentials": "v2c", "interval": "30s", "deadline": "20s",
                }
                for number, device in enumerate(self.devices, start=1)
            ],
        }  # fmt: skip
        path = self.folder / "agent.yaml"
        path.write_text(yaml.safe_dump(config))
        text = path.read_text()
        if text not in _SITES:
            site = read_site(path, environ={"COMMUNITY": "public"})
            assert RULES.keys() <= {rule.id for rule in site.rules}
            _SITES[text] = site
        self._all = replace(_SITES[text], loaded=replace(_SITES[text].loaded, folder=self.folder))
        return self._written()

    def _written(self) -> Site:
        """What the agent's files say now."""
        rules = tuple(rule_as(name, variant) for name, variant in self._rules.items() if variant != REMOVED)
        devices = tuple(device for device in self._all.devices if device.id in self.own)
        return replace(self._all, rules=RuleSet(rules), devices=devices)

    def write_devices(self, own: set[str], *, reload: bool) -> None:
        """These are its devices from now on; it is told so, if it is not to find out when it begins anew."""
        self.own = own
        self._site = self._written()
        if reload and self.agent is not None:
            self.agent.reload()

    def write_rule(self, name: str, variant: str) -> None:
        """One of the rules is edited, removed or put back in the file; a running agent is told to read it again."""
        self._rules[name] = variant
        self._site = self._written()
        if self.agent is not None:
            self.agent.reload()

    def set_clock(self, jump: float) -> None:
        """It is wrong by so much from now on."""
        self.jump = jump
        self.jumps.append((asyncio.get_running_loop().time(), jump))

    def astray_for(self) -> float:
        """How long (s) until the clock has overtaken everything it ever showed, and a snapshot has told so since."""
        now, (since, jump) = asyncio.get_running_loop().time(), self.jumps[-1]
        if len(self.jumps) == 1:
            return 0.0
        shown = max(until + before for (_, before), (until, _) in itertools.pairwise(self.jumps))
        return max(since, shown - jump) + CLOCK_LOOK_S + SNAPSHOT_S + SNAPSHOT_UNDER_WAY_S - now

    def astray(self) -> bool:
        return self.astray_for() > 0

    def running(self) -> bool:
        return self.agent is not None

    async def start(self) -> None:
        clock = machine_clock(lambda: self.jump)
        life = Life(len(self.lives), now_ms(clock))
        self.refused_since = None
        self.lives.append(life)
        program = build(
            self._site, clock=clock, reread=lambda: self._site, offload=_Recording(self.disk, life), ids=self.ids
        )
        self._follow(program, life)
        self.agent = program
        await program.__aenter__()
        self._task = asyncio.create_task(program.run(), name=self.name)
        self._task.add_done_callback(self._ended)

    def _follow(self, program: Agent, life: Life) -> None:
        """Note what goes on in a program."""
        follow(program, life)
        notice, settle = program.notice, program.journal.settle
        loop = asyncio.get_running_loop()

        def noticed(what: str, detail: dict[str, str]) -> None:
            if what in ("degraded", "healed"):
                self.refused_since = loop.time() if what == "degraded" else None
            notice(what, detail)

        def settled(key: Key, state: BlockState, reason: str = "") -> None:
            if state is BlockState.COMMITTED:
                self.committed(self, key)
            settle(key, state, reason)

        program.notice = noticed  # type: ignore[method-assign]
        program.journal.settle = settled  # type: ignore[method-assign]

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.agent is not None and not task.cancelled():
            self.fell.append("".join(traceback.format_exception(task.exception()))[-1500:])

    async def kill(self, *, power: bool) -> None:
        """No word of farewell: what was not on the disk is gone."""
        program, task, life = self.agent, self._task, self.lives[-1]
        if program is None or task is None:
            return
        self.agent = None
        loop = asyncio.get_running_loop()
        life.killed, life.killed_ms = loop.time(), now_ms(program._clock)
        life.drops = dict(program.journal.stats().drops)
        life.held, life.thinned = program._guard.held, program.figures.thinned
        life.undated_ms = program._guard.undated_for(life.killed_ms)
        life.unsaved_since = self.refused_since
        self.network.end(self.name, "the agent was killed")
        store = program.journal._store
        kept = self.disk.left_of(store.path) if power else None
        store.close()
        if kept is not None:
            tear(store.path, self.dice, kept)
        await _gone(task, self.disk)

    def finish(self) -> None:
        """Note what the last incarnation has counted."""
        assert self.agent is not None
        life = self.lives[-1]
        life.drops = dict(self.agent.journal.stats().drops)
        life.held, life.thinned = self.agent._guard.held, self.agent.figures.thinned


class _Recording(DiskOffload):
    """Notes what reached the disk."""

    def __init__(self, disk: Disk, life: Life) -> None:
        super().__init__(disk)
        self._life = life

    def done(self, name: str, args: tuple[Any, ...]) -> None:
        if name != "commit":
            return
        for block in args[0]:
            if block.key in self._life.durable_blocks:
                continue
            self._life.durable_blocks.add(block.key)
            if block.kind is Kind.READINGS:
                self._life.durable_readings += block.count
            elif block.kind is Kind.ALARMS:
                items, _refused = decode_alarms(wire.decode(block.payload()).items)
                self._life.durable_events.update(
                    (item.event.occurrence, item.event.revision) for item in items if item.event is not None
                )


@dataclass
class Centre:
    """The server's machine: what takes blocks in, keeps readings, judges alarms and opens tickets."""

    folder: Path
    network: Network
    dice: random.Random
    name: str = "server"
    fell: list[str] = field(default_factory=list)
    # Why it would not take a reading, by (device, metric, subject, taken_at). The quarantine keeps 20 of a block.
    refused: dict[tuple[str, str, str, int], RejectReason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.disk = Disk(self.dice)
        self.files = Files(self.folder)
        self._tasks: list[asyncio.Task[None]] = []
        self.ingest: Ingest | None = None
        self._known: tuple[Database, Database] | None = None
        self.config = ServerConfig.model_validate(
            {"data_dir": self.folder, "mqtt": {"host": "broker.test", "client_id": "server", "auto_enrol": True}}
        )

    def install(self, migrated: Path) -> None:
        """The databases, migrated once for all runs."""
        self.folder.mkdir(parents=True)
        for name in ("main.db", "history.db"):
            shutil.copyfile(migrated / name, self.folder / name)

    def running(self) -> bool:
        return self.ingest is not None

    async def start(self) -> None:
        Drive.disk = self.disk
        clock = machine_clock(lambda: 0.0)
        db, history = self._databases()
        kit = Kit(
            config=self.config,
            clock=clock,
            db=db,
            metrics=Metrics(),
            translations=_TRANSLATIONS,
            templates=_TEMPLATES,
            attachments=AttachmentStore(self.folder / "attachments", limit=1024),
            signer=Signer(b"0" * 32),
            wake_outbox=lambda: None,
        )
        domains = domains_of(kit, history_db=history)
        (ingest,) = [part for domain in domains for part in domain.ingest_components]
        assert isinstance(ingest, Ingest)
        jobs = [job for domain in domains for job in domain.jobs if job.name in JOBS]
        self.ingest = ingest
        self._follow(ingest._processor)

        async def work_off() -> None:
            while True:
                await clock.sleep(JOBS_EVERY_S)
                for job in jobs:
                    async with db.write() as session:
                        await job.run(session, clock.now())

        self._tasks = [
            asyncio.create_task(ingest.run(), name="ingest"),
            asyncio.create_task(_through_weather(work_off), name="jobs"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _follow(self, processor: Processor) -> None:
        """Note which readings are refused."""
        prepare = processor._prepare

        async def prepared(job: Job) -> bool:
            ready = await prepare(job)
            for item in job.refused:
                # One sample, or with no second number the whole series.
                place, *samples = map(int, re.findall(r"\[(\d+)\]", item.path))
                series = json.loads(job.entry.block.items[place])
                times = [series["at"][sample] for sample in samples] or series["at"]
                name = series["device"], series["metric"], series["subject"]
                self.refused.update(dict.fromkeys(((*name, at) for at in times), item.reason))
            return ready

        processor._prepare = prepared  # type: ignore[method-assign]

    def _databases(self) -> tuple[Database, Database]:
        """As a program finds them that begins: not connected. What SQLAlchemy compiled for the last one is kept."""
        if self._known is None:
            self._known = Database(self.config.url), Database(history_url(self.config))
        for db in self._known:
            for engine in (db.writer, db.reader):
                engine.sync_engine.dispose(close=False)
        return self._known

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.ingest is not None and not task.cancelled():
            self.fell.append("".join(traceback.format_exception(task.exception()))[-1500:])

    async def kill(self, *, power: bool) -> None:
        if not self.running():
            return
        self.ingest = None
        self.files.let_go()
        self.network.end(self.name, "the server was killed")
        databases = [self.folder / name for name in ("main.db", "history.db")]
        kept = {path: self.disk.left_of(path) for path in databases} if power else {}
        self.disk.pull_the_plug()
        for path, content in kept.items():
            tear(path, self.dice, content)
        for task in self._tasks:
            await _gone(task, self.disk)
        self.disk.pull_the_plug()

    def queue(self) -> int:
        return len(self.ingest._inbox) if self.ingest is not None else 0


async def _through_weather(work: Callable[[], Any]) -> None:
    """The job runner's part: a job that fails is tried at its next time."""
    while True:
        with contextlib.suppress(Exception):
            await work()


async def _gone(task: asyncio.Task[None], disk: Disk) -> None:
    task.cancel()
    await asyncio.sleep(0)
    if disk.hanging is not None and not disk.hanging.done():
        # Who shields a commit from being cancelled waits for its end.
        disk.hanging.set_exception(StoreFull("the machine is off"))
    disk.hanging = None
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
