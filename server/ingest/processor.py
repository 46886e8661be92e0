"""A batch of messages becomes committed content and answers.

Invariants, each with a test of its name:
- an answer `committed` is made only after every transaction with content of that block is committed;
- a second delivery is answered as the first, and changes nothing;
- a block that fails does not keep the others of its batch from being taken;
- what can never be taken is kept in quarantine before it is answered `rejected`, if the quarantine takes it.

Order within a batch: what is not readings (main database; see `jobs.in_order`), then what readings need of it
and their refused items (quarantine), then the readings (history). What is refused depends on the clock: both ledgers
remember it with the block, and were a block in history before its refused items are kept, they would never be.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from facility.clock import Clock, to_ms
from facility.wire import Answer, Kind, RejectedItem, RetryReason, Topic, Verdict
from server.db.session import Database, WriteSession, after_commit
from server.fleet import openings
from server.fleet import service as fleet
from server.fleet.refs import AgentRef
from server.fleet.service import DeviceSeen
from server.fleet.texts import clip
from server.history.rolling import Keep, oldest_taken
from server.history.store import History, Stored
from server.ingest import contents, meeting, repository
from server.ingest.directory import Directory
from server.ingest.failing import Failures
from server.ingest.inbox import Message
from server.ingest.intake import Entry, Refusal, kind_of, read
from server.ingest.jobs import (
    ANSWERED_ITEMS,
    STORAGE_RETRY_S,
    Job,
    Reply,
    answer_again,
    answer_to,
    block_of,
    conflict,
    in_order,
    name_of,
    put_off,
    refused_now,
)
from server.ingest.metrics import IngestMetrics
from server.ingest.protocols import AlarmSink
from server.ingest.readings import lag_seconds, merge_seen, resolve
from server.ingest.weather import Weather, is_weather, past_clashes, suffers

log = logging.getLogger(__name__)

STRANGER_RETRY_S = 60.0
CATALOG_RETRY_S = 1.0


class Processor:
    """Not concurrent: one batch after the other."""

    def __init__(
        self,
        *,
        db: Database,
        history: History,
        alarms: AlarmSink,
        clock: Clock,
        metrics: IngestMetrics,
        keep: Keep,
        auto_enrol_zone: str | None,
    ) -> None:
        """auto_enrol_zone: the zone of sites that are made for unknown topics; None refuses those."""
        self._db = db
        self._history = history
        self._alarms = alarms
        self._clock = clock
        self._metrics = metrics
        self._keep = keep
        self._auto_enrol_zone = auto_enrol_zone
        self._directory = Directory()
        self._failures = Failures()
        # A full disk refuses what is written and goes on telling what is there.
        self._main_weather, self._reading_weather, self._history_weather = Weather(), Weather(), Weather()
        self.seen_agents: dict[str, datetime] = {}
        self.seen_devices: dict[str, DeviceSeen] = {}

    async def take(self, messages: Sequence[Message]) -> list[Reply]:
        """Take a batch; the replies are to be sent now. Never raises for content or for the database's weather."""
        started = self._clock.monotonic()
        entries: list[Entry] = []
        refusals: list[Refusal] = []
        for message in messages:
            found = read(message)
            if isinstance(found, Entry):
                entries.append(found)
            elif found is not None:
                refusals.append(found)
            else:
                self._metrics.dropped.labels("not_ours").inc()
        try:
            replies = await self._take(entries, refusals)
        except Exception as error:
            # The top of the ingest task: nothing of this batch is answered as taken yet.
            log.exception("batch failed, its blocks are taken one by one", extra={"error": str(error)})
            replies, failed = await self._failures.each_alone(
                entries, refusals, take=self._take, keep=self._keep_blocks, forget=self._forget
            )
            replies += [self._reply(block, answer) for block, answer in failed]
        self._metrics.batch_seconds.observe(self._clock.monotonic() - started)
        return replies

    async def _take(self, entries: Sequence[Entry], refusals: Sequence[Refusal]) -> list[Reply]:
        jobs, replies = await self._identify(entries, refusals)
        for job in jobs:
            topic = job.entry.topic
            self.heard(topic.site, topic.agent, job.entry.at or self._clock.now())
        await self._take_main([job for job in jobs if job.entry.kind is not Kind.READINGS])
        await self._take_readings([job for job in jobs if job.entry.kind is Kind.READINGS])
        for job in jobs:
            assert job.answer is not None, "every block is answered"
            replies.append(self._reply(job.entry, job.answer))
        return replies

    def heard(self, site: str, code: str, at: datetime) -> None:
        """An agent sent something: it lives, whatever becomes of that and however long it takes."""
        agent = self._directory.known_agent(site, code)
        if agent is not None:
            self.seen_agents[agent.id] = max(at, self.seen_agents.get(agent.id, at))

    # --- who -------------------------------------------------------------------------------------------------------

    async def _identify(self, entries: Sequence[Entry], refusals: Sequence[Refusal]) -> tuple[list[Job], list[Reply]]:
        topics = [entry.topic for entry in entries] + [refusal.topic for refusal in refusals]
        senders = {(topic.site, topic.agent) for topic in topics}
        strangers = {sender for sender in senders if self._directory.known_agent(*sender) is None}
        asked = not strangers or await self._meet(sorted(strangers))
        known = [one for one in refusals if self._directory.known_agent(one.topic.site, one.topic.agent) is not None]
        kept = not known or await self._keep_blocks(known)
        jobs: list[Job] = []
        replies: list[Reply] = []
        for entry in entries:
            agent = self._directory.known_agent(entry.topic.site, entry.topic.agent)
            if agent is not None:
                jobs.append(Job(entry, agent))
                continue
            if not asked:
                replies.append(self._reply(entry, refused_now(entry, "the database refuses")))
                continue
            detail = f"site {entry.topic.site!r} with agent {entry.topic.agent!r} is not known here: create it first"
            answer = answer_to(entry, Verdict.RETRY, RetryReason.BUSY, detail, STRANGER_RETRY_S)
            replies.append(self._reply(entry, answer))
        replies += filter(None, [self._refuse(refusal, kept=kept) for refusal in refusals])
        return jobs, replies

    async def _meet(self, senders: Sequence[tuple[str, str]]) -> bool:
        """Have those at hand who are known or may enrol; False when the database cannot be asked now."""
        met: list[AgentRef | None] = []

        async def find(session: WriteSession) -> None:
            met.clear()
            for site, code in senders:
                found = await meeting.find_or_enrol(
                    session, self._directory, site, code, zone=self._auto_enrol_zone, now=self._clock.now()
                )
                met.append(found)

        if not await self._ask_main(find):
            return False
        for agent in filter(None, met):
            self._directory.remember(agent)
        return True

    async def _keep_blocks(self, refusals: Sequence[Refusal]) -> bool:
        async def keep(session: WriteSession) -> None:
            for refusal in refusals:
                await repository.keep_block(session, refusal, now=self._clock.now())
            await self._bound(session, [refusal.topic for refusal in refusals])

        return await self._ask_main(keep)

    async def _bound(self, session: WriteSession, topics: Sequence[Topic]) -> None:
        """What came into quarantine of these makes older of the same agents go."""
        gone = await repository.bound(session, {(topic.site, topic.agent) for topic in topics})
        after_commit(session, partial(self._metrics.let_go.labels("agent").inc, gone))

    def _forget(self) -> None:
        self._directory = Directory()

    def _refuse(self, refusal: Refusal, *, kept: bool) -> Reply | None:
        known = self._directory.known_agent(refusal.topic.site, refusal.topic.agent) is not None
        verdict, reason = Verdict.REJECTED, refusal.reason.value
        if known and not kept:
            verdict, reason = Verdict.RETRY, RetryReason.STORAGE.value
        self._metrics.blocks.labels(refusal.topic.leaf.removeprefix("blocks/"), verdict.value, reason).inc()
        if refusal.header is None or not known:
            return None
        after_s = STORAGE_RETRY_S if verdict is Verdict.RETRY else 0.0
        answer = Answer(refusal.header.stream, refusal.header.seq, verdict, reason, refusal.detail[:500], after_s)
        return Reply(refusal.topic.site, refusal.topic.agent, answer)

    # --- the main database -----------------------------------------------------------------------------------------

    async def _ask_main(self, work: Callable[[WriteSession], Awaitable[None]]) -> bool:
        """Do this in one transaction; False, with nothing done, where the database refuses or is left alone now.

        Work that clashes with another transaction is done again: it must begin anew each time.
        """
        if self._main_weather.wait_s(self._clock.monotonic()):
            return False

        async def transaction() -> None:
            async with self._db.write() as session:
                await work(session)

        try:
            await past_clashes(transaction, clashed=self._metrics.clashes.labels("main").inc)
        except Exception as error:
            if not is_weather(error):
                raise
            suffers(self._main_weather, "the main database", error, now=self._clock.monotonic())
            return False
        return True

    # --- catalogs, alarms, events, health --------------------------------------------------------------------------

    async def _take_main(self, jobs: Sequence[Job]) -> None:
        """All in one transaction; if one fails each has its own, the class of error says nothing about the others."""
        if not jobs:
            return

        async def take(session: WriteSession) -> None:
            # All before the first ticket: its number is one row for the whole centre, and held until the commit.
            await fleet.lock_agents(session, {job.agent.id for job in jobs})
            for job in in_order(jobs):
                job.answer = await self._apply(session, job)
            await self._bound(session, [job.entry.topic for job in jobs if job.refused])

        try:
            took = await self._ask_main(take)
        except Exception as error:
            if len(jobs) == 1:
                self._main_weather.took()  # and would not have this
                await self._failed(jobs[0], error)
                return
            log.debug("batch of what is not readings failed, taken one by one", exc_info=error)
            for job in in_order(jobs):
                await self._take_main([job])
            return
        if not took:
            # Nothing of it is committed, whatever was answered on the way.
            put_off(jobs, "the database refuses")
            return
        self._main_weather.took()
        for job in jobs:
            self._count_refused(job.entry, job.refused)

    async def _apply(self, session: WriteSession, job: Job) -> Answer:
        header, now = job.entry.header, self._clock.now()
        job.refused = ()
        if header.sent_by not in ("", header.stream):
            # Before it is found to be known: that is why its sender got no answer.
            await openings.followed(session, job.agent.id, stream=header.stream, sent_by=header.sent_by)
        before = await repository.enter(session, job.agent.id, header, now)
        if before is not None and before.digest != header.digest:
            return conflict(job.entry)
        if before is not None:
            # What is refused depends on the clock and on what else is here: it is remembered, not found anew.
            return answer_to(job.entry, Verdict.COMMITTED, rejected=repository.refused_before(before))
        found, changed = await contents.apply(
            session, job.agent, job.entry, alarms=self._alarms, now=now, in_pieces=job.in_pieces
        )
        refused = _as_kept(found)
        if changed:
            self._directory.forget_site(job.agent.site.id)
        await repository.keep_items(session, job.entry, refused, now=now)
        if refused:
            await repository.note_refused(session, job.agent.id, header, refused[:ANSWERED_ITEMS])
        job.refused = refused
        return answer_to(job.entry, Verdict.COMMITTED, rejected=job.refused)

    async def _failed(self, job: Job, error: Exception) -> None:
        """A block the centre cannot take: asked for again a few times, then put aside on both sides; of alarms what can
        be taken of it is taken first.
        """
        log.error("block failed", extra={"block": name_of(job.entry)}, exc_info=error)
        refusal = self._failures.verdict(job.entry, error)
        if refusal is None:
            job.answer = refused_now(job.entry, "the centre failed on it")
        elif job.entry.kind is Kind.ALARMS and not job.in_pieces:
            job.in_pieces = True
            await self._take_main([job])
        elif await self._keep_blocks([refusal]):
            job.answer = answer_to(job.entry, Verdict.REJECTED, refusal.reason, refusal.detail)
        else:
            put_off([job], "the database refuses")

    # --- readings --------------------------------------------------------------------------------------------------

    async def _take_readings(self, jobs: Sequence[Job]) -> None:
        ready = [job for job in jobs if await self._prepared(job)]
        if self._history_weather.wait_s(self._clock.monotonic()):
            put_off(ready, "the history refuses")
            return
        ready = await self._with_refused_kept(await self._without_entered(ready))
        if not ready:
            return
        try:
            await self._store(ready)
        except Exception as error:
            left = [job for job in ready if job.answer is None]
            if is_weather(error):
                suffers(self._history_weather, "the history", error, now=self._clock.monotonic())
                put_off(left, "the history refuses")
                return
            log.warning("batch of readings failed, taken one by one", exc_info=error)
            await self._one_by_one(left)
        else:
            self._history_weather.took()

    async def _store(self, jobs: Sequence[Job]) -> None:
        """In one transaction; when it raises, those without an answer are not stored or not asked about."""
        blocks = [block_of(job) for job in jobs]

        async def transaction() -> list[Stored]:
            return await self._history.write(blocks, now_ms=to_ms(self._clock.now()))

        outcomes = await past_clashes(transaction, clashed=self._metrics.clashes.labels("history").inc)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome is Stored.STORED:
                self._stored(job)
        again = [(job, block.name) for job, block in zip(jobs, blocks, strict=True) if job.answer is None]
        before = await self._history.entered([name for _, name in again]) if again else {}
        for job, name in again:
            job.answer = answer_again(job.entry, before[name])

    async def _one_by_one(self, jobs: Sequence[Job]) -> None:
        for position, job in enumerate(jobs):
            try:
                await self._store([job])
            except Exception as error:
                log.debug("block not stored", exc_info=error)
                if is_weather(error):
                    suffers(self._history_weather, "the history", error, now=self._clock.monotonic())
                    put_off(jobs[position:], "the history refuses")
                    return
                await self._failed(job, error)

    async def _prepared(self, job: Job) -> bool:
        try:
            return await self._prepare(job)
        except Exception as error:
            log.debug("block not prepared", exc_info=error)
            if is_weather(error):
                # What is at hand of the site stays so: readings that need nothing else go on.
                suffers(self._reading_weather, "the main database, asked", error, now=self._clock.monotonic())
                put_off([job], "the database refuses")
                return False
            self._directory.forget_site(job.agent.site.id)
            await self._failed(job, error)
            return False

    async def _prepare(self, job: Job) -> bool:
        """Resolve a block's points; False when it is answered already."""
        entry, agent, now = job.entry, job.agent, self._clock.now()
        digest = entry.header.catalog
        series, refused = contents.series_of(entry, now_ms=to_ms(now))
        names = {(one.device, one.metric, one.subject) for _, one in series}
        if not self._directory.has(agent, digest, names):
            if self._reading_weather.wait_s(self._clock.monotonic()):
                put_off([job], "the database refuses")
                return False
            async with self._db.read() as session:
                if not await self._directory.knows_catalog(session, agent, digest):
                    detail = f"catalog {digest} is not here: send it, then this block again"
                    job.answer = answer_to(entry, Verdict.RETRY, RetryReason.NEED_CATALOG, detail, CATALOG_RETRY_S)
                    return False
                await self._directory.load(session, agent.site.id, names)
            self._reading_weather.took()
        missing = sorted(name for name in names if self._directory.point(agent.site.id, name) is None)
        if missing and not await meeting.learn(
            job, missing, directory=self._directory, db=self._db, ask_main=self._ask_main, now=now
        ):
            put_off([job], "the database refuses")
            return False
        job.resolved = resolve(self._directory, agent.site.id, series, oldest_ms=oldest_taken(now, self._keep))
        job.refused = _as_kept([*refused, *job.resolved.refused])
        return True

    def _stored(self, job: Job) -> None:
        """For the first time."""
        resolved = job.resolved
        assert resolved is not None, "only resolved blocks are stored"
        job.answer = answer_to(job.entry, Verdict.COMMITTED, rejected=job.refused)
        self._metrics.values.inc(sum(len(one.at) for one in resolved.series))
        self._count_refused(job.entry, job.refused)
        for device_id, seen in resolved.seen.items():
            merge_seen(self.seen_devices, device_id, seen)
        if resolved.newest:
            self._metrics.lag.set(lag_seconds(self._clock.now(), resolved.newest))

    async def _without_entered(self, jobs: list[Job]) -> list[Job]:
        """Answer those with refused items that are in history already; returns those that may go on."""
        faulty = [job for job in jobs if job.refused]
        if not faulty:
            return jobs
        try:
            entered = await self._history.entered([block_of(job).name for job in faulty])
        except Exception as error:
            if not is_weather(error):
                raise
            suffers(self._history_weather, "the history, asked", error, now=self._clock.monotonic())
            put_off(faulty, "the history refuses")
        else:
            for job in faulty:
                before = entered.get(block_of(job).name)
                if before is not None:
                    job.answer = answer_again(job.entry, before)
        return [job for job in jobs if job.answer is None]

    async def _with_refused_kept(self, jobs: list[Job]) -> list[Job]:
        """Put refused items into quarantine; returns the blocks that may go on, the others are asked for again."""
        faulty = [job for job in jobs if job.refused]

        async def keep(session: WriteSession) -> None:
            for job in faulty:
                await repository.keep_items(session, job.entry, job.refused, now=self._clock.now())
            await self._bound(session, [job.entry.topic for job in faulty])

        if not faulty or await self._ask_main(keep):
            return jobs
        put_off(faulty, "the database refuses")
        return [job for job in jobs if not job.refused]

    # --- answers ---------------------------------------------------------------------------------------------------

    def _count_refused(self, entry: Entry, refused: Sequence[RejectedItem]) -> None:
        for item in refused:
            self._metrics.refused.labels(entry.kind.value, item.reason.value).inc()

    def _reply(self, entry: Entry | Refusal, answer: Answer) -> Reply:
        self._metrics.blocks.labels(kind_of(entry.topic).value, answer.verdict.value, answer.reason).inc()
        return Reply(entry.topic.site, entry.topic.agent, answer)


def _as_kept(refused: Sequence[RejectedItem]) -> tuple[RejectedItem, ...]:
    """As they can be kept: details quote what came, and no database takes all of that."""
    return tuple(replace(item, detail=clip(item.detail, 500)) for item in refused)
