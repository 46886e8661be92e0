"""The composition root: everything is built here, in order, and torn down in reverse.

A new domain adds one line to `domains_of`; what it needs of another domain is handed in on that line.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from facility.clock import Clock, SystemClock
from rules.files import library, load_rules
from rules.model import RuleSet
from rules.parts import Where
from server.alarms import domain as alarms
from server.alarms.centre import CentreAlarms
from server.alarms.evaluate import titles_of
from server.alarms.lost import Escalation
from server.alarms.service import AlarmService
from server.api.application import create_application
from server.assets import domain as assets
from server.config import SECRET_KEY_FILE, Role, ServerConfig
from server.customers import domain as customers
from server.db import migrate
from server.db.session import Database
from server.fleet import domain as fleet
from server.history import domain as history
from server.history.stores import SqlStore
from server.ingest import domain as ingest
from server.ingest.repository import agents_in_quarantine
from server.kit import domain as kit_domain
from server.kit.attachments import AttachmentStore
from server.kit.context import Component, Domain, Kit
from server.kit.i18n import Translations
from server.kit.jobs import JobRunner
from server.kit.metrics import Metrics
from server.kit.outbox import OutboxRunner
from server.kit.secrets import Signer, load_or_create_key, new_token
from server.kit.templates import Templates
from server.maintenance import domain as maintenance
from server.notify import domain as notify
from server.notify.alarms import AlarmNotices
from server.notify.metrics import NotifyMetrics
from server.notify.service import Notifier
from server.people import domain as people
from server.tickets import domain as tickets
from server.tickets.alarms import AlarmTickets, TicketLinks
from server.tickets.metrics import TicketMetrics
from server.tickets.service import TicketService
from server.web import domain as web

log = logging.getLogger(__name__)

WEB = Path(__file__).parent / "web"
GRACE_SECONDS = 10  # for requests under way when the server is told to stop


def domains_of(kit: Kit, *, history_db: Database) -> list[Domain]:
    """Every domain of the server, lower ones first."""
    store = SqlStore(history_db)
    notify_metrics, ticket_metrics = NotifyMetrics(kit.metrics.registry), TicketMetrics(kit.metrics.registry)
    notifier = Notifier(kit, notify_metrics)
    links = TicketLinks()
    alarm_tickets = AlarmTickets(notifier=notifier, metrics=ticket_metrics)
    rules = rules_of(kit.config)
    for problem in rules.idle:
        log.warning("a rule of the centre's files judges nothing", extra={"problem": str(problem)})
    # Tickets are told first: what has a ticket is told to people by it.
    alarm_service = AlarmService(
        observers=[alarm_tickets, AlarmNotices(notifier=notifier, tickets=links, hold=alarm_tickets.policy.hold)],
        titles=titles_of(rules),
    )
    ticket_service = TicketService(alarms=alarm_service, notifier=notifier)
    worse = kit.config.alarms.agent_lost
    escalation = Escalation(major=worse.major_after, critical=worse.critical_after)
    centre = CentreAlarms(alarm_service, escalation=escalation)
    return [
        kit_domain.build(kit),
        people.build(kit),
        customers.build(kit),
        assets.build(kit),
        fleet.build(kit, watchers=[centre], brokers=[centre]),
        history.build(kit, store=store),
        alarms.build(
            kit,
            service=alarm_service,
            centre=centre,
            tickets=links,
            quarantine=agents_in_quarantine,
            rules=rules,
            history=store,
        ),
        notify.build(kit, notifier=notifier, alarms=centre, metrics=notify_metrics),
        tickets.build(kit, service=ticket_service, alarm_tickets=alarm_tickets, metrics=ticket_metrics),
        maintenance.build(kit, tickets=ticket_service),
        web.build(kit),
        ingest.build(kit, history=store, alarms=alarm_service, watchers=[centre]),
    ]


def rules_of(settings: ServerConfig) -> RuleSet:
    """The library with the centre's own files over it. ConfigErrors."""
    return load_rules(settings.alarms.rules, over=library(), where=Where.CENTRE)


