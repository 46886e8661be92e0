"""The composition root: every part made once, in order, and taken down in reverse.

`build` takes every outside thing as a keyword, so a test or the demo runs the true agent in its own process.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

from agent import VERSION
from agent.broker import broker_of
from agent.budget import Budget
from agent.exposition import CONTENT_TYPE, Exposition
from agent.figures import Figures
from agent.guard import ClockGuard, OrderedIds
from agent.health import HEALTH_S, health_of, readiness
from agent.http import HttpServer, Page
from agent.journal import DropReason, Journal, Offload, OpenReport, Store, ThreadOffload
from agent.knowledge import SETTLE_S, Watcher, carried, catalog_of, complete_of, points_of
from agent.learnt import LearntFile
from agent.live import LiveTable
from agent.notify.local import LocalNotices
from agent.notify.world import AgentWorld, local_notices
from agent.pipeline import Pipeline
from agent.poller import Poller
from agent.restart import known_before, seen_ms, take_up, youngest_ms
from agent.service import ServiceManager
from agent.site import Site
from agent.snapshots import Snapshots
from agent.throttle import Throttle
from agent.traps import Traps
from agent.uplink import Uplink
from collectors.device import DevicePoller, ModbusLinks, open_device
from collectors.pacing import Budgets
from facility.alarms import AlarmEvent
from facility.clock import Clock, SystemClock, is_kept, now_ms
from facility.config import ConfigErrors
from facility.ids import NewId, new_id
from facility.items import EventItem, EventKind
from facility.wire import Kind
from rules.engine import Engine

log = logging.getLogger(__name__)

SNAPSHOT_S = 600.0
CLOCK_LOOK_S = 10.0

ReadSite = Callable[[], Site]


def build(
    site: Site,
    *,
    clock: Clock,
    reread: ReadSite | None = None,
    offload: Offload | None = None,
    ids: NewId = new_id,
    service: ServiceManager | None = None,
) -> "Agent":
    """An agent for a site. reread: reads the site anew on reload; without it there is none."""
    return Agent(
        site,
        clock=clock,
        reread=reread,
        offload=offload or ThreadOffload("journal"),
        ids=ids,
        service=service or ServiceManager({}),
    )


class Agent:
    """The running edge program. `async with` makes its parts, `run` works until cancelled."""

    def __init__(
        self,
        site: Site,
        *,
        clock: Clock,
        reread: ReadSite | None,
        offload: Offload,
        ids: NewId,
        service: ServiceManager,
    ) -> None:
        self.site = site
        self.figures = Figures()
        self._clock = clock
        self._reread = reread
        self._offload = offload
        self._ids = OrderedIds(ids)
        self._service = service
        self._guard = ClockGuard(lambda count: self.journal.count(DropReason.CLOCK, count))
        self._live = LiveTable()
        self._watcher = Watcher()
        self._stack = AsyncExitStack()
        self._started = clock.monotonic()
        self._throttle = Throttle()
        self._pollers: dict[str, DevicePoller] = {}
        config = site.loaded.config
        self._journal_path = site.loaded.folder / config.journal.path
        self._learnt = LearntFile(self._journal_path, pollers=lambda: self._pollers, offload=offload, clock=clock)
        self.journal = Journal(
            Store(
                self._journal_path,
                max_bytes=config.journal.max_bytes,
                max_age_ms=config.journal.max_age,
            ),
            clock=clock,
            offload=offload,
            new_id=ids,
            group_commit_s=config.journal.group_commit / 1000,
        )
        started = now_ms(clock)
        self.engine = Engine(site.rules, site.facts({}), origin=config.agent, new_id=self._ids, started_ms=started)
        self._links = ModbusLinks(clock=clock, budgets=Budgets(config.polling.max_rate))
        self.local = self._make_local()
        self._snapshots = Snapshots(
            engine=self.engine, journal=self.journal, guard=self._guard, clock=clock, local=self.local
        )
        self._pipeline = Pipeline(
            guard=self._guard,
            live=self._live,
            engine=self.engine,
            journal=self.journal,
            figures=self.figures,
            clock=clock,
            seen=self._watcher.seen,
            alarmed=self._alarmed,
            believed=self._told,
            ids=self._ids,
        )
        self._poller = Poller(clock=clock, take=self._pipeline.take, figures=self.figures)
        self._http = HttpServer(
            config.http.host,
            config.http.port,
            {"/metrics": self._metrics, "/healthz": self._healthy, "/readyz": self._ready},
        )
        self.traps: Traps | None = None
        if site.traps is not None:
            self.traps = Traps(
                site, journal=self.journal, ask=self._ask, figures=self.figures, clock=clock, ids=self._ids
            )
        self.uplink: Uplink | None = None
        self._exposition: Exposition | None = None
        self._reload_asked = asyncio.Event()

    # --- life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "Agent":
        stack = self._stack
        stack.callback(self._offload.close)
        self.journal.notice = self.notice
        report = await known_before(await self.journal.open(), self._journal_path, self._offload)
        stack.push_async_callback(self.journal.close)
        stack.callback(self._pipeline.end)
        if self.local is not None:
            await self.local.open()
            stack.push_async_callback(self.local.close)
        stack.push_async_callback(self._links.close)
        stack.push_async_callback(self._close_pollers)
        await self._learnt.load()
        self._open_pollers(self.site)
        stack.push_async_callback(self._learnt.save)
        self._restore(report)
        self.journal.rules = self._pipeline.rule_state
        self._event(EventKind.AGENT_STARTED, {"version": VERSION, "config_digest": self.site.loaded.digest})
        stack.callback(self._event, EventKind.AGENT_STOPPED, {"version": VERSION})
        self._publish_catalog()
        self.uplink = self._make_uplink()
        self._exposition = Exposition(
            self.site,
            version=VERSION,
            live=self._live,
            figures=self.figures,
            guard=self._guard,
            journal=self.journal,
            engine=self.engine,
            uplink=self.uplink,
            links=self._links,
            clock=self._clock,
        )
        await self._http.start()
        stack.push_async_callback(self._http.close)
        log.info("agent started", extra={"devices": len(self.site.devices), "metrics": self.metrics_url})
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._service.notify("STOPPING=1")
        await self._stack.aclose()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, task in (
                ("journal", self.journal.run),
                ("poller", self._poller.run),
                ("rules", self._pipeline.run),
                ("catalog", self._watch_points),
                ("health", self._report_health),
                ("clock", self._watch_clock),
                ("reload", self._reload),
                ("watchdog", partial(self._service.pet, self._clock)),
                ("learnt", self._learnt.run),
            ):
                group.create_task(task(), name=name)
            if self.traps is not None:
                group.create_task(self.traps.run(), name="traps")
            if self.local is not None:
                group.create_task(self.local.run(), name="notices")
            if self.uplink is not None:
                group.create_task(self.uplink.run(), name="uplink")
                group.create_task(self._say_snapshots(), name="snapshots")
            self._service.notify("READY=1")

    def reload(self) -> None:
        """Ask for the configuration to be read again; for a signal handler."""
        self._reload_asked.set()

    def clock_set(self, step_ms: int) -> None:
        """The clock was set by so much: everything that bears its time goes with it."""
        log.warning("the clock was set", extra={"step_ms": step_ms})
        self._pipeline.stepped(step_ms)
        if self.local is not None:
            self.local.stepped(step_ms)
        self._event(EventKind.CLOCK_STEP, {"step_ms": str(step_ms)})
        self._told()

    @property
    def metrics_url(self) -> str:
        host = f"[{self._http.host}]" if ":" in self._http.host else self._http.host
        return f"http://{host}:{self._http.port}/metrics"

    # --- what the uplink and the journal report --------------------------------------------------------------------

    def connected(self) -> None:
        """The uplink has a session: what is active is said anew, unless just that still waits to be sent."""
        self._snapshots.say(unless_it_waits=True)

    def notice(self, what: str, detail: dict[str, str]) -> None:
        """Something an operator should hear, as an event of the agent; the same word at most each ten minutes."""
        if self._throttle.may_say((what, detail.get("reason", "")), self._clock.monotonic()):
            self._event(EventKind.JOURNAL, {"what": what, **detail})

    def _alarmed(self, events: Sequence[AlarmEvent]) -> None:
        if self.local is not None:
            self.local.note(events)

    def _told(self) -> None:
        """What a centre that can be reached must hear at once; another hears it with the next snapshot."""
        if self.uplink is not None and self.uplink.connected:
            self._snapshots.say()

    def _event(self, kind: EventKind, detail: dict[str, str]) -> None:
        at = now_ms(self._clock)
        self.journal.append(Kind.EVENTS, [EventItem(self._ids(at), at, kind, "", detail)], at=at)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _make_local(self) -> LocalNotices | None:
        config = self.site.loaded.config.notify
        if config is None:
            return None
        world = AgentWorld(
            site=lambda: self.site,
            uplink=lambda: self.uplink,
            journal=self.journal,
            guard=self._guard,
            clock=self._clock,
            told=self._told,
        )
        local, sender = local_notices(
            config, self.site, world, offload=self._offload, figures=self.figures, clock=self._clock
        )
        self._stack.callback(sender.close)
        return local

    def _make_uplink(self) -> Uplink | None:
        uplink = self.site.loaded.config.uplink
        if uplink is None:
            log.warning("no uplink is configured: alarms and history stay on this machine")
            return None
        return Uplink(
            broker_of(self.site.loaded, uplink),
            site=self.site.loaded.config.site,
            agent=self.site.loaded.config.agent,
            version=VERSION,
            journal=self.journal,
            figures=self.figures,
            reports=self,
            clock=self._clock,
            backlog_rate=uplink.backlog_rate,
            budget=None
            if uplink.budget_mb_month is None
            else Budget(uplink.budget_mb_month, self._clock.monotonic(), keepalive_s=uplink.keepalive / 1000),
        )

    def _open_pollers(self, site: Site) -> list[DevicePoller]:
        """Pollers for a site's devices: unchanged ones are kept with what they learnt. Returns those that are done."""
        before, self._pollers = self._pollers, {}
        for device in site.devices:
            old = before.get(device.id)
            if old is not None and old.device == device.polled:
                self._pollers[device.id] = before.pop(device.id)
            else:
                poller = open_device(device.polled, clock=self._clock, modbus_links=self._links)
                if old is None:
                    self._learnt.recall(device.id, poller)
                else:
                    poller.recall(old.learnt())
                self._pollers[device.id] = poller
        self._poller.configure(
            self._pollers, {device.id: round(device.polled.interval_s * 1000) for device in site.devices}
        )
        self._live.configure({device.id: device.polled.interval_s for device in site.devices})
        return list(before.values())

    async def _ask(self, device: str) -> None:
        """Poll a device because it spoke by itself."""
        poller = self._pollers.get(device)
        if poller is not None:
            poller.heard()
            await self._poller.ask(device)

    async def _close_pollers(self) -> None:
        for poller in self._pollers.values():
            await poller.close()

    def _restore(self, report: OpenReport) -> None:
        now = now_ms(self._clock)
        self._know_points(now)
        ended = take_up(self.engine, report, now_ms=now, say=self.notice)
        seen = seen_ms(self.engine, report, now_ms=now)
        self._ids.follow(seen, youngest_ms(self.engine))
        self._guard.doubt(seen, now)
        self._pipeline.journal_alarms(ended)

    def publish_catalog(self) -> None:
        """The centre asks for the catalog, and the journal has it no more."""
        self._publish_catalog(anew=True)

    def _publish_catalog(self, *, anew: bool = False) -> None:
        catalog = carried(catalog_of(self.site, self._pollers, self.engine), self.notice)
        names = catalog.digest() if catalog is not None else ""
        if anew or names != self.journal.catalog:
            self.journal.append_catalog(catalog, names, at=now_ms(self._clock))

    # --- tasks -----------------------------------------------------------------------------------------------------

    async def _watch_points(self) -> None:
        """Publish what became known, once nothing new came for a moment; let go of what is gone."""
        while True:
            await self._clock.sleep(SETTLE_S)
            if self._watcher.settled(self._pollers) or self.engine.overdue(now_ms(self._clock)):
                self._learn_points()

    def _learn_points(self) -> None:
        self._know_points(now_ms(self._clock))
        self._publish_catalog()

    def _know_points(self, now: int) -> None:
        facts = self.site.facts(points_of(self._pollers), complete=complete_of(self._pollers))
        self._watcher.knows(self._pollers)
        self._pipeline.journal_alarms(self.engine.reload(self.site.rules, facts, now_ms=now))

    async def _report_health(self) -> None:
        while True:
            self.say_health()
            await self._clock.sleep(HEALTH_S)

    def say_health(self) -> None:
        """Each minute, and before a goodbye while the disk refuses."""
        at = now_ms(self._clock)
        item = health_of(
            self.site, self.journal.stats(), self.figures, at=at, lost=self._live.lost,
            uptime_s=self._clock.monotonic() - self._started, budget=self.uplink.budget if self.uplink else None,
        )  # fmt: skip
        self.journal.append(Kind.HEALTH, [item], at=at)

    async def _say_snapshots(self) -> None:
        while True:
            await self._clock.sleep(SNAPSHOT_S)
            self._told()

    async def _watch_clock(self) -> None:
        while True:
            await self._clock.sleep(CLOCK_LOOK_S)
            kept = is_kept(self._clock)  # asked first: who sets the clock keeps it from then on
            step = self._clock.resync() if isinstance(self._clock, SystemClock) else 0
            if step:
                self.clock_set(step)
            else:
                self._pipeline.believe(kept=kept)

    async def _reload(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            await self._reload_once()

    async def _reload_once(self) -> None:
        if self._reread is None:
            return
        try:
            site = await asyncio.to_thread(self._reread)
        except ConfigErrors as exc:
            self.figures.reloads["refused"] += 1
            log.error("the new configuration is not taken; the last good one stays", extra={"problems": str(exc)})
            self._event(EventKind.CONFIG_REFUSED, {"problems": str(exc)[:1000]})
            return
        if site == self.site:
            self.figures.reloads["unchanged"] += 1
            log.info("the configuration is unchanged; nothing is done")
            return
        await self._change_to(site)

    async def _change_to(self, site: Site) -> None:
        """Take up another site: devices and rules at once. What only a restart changes is said."""
        fixed = ("site", "agent", "polling", "journal", "uplink", "http", "traps", "notify")
        old, new = self.site.loaded.config, site.loaded.config
        restart = [name for name in fixed if getattr(old, name) != getattr(new, name)]
        self.site = site
        done = self._open_pollers(site)
        for poller in done:
            await poller.close()
        if self._exposition is not None:
            self._exposition.site = site
        if self.traps is not None:
            self.traps.configure(site)
        self._learn_points()
        self.figures.reloads["changed"] += 1
        detail = {"config_digest": site.loaded.digest, "needs_restart": ", ".join(restart)}
        log.info("the configuration was reloaded", extra=detail)
        self._event(EventKind.CONFIG_RELOADED, detail)

    # --- pages -----------------------------------------------------------------------------------------------------

    def _metrics(self) -> Page:
        text = self._exposition.text() if self._exposition is not None else b""
        return Page(text, content_type=CONTENT_TYPE)

    def _healthy(self) -> Page:
        return Page(b"ok\n")

    def _ready(self) -> Page:
        return readiness(self.journal.stats(), connected=None if self.uplink is None else self.uplink.connected)
