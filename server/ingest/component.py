"""The long-running part: hears the broker, has batches taken, answers after commit. Sessions are clean: the agents'
journals are the only queue, so whatever is lost between them and us comes again.
"""

import asyncio
import logging
import ssl
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import aiomqtt
import sqlalchemy as sa

from facility.clock import Clock
from facility.wire import (
    ALL_BLOCKS,
    ALL_STATUS,
    ANSWERS,
    STATUS,
    VERSION,
    AgentState,
    Answer,
    Answers,
    Status,
    Topic,
    WireError,
    dump,
    load,
    parse_topic,
)
from server.config import MqttConfig, resolve_secret
from server.db.session import Database
from server.fleet import listening
from server.fleet import service as fleet
from server.fleet.service import DeviceSeen
from server.fleet.watch import AgentWatcher
from server.ingest.directory import Directory
from server.ingest.flights import Flights
from server.ingest.inbox import Inbox, Message
from server.ingest.jobs import Reply
from server.ingest.metrics import IngestMetrics
from server.ingest.processor import Processor
from server.ingest.readings import merge_seen

log = logging.getLogger(__name__)

RECONNECT_FIRST_S = 1.0
RECONNECT_LONGEST_S = 30.0
PUBLISH_TIMEOUT_S = 5.0
# How often signs of life reach the main database: one small transaction for all agents and devices.
SEEN_EVERY_S = 5.0
# aiomqtt's own queue is emptied at once into the inbox, which counts what it drops; this is only its ceiling.
CLIENT_QUEUE = 5000
INFLIGHT = 100
# An Answers message stays far below what a broker or a phone network minds.
ANSWERS_AT_ONCE = 32