def product_version() -> str:
    """The installed version; "0" when run from a tree that is not installed."""
    try:
        return distribution_version("coldaisle")
    except PackageNotFoundError:
        return "0"


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its own signal handlers: who runs us (the CLI, the demo, a test) decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """A built server. `app` answers requests without `run`; `run` also listens and starts the components."""

    def __init__(
        self,
        *,
        kit: Kit,
        app: FastAPI,
        domains: Sequence[Domain],
        components: Sequence[Component],
        jobs: JobRunner,
        outbox: OutboxRunner,
    ) -> None:
        self.kit = kit
        self.app = app
        self.domains = domains
        self.components = components
        self.jobs = jobs
        self.outbox = outbox
        self.started = asyncio.Event()
        self._port: int | None = None
        self._stop = asyncio.Event()

    @property
    def db(self) -> Database:
        return self.kit.db

    @property
    def port(self) -> int:
        """The port listened on; raises RuntimeError before `run` has bound it."""
        if self._port is None:
            raise RuntimeError("the server does not listen yet: wait for `started`")
        return self._port

    @property
    def url(self) -> str:
        host = self.kit.config.http.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def stop(self) -> None:
        """Ask `run` to end: no new requests, those under way finish, components are cancelled."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until `stop`. A component that fails ends the whole server, so that its supervisor restarts it."""
        http = self.kit.config.http
        with _listen(http.host, http.port) as listening:
            self._port = listening.getsockname()[1]
            await self._serve(listening)

    async def _serve(self, listening: socket.socket) -> None:
        http = self.kit.config.http
        settings = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_SECONDS,
            proxy_headers=bool(http.trusted_proxies),
            forwarded_allow_ips=list(http.trusted_proxies),
            server_header=False,
        )
        listener = _Uvicorn(settings)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part.run(), name=part.name) for part in self.components]
            serving = group.create_task(listener.serve(sockets=[listening]), name="http")
            log.info("listening", extra={"url": self.url, "components": [part.name for part in self.components]})
            self.started.set()
            try:
                await self._stop.wait()
            finally:
                listener.should_exit = True
            await serving
            for task in tasks:
                task.cancel()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return bound


@asynccontextmanager
async def build(config: ServerConfig, *, clock: Clock | None = None) -> AsyncIterator[Server]:
    """Build a server on a migrated database; leaving the block closes everything it opened."""
    async with AsyncExitStack() as stack:
        clock = clock or SystemClock(asyncio.sleep)
        config.data_dir.mkdir(parents=True, exist_ok=True)
        await migrate.upgrade(config.url)
        db = Database(config.url)
        stack.push_async_callback(db.close)
        metrics = Metrics()
        outbox = OutboxRunner(db, clock, metrics)
        jobs = JobRunner(db, clock, metrics, holder=f"{socket.gethostname()[:30]}/{os.getpid()}/{new_token()[:8]}")
        translations = Translations(WEB / "locale")
        kit = Kit(
            config=config,
            clock=clock,
            db=db,
            metrics=metrics,
            translations=translations,
            templates=Templates(translations, [WEB / "templates"]),
            attachments=AttachmentStore(config.data_dir / "attachments", limit=config.attachment_bytes),
            signer=Signer(load_or_create_key(config.data_dir / SECRET_KEY_FILE)),
            wake_outbox=outbox.wake,
        )
        history_db = await stack.enter_async_context(history.open_database(config, db))
        domains = domains_of(kit, history_db=history_db)
        for domain in domains:
            jobs.register(domain.jobs)
            outbox.register(domain.outbox)
        role = config.role
        components: list[Component] = []
        for domain in domains:
            if role in (Role.ALL, Role.WEB):
                components.extend(domain.web_components)
            if role in (Role.ALL, Role.INGEST):
                components.extend(domain.ingest_components)
            if role in (Role.ALL, Role.JOBS):
                components.extend(domain.components)
        if role in (Role.ALL, Role.JOBS):
            components += [jobs, outbox]
        app = create_application(kit, domains, version=product_version(), serve=role in (Role.ALL, Role.WEB))
        yield Server(kit=kit, app=app, domains=domains, components=components, jobs=jobs, outbox=outbox)
