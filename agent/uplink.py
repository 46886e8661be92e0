"""The way to the centre over MQTT. The journal is the only queue: the session is clean and no PUBACK is trusted.

A block stays in the outbox until the centre answers for it. A lost connection forgets what was in flight, so it is
offered and sent again; so is what is in flight when the centre says that it begins to listen. The centre knows a block
by (stream, seq, digest).
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from typing import Protocol

import aiomqtt

from agent.broker import Broker
from agent.budget import Budget
from agent.figures import Figures
from agent.journal import BlockState, Journal, Key, Sealed
from agent.outbox import Outbox
from agent.outbox_policy import (
    PUBLISH_S,
    WINDOW,
    Act,
    Decision,
    Flying,
    Readings,
    acknowledged_within,
    begin_anew,
    decide,
    reconnect_after,
)
from collectors.cancelling import heed_cancelling
from facility.clock import Clock, now_ms
from facility.wire import (
    ANSWERS,
    CONTROL,
    STATUS,
    VERSION,
    AgentState,
    Answer,
    Answers,
    Control,
    Kind,
    Status,
    Topic,
    WireError,
    block_topic,
    dump,
    load,
)

log = logging.getLogger(__name__)

# The loop looks at least this often, for overdue answers and for the live mark.
LOOK_S = 1.0
# The same catalog is not offered again sooner: 32 blocks may ask for it in one breath.
CATALOG_AGAIN_S = 5.0
# So long is waited at a stop: for the disk, for the centre to take what it refuses, and for the last health.
LAST_S = 3.0
_MAX_INCOMING = 1000


class Reports(Protocol):
    """What the uplink tells the agent."""

    def connected(self) -> None: ...

    def say_health(self) -> None: ...

    def publish_catalog(self) -> None:
        """Have the catalog that holds in the journal anew: the centre asks for it, and it is there no more."""

    def notice(self, what: str, detail: dict[str, str]) -> None: ...


class Uplink:
    """Runs for ever: connects, publishes status, sends the outbox, handles answers, reconnects.

    budget: of a metered link; None sends everything at once.

    taken_at: when (monotonic) the centre last took a block, or there was none for it to take; the start at first.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        site: str,
        agent: str,
        version: str,
        journal: Journal,
        figures: Figures,
        reports: Reports,
        clock: Clock,
        backlog_rate: float,
        budget: Budget | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._broker = broker
        self._site = site
        self._agent = agent
        self._version = version
        self._journal = journal
        self._figures = figures
        self._reports = reports
        self._clock = clock
        self._chance = chance
        self._outbox = Outbox(journal, clock=clock, backlog_rate=backlog_rate)
        self.budget = budget
        self._pack_at = clock.monotonic()
        self._catalogs_offered: dict[str, float] = {}
        self._anew_at = -math.inf
        self.connected = False
        self._heard = False
        self.taken_at = clock.monotonic()
        self.control: Control | None = None

    @property
    def in_flight(self) -> int:
        return len(self._outbox.flying)

    async def run(self) -> None:
        """Keep a session until cancelled; on cancelling, say offline if the broker still listens.

        One in which the centre answered is soon followed by the next, else by longer and longer pauses.
        """
        failures = 0
        while True:
            try:
                # A task of its own, so that `cancelling` below counts what is meant for this one alone (Python 3.11's
                # groups leave a count behind).
                await asyncio.create_task(self._session(), name="uplink session")
            except* (aiomqtt.MqttError, OSError, TimeoutError) as group:
                cause = "; ".join(str(exc) or type(exc).__name__ for exc in _leaves(group))
            else:
                cause = "the broker closed the connection"
            # The link broke in the moment of the cancelling, and a group of errors hides a cancelling.
            heed_cancelling()
            if self.connected:
                log.warning("connection to the broker lost", extra={"cause": cause})
            else:
                log.log(
                    logging.WARNING if failures == 0 else logging.DEBUG,
                    "no connection to the broker",
                    extra={"cause": cause},
                )
            if self._heard:
                failures = 0  # one that takes a session and drops it again is no better than one that takes none
            self.connected = self._heard = False
            self._outbox.land_all()
            await self._clock.sleep(reconnect_after(failures, self._chance()))
            failures += 1

    # --- one session -----------------------------------------------------------------------------------------------

    async def _session(self) -> None:
        since = now_ms(self._clock)
        status = str(Topic(self._site, self._agent, STATUS))
        will, goodbye = (
            dump(Status(VERSION, AgentState.OFFLINE, self._version, since, goodbye)) for goodbye in (False, True)
        )
        client = aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            identifier=f"coldaisle-{self._site}-{self._agent}",
            username=self._broker.username,
            password=self._broker.password,
            tls_context=self._broker.tls,
            clean_session=True,
            keepalive=self._broker.keepalive_s,
            timeout=PUBLISH_S,
            max_queued_incoming_messages=_MAX_INCOMING,
            will=aiomqtt.Will(status, will, qos=1, retain=True),
        )
        # Up to a window of publishes wait for their PUBACK at once; aiomqtt warns from the eleventh on.
        client.pending_calls_threshold = 2 * WINDOW
        async with client:
            if self.budget is not None:
                self.budget.connect(tls=self._broker.tls is not None)
            await client.subscribe(str(Topic(self._site, self._agent, ANSWERS)), qos=1)
            await client.subscribe(str(Topic(self._site, self._agent, CONTROL)), qos=1)
            await client.publish(status, dump(Status(VERSION, AgentState.ONLINE, self._version, since)), 1, True)
            heed_cancelling()
            self.connected = True
            self._figures.connections += 1
            log.info("connected to the broker", extra={"host": self._broker.host, "port": self._broker.port})
            self._reports.connected()
            try:
                await self._exchange(client)
            except asyncio.CancelledError:
                await self._part(client)
                await self._say_goodbye(client, status, goodbye)
                raise

    async def _exchange(self, client: aiomqtt.Client, *, until: Callable[[], bool] = lambda: False) -> None:
        """Send and receive until the connection ends, or a message of the centre made `until` true."""
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive(client, until), name="uplink receive")
            sending = group.create_task(self._send(client), name="uplink send")
            # A clean end of the messages is the end of the session, too.
            receiving.add_done_callback(lambda _: sending.cancel())

    async def _part(self, client: aiomqtt.Client) -> None:
        """Told to stop: what the disk refuses is sent before the goodbye, and how much of it was not."""
        trying = asyncio.create_task(self._journal.last_try(), name="uplink last try")
        await asyncio.wait([trying], timeout=LAST_S)
        if not trying.done() or not self._journal.degraded:
            return  # a disk that hangs keeps no goodbye waiting
        await self._hand_over(client)
        await self._journal.give_up()
        self._reports.say_health()
        await self._journal.commit()
        await self._hand_over(client)

    async def _hand_over(self, client: aiomqtt.Client) -> None:
        """Go on until the centre has taken what only the memory holds; for LAST_S at most."""
        if not self._journal.held:
            return
        # Some may have been put in flight and not have been sent when the stop came.
        self._outbox.hurry()
        # A task of its own: in one that is being cancelled, groups and timeouts of Python 3.11 lose count.
        going = asyncio.create_task(
            self._exchange(client, until=lambda: not self._journal.held), name="uplink last words"
        )
        await asyncio.wait([going], timeout=LAST_S)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

    async def _say_goodbye(self, client: aiomqtt.Client, status: str, goodbye: bytes) -> None:
        """A clean disconnect sends no last will, so it is said here; a broker that is gone needs no goodbye."""
        try:
            await client.publish(status, goodbye, 1, True, timeout=2.0)
        except aiomqtt.MqttError as exc:
            log.debug("status offline not delivered", extra={"cause": str(exc)})

    async def _receive(self, client: aiomqtt.Client, until: Callable[[], bool]) -> None:
        answers = str(Topic(self._site, self._agent, ANSWERS))
        async for message in client.messages:
            payload = message.payload
            try:
                if str(message.topic) == answers:
                    answered = load(payload, Answers).answers
                    self._heard = True
                    for answer in answered:
                        await self._answered(answer)
                    if not answered:
                        self._begin_anew()
                    self._journal.changed.set()
                elif payload:
                    self.control = load(payload, Control)
            except WireError as exc:
                self._figures.answers["unreadable"] += 1
                log.warning("a message of the centre is not understood", extra={"cause": str(exc)})
            if until():
                return

    # --- sending ---------------------------------------------------------------------------------------------------

    async def _send(self, client: aiomqtt.Client) -> None:
        # Nothing waits for another's acknowledgement: an alarm goes while readings are on their way.
        async with asyncio.TaskGroup() as publishing:
            while True:
                self._journal.changed.clear()
                overdue = await self._outbox.overdue()
                self._figures.resent += len(overdue)
                await self._pack()
                blocks = [*overdue, *await self._outbox.next(self._readings())]
                for block in blocks:
                    publishing.create_task(self._publish(client, block), name=f"publish {block.key.seq}")
                if blocks:
                    continue
                if not self._outbox.flying:
                    self.taken_at = self._clock.monotonic()
                await self._wait()

    async def _wait(self) -> None:
        """Until something changes in the journal, an answer is overdue, or the backlog may go on."""
        try:
            # Never shorter than 20 ms: a window full of overdue blocks must not spin.
            async with asyncio.timeout(min(max(self._outbox.due_in_s, 0.02), LOOK_S)):
                await self._journal.changed.wait()
        except TimeoutError:
            return

    def _readings(self) -> Readings:
        if self.budget is None:
            return Readings.ALL
        if not self._journal.degraded:
            return Readings.PACKED
        # A disk that refuses packs and thins nothing: what the month does not bear waits in memory.
        return Readings.ALL if self.budget.has_left(self._clock.monotonic()) else Readings.NONE

    async def _pack(self) -> None:
        """On a metered link readings go in packed blocks, and no more of them than the month's budget bears."""
        budget, now = self.budget, self._clock.monotonic()
        if budget is None or now < self._pack_at:
            return
        level = budget.level
        budget.judge(now)
        if budget.level != level:
            detail = {"spacing_s": f"{budget.spacing_ms / 1000:g}"}
            log.info("readings are thinned to the month's traffic", extra=detail)
            self._reports.notice("thinning", detail)
        thinned, more = await self._journal.pack(busy=self._outbox.flying, spacing_ms=budget.spacing_ms)
        self._figures.thinned += thinned
        self._pack_at = now if more else now + budget.every_s

    async def _publish(self, client: aiomqtt.Client, block: Sealed) -> None:
        payload = block.payload(sent_by=self._journal.stream)
        if self.budget is not None:
            self.budget.spend(len(payload), readings=block.kind is Kind.READINGS)
        topic = str(block_topic(self._site, self._agent, block.kind))
        try:
            await client.publish(topic, payload, 1, timeout=acknowledged_within(self._outbox.on_way))
        finally:
            self._outbox.arrived(block.key)
            if block.kind is Kind.READINGS:
                self._journal.changed.set()  # there is room for more
        self._figures.sent[block.kind] += 1

    # --- answers ---------------------------------------------------------------------------------------------------

    async def _answered(self, answer: Answer) -> None:
        key = Key(answer.stream, answer.seq)
        flying = self._outbox.flying.get(key)
        self._figures.answers[answer.verdict] += 1
        decision = decide(answer, flying)
        match decision.act:
            case Act.FORGET:
                self.taken_at = self._clock.monotonic()
                self._outbox.flying.pop(key, None)
                self._journal.settle(key, BlockState.COMMITTED)
                self._count_rejected_items(answer)
            case Act.QUARANTINE:
                self._outbox.flying.pop(key, None)
                self._journal.settle(key, BlockState.REJECTED, answer.reason)
                self._figures.rejected[answer.reason] += 1
                self._tell("block_rejected", answer, flying)
            case Act.RENUMBER:
                # In flight until it has its new name: by the old one it would be offered, and sent, once more.
                if await self._journal.resequence(key) is not None:
                    self._tell("block_renumbered", answer, flying)
                self._outbox.land(key)
            case Act.WAIT | Act.SEND_CATALOG:
                await self._put_off(decision, flying)
            case Act.IGNORE:
                log.debug("an answer about a block that is not in flight", extra={"seq": answer.seq})

    def _begin_anew(self) -> None:
        """The centre restarted, or had lost its broker: what it was sent meanwhile went nowhere."""
        now = self._clock.monotonic()
        begin_anew(self._outbox.flying.values(), now=now, last=self._anew_at, chance=self._chance())
        self._anew_at = now
        log.info("the centre listens anew", extra={"sent_again": len(self._outbox.flying)})

    async def _put_off(self, decision: Decision, flying: Flying | None) -> None:
        if flying is None:
            return
        flying.next_at = self._clock.monotonic() + decision.wait_s
        if decision.act is Act.SEND_CATALOG:
            await self._offer_catalog(flying)

    async def _offer_catalog(self, flying: Flying) -> None:
        now = self._clock.monotonic()
        self._catalogs_offered = {
            names: at for names, at in self._catalogs_offered.items() if now - at < CATALOG_AGAIN_S
        }
        if flying.catalog in self._catalogs_offered:
            return
        at = now_ms(self._clock)
        if not await self._journal.offer_catalog(flying.catalog, at=at):
            if flying.catalog != self._journal.catalog:
                # That catalog went with an evicted or corrupt file: the block is made to speak of the present one.
                await self._journal.resequence(flying.key, catalog=self._journal.catalog)
                self._outbox.land(flying.key)
                return
            # The present one went with a corrupt file. By a new name the block would ask for the same at once.
            self._reports.publish_catalog()
        self._catalogs_offered[flying.catalog] = now

    def _count_rejected_items(self, answer: Answer) -> None:
        for item in answer.rejected:
            self._figures.rejected[item.reason] += 1
        if answer.rejected:
            first = answer.rejected[0]
            detail = {"items": str(len(answer.rejected)), "first": f"{first.path}: {first.reason} {first.detail}"}
            log.warning("the centre refused items of a block", extra=detail)
            self._reports.notice("items_rejected", detail)

    def _tell(self, what: str, answer: Answer, flying: Flying | None) -> None:
        detail = {
            "stream": answer.stream,
            "seq": str(answer.seq),
            "kind": str(flying.kind) if flying else "",
            "reason": answer.reason,
            "detail": answer.detail,
        }
        log.error("the centre does not take a block", extra={"what": what, **detail})
        self._reports.notice(what, detail)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for exc in group.exceptions:
        found += _leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc]
    return found