class Ingest:
    """One of any number of workers; on MQTT a shared group splits the blocks among them."""

    name = "ingest"

    def __init__(
        self,
        *,
        config: MqttConfig,
        processor: Processor,
        db: Database,
        watchers: Sequence[AgentWatcher],
        clock: Clock,
        metrics: IngestMetrics,
        identifier: str,
        folder: Path,
    ) -> None:
        """identifier: unique per process, or two workers would throw each other out of the broker.

        folder: where it is noted what is being taken.
        """
        self._config = config
        self._processor = processor
        self._db = db
        self._watchers = watchers
        self._clock = clock
        self._metrics = metrics
        self._identifier = identifier
        self._folder = folder
        self._inbox = Inbox(clock)
        self._client: aiomqtt.Client | None = None
        self._listening_since: datetime | None = None
        self._directory = Directory()
        self._statuses: dict[tuple[str, str], tuple[Status, datetime]] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear(), name="ingest-hear")
            group.create_task(self._work(), name="ingest-work")
            group.create_task(self._go_on_noting(), name="ingest-note")

    # --- the broker ------------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        wait, said = RECONNECT_FIRST_S, ""
        while True:
            try:
                async with self._connection() as client:
                    await self._subscribe(client)
                    _heed_cancelling()
                    self._client = client
                    self._listening_since = self._clock.now()
                    self._metrics.connected.set(1)
                    log.info("broker connected", extra={"host": self._config.host, "port": self._config.port})
                    wait, said = RECONNECT_FIRST_S, ""
                    # Beside the reading: the first who are told send a window each while the last are still told.
                    telling = asyncio.create_task(self._say_here(client), name="ingest-here")
                    try:
                        async for message in client.messages:
                            self.hold(str(message.topic), message.payload)
                    finally:
                        telling.cancel()
            except aiomqtt.MqttError as error:
                # Once when it breaks, and again only when it breaks differently.
                if str(error) != said:
                    said = str(error)
                    log.warning("broker not reachable, trying on", extra={"error": said})
            finally:
                self._client = None
                self._listening_since = None
                self._metrics.connected.set(0)
            await self._clock.sleep(wait)
            wait = min(wait * 2, RECONNECT_LONGEST_S)

    def _connection(self) -> aiomqtt.Client:
        config = self._config
        assert config.host is not None, "without a host there is no ingest"
        client = aiomqtt.Client(
            config.host,
            config.port,
            identifier=self._identifier,
            username=config.username,
            password=resolve_secret(config.password_from) if config.password_from else None,
            tls_context=ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
            if config.tls
            else None,
            clean_session=True,
            timeout=PUBLISH_TIMEOUT_S,
            max_queued_incoming_messages=CLIENT_QUEUE,
            max_inflight_messages=INFLIGHT,
        )
        # Else every burst of answers is a warning in the log.
        client.pending_calls_threshold = INFLIGHT * 10
        return client

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        group = self._config.shared_group
        await client.subscribe(f"$share/{group}/{ALL_BLOCKS}" if group else ALL_BLOCKS, qos=1)
        await client.subscribe(ALL_STATUS, qos=1)

    async def _say_here(self, client: aiomqtt.Client) -> None:
        """Tell every agent that we listen from now on; without it what was sent meanwhile waits for minutes."""
        try:
            async with self._db.read() as session:
                agents = await self._directory.agent_codes(session)
            here = dump(Answers(VERSION, ()))
            for site, agent in agents:
                await client.publish(str(Topic(site, agent, ANSWERS)), here, qos=1)
        except (sa.exc.SQLAlchemyError, OSError, aiomqtt.MqttError) as error:
            # They send again by themselves, later.
            log.warning("not every agent was told that the centre listens", extra={"error": str(error)})

    def hold(self, topic: str, payload: object) -> None:
        """A message of the broker's, until its turn comes."""
        if not isinstance(payload, bytes):
            self._metrics.dropped.labels("not_bytes").inc()
            return
        if topic.endswith(f"/{STATUS}"):
            self._hold_status(topic, payload)
        else:
            self._hold_block(topic, payload)
        self._metrics.queue.set(len(self._inbox))

    def _hold_block(self, topic: str, payload: bytes) -> None:
        now = self._clock.now()
        # Now and not when its turn comes: a write that hangs for minutes must not make every agent a silent one.
        with suppress(WireError):
            place = parse_topic(topic)
            self._processor.heard(place.site, place.agent, now)
        if not self._inbox.put(Message(topic, payload, now)):
            self._metrics.dropped.labels("queue_full").inc()

    def _hold_status(self, topic: str, payload: bytes) -> None:
        try:
            place, status = parse_topic(topic), load(payload, Status)
        except WireError as error:
            self._metrics.dropped.labels("bad_status").inc()
            log.warning("status not understood", extra={"topic": topic, "error": str(error)})
            return
        held = self._statuses.get((place.site, place.agent))
        # The goodbye is the agent's own word; the will that the broker says after it means the same end.
        if held is not None and _is_goodbye(held[0]) and _is_will(status):
            return
        if held is not None or len(self._statuses) < CLIENT_QUEUE:
            self._statuses[place.site, place.agent] = status, self._clock.now()

    # --- the work --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        flights = Flights.open(self._folder, self._clock)
        try:
            while True:
                batch = await self._inbox.take()
                self._metrics.queue.set(len(self._inbox))
                for part in flights.parts(batch):
                    with flights.over(part):
                        replies = await self._processor.take(part)
                    await self._answer(replies)
        finally:
            flights.close()

    async def _answer(self, replies: Sequence[Reply]) -> None:
        """Send answers, grouped by agent. One that does not get out costs a second delivery, nothing else."""
        grouped: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        for reply in replies:
            grouped[reply.site, reply.agent].append(reply.answer)
        client = self._client
        if client is None:
            return
        for (site, agent), answers in grouped.items():
            for start in range(0, len(answers), ANSWERS_AT_ONCE):
                message = Answers(VERSION, tuple(answers[start : start + ANSWERS_AT_ONCE]))
                try:
                    await client.publish(str(Topic(site, agent, ANSWERS)), dump(message), qos=1)
                except aiomqtt.MqttError as error:
                    self._metrics.dropped.labels("answer").inc(len(message.answers))
                    log.debug("answer not sent", extra={"site": site, "agent": agent, "error": str(error)})
                    return

    # --- signs of life ---------------------------------------------------------------------------------------------

    async def _go_on_noting(self) -> None:
        while True:
            await self._clock.sleep(SEEN_EVERY_S)
            await self.note()

    async def note(self) -> None:
        """Record the signs of life since the last time; those that cannot be recorded now wait for the next."""
        agents, self._processor.seen_agents = self._processor.seen_agents, {}
        devices, self._processor.seen_devices = self._processor.seen_devices, {}
        statuses, self._statuses = self._statuses, {}
        since = self._listening_since
        if not agents and not statuses and since is None:
            return
        now = self._clock.now()
        try:
            async with self._db.write() as session:
                if since is not None:
                    await listening.note(session, self._identifier, since=since, now=now)
                said = []
                for (site, code), (status, at) in statuses.items():
                    agent = await self._directory.find_agent(session, site, code)
                    if agent is not None:
                        said.append((agent, status, at))
                # In the order in which blocks lock them, or the two would be in each other's way.
                await fleet.lock_agents(session, {*agents, *(agent.id for agent, _, _ in said)})
                for agent, status, at in said:
                    await fleet.note_status(session, agent, status, now=at)
                await fleet.note_seen(session, agents, devices, watchers=self._watchers, now=now)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            log.error("signs of life not recorded", extra={"error": str(error)})
            self._put_back(agents, devices, statuses)

    def _put_back(
        self,
        agents: Mapping[str, datetime],
        devices: Mapping[str, DeviceSeen],
        statuses: Mapping[tuple[str, str], tuple[Status, datetime]],
    ) -> None:
        """Where nothing newer came meanwhile: a goodbye and a will are said once."""
        for agent_id, at in agents.items():
            self._processor.seen_agents[agent_id] = max(at, self._processor.seen_agents.get(agent_id, at))
        for device_id, seen in devices.items():
            merge_seen(self._processor.seen_devices, device_id, seen)
        for place, held in statuses.items():
            newer = self._statuses.get(place)
            if newer is None or (_is_goodbye(held[0]) and _is_will(newer[0])):
                self._statuses[place] = held


def _is_goodbye(status: Status) -> bool:
    return status.state is AgentState.OFFLINE and status.goodbye


def _is_will(status: Status) -> bool:
    return status.state is AgentState.OFFLINE and not status.goodbye


def _heed_cancelling() -> None:
    """Raise the cancelling that somebody swallowed; for a session, before it settles down.

    aiomqtt waits with `asyncio.wait_for`: on Python 3.11 that returns as if nothing had been, when what it waited for
    comes in the moment of the cancelling, and the session would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
