"""The part of the agent that tells people itself: notices in memory and on disk, a task for each channel."""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from agent.figures import Figures
from agent.journal import Offload
from agent.notify import texts
from agent.notify.policy import (
    Fate,
    Limits,
    Link,
    Notice,
    Step,
    Why,
    decide,
    expired,
    judge,
    marks,
    moved,
    retry_after,
)
from agent.notify.store import Found, NoticeStore
from facility.alarms import AlarmEvent
from facility.clock import Clock, now_ms
from facility.items import Told, target_of
from facility.severity import Severity

log = logging.getLogger(__name__)

LOOK_S = 1.0

Send = Callable[[str, str, str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to people. url: what Apprise takes, with its credentials: never printed."""

    name: str
    url: str
    severities: frozenset[Severity]
    zh: bool


class World(Protocol):
    """What the notices must know of the agent."""

    def link(self) -> Link: ...

    def cut_since(self) -> datetime | None: ...

    def named(self, notice: Notice, *, zh: bool) -> texts.Named: ...

    def told(self) -> None:
        """Somebody was told something the centre has not heard of."""


class LocalNotices:
    """`note` takes what the rules decided; `run` tells it, when the agent is cut off for long enough."""

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        limits: Limits,
        site: str,
        zone: str,
        store: NoticeStore,
        offload: Offload,
        send: Send,
        world: World,
        figures: Figures,
        clock: Clock,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._targets = {channel.name: target_of(channel.url) for channel in channels}
        self._limits = limits
        self._site = site
        self._zone = zone
        self._store = store
        self._offload = offload
        self._send = send
        self._world = world
        self._figures = figures
        self._clock = clock
        self._notices: dict[int, Notice] = {}
        self._sent: dict[str, list[int]] = {channel.name: [] for channel in channels}
        self._changed: set[int] = set()
        self._gone: set[int] = set()
        self._last_id = 0
        self._refused = ""

    # --- life ------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take up what an earlier run left; a file that cannot be read is put aside."""
        try:
            found = await self._offload.run(self._store.load)
        except (sqlite3.Error, OSError) as exc:
            log.error("the notices of an earlier run cannot be read and are put aside", extra={"cause": str(exc)})
            try:
                await self._offload.run(self._store.discard)
            except OSError as error:
                log.error("the file of notices cannot be put aside", extra={"cause": str(error)})
            return
        self._notices = {notice.id: notice for notice in found.notices}
        self._last_id = max(self._notices, default=0)
        for channel, at in found.sent:
            if channel in self._sent:
                self._sent[channel].append(at)
        if found.damaged or found.sendings:
            await self._set_aside(found)

    async def _set_aside(self, found: Found) -> None:
        """Count and say what the disk made unreadable; it is kept, and not read again."""
        self._figures.notices[Fate.UNREADABLE] += len(found.damaged)
        cause = next(iter(found.damaged.values()), "")
        log.error(
            "notices of an earlier run cannot be read and are set aside",
            extra={"notices": str(len(found.damaged)), "sendings": str(found.sendings), "cause": cause},
        )
        try:
            await self._offload.run(self._store.set_aside, found.damaged)
        except sqlite3.Error as exc:
            # The next start meets them again.
            log.warning("the notices stay where they are: the disk refuses", extra={"cause": str(exc)})

    async def close(self) -> None:
        await self._keep()
        await self._offload.run(self._store.close)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(), name="notices")
            # Of its own: a disk that hangs keeps nothing from being bounded.
            group.create_task(self._save(), name="notices to disk")
            for channel in self._channels.values():
                group.create_task(self._tell(channel), name=f"notify {channel.name}")

    # --- what came -------------------------------------------------------------------------------------------------

    def note(self, events: Sequence[AlarmEvent]) -> None:
        """Alarm events as the rules made them, in order."""
        now = now_ms(self._clock)
        for event in events:
            known = [each for each in self._notices.values() if each.key == (event.device, event.rule, event.subject)]
            for channel in self._channels.values():
                heard = [each for each in known if each.channel == channel.name]
                found = judge(event, heard, severities=channel.severities)
                for each, fate in found.void:
                    self._drop(each, fate)
                if found.again is not None:
                    self._put(msgspec.structs.replace(found.again, id=self._next_id()))
                if found.what is None:
                    if not found.void:
                        self._figures.notices[found.fate] += 1
                    continue
                self._put(
                    Notice(
                        id=self._next_id(), channel=channel.name, what=found.what, occurrence=event.occurrence,
                        device=event.device, rule=event.rule, subject=event.subject, metric=event.metric,
                        severity=event.severity, value=event.value, limit=event.limit, reason=event.reason,
                        at=event.at, noted_at=now,
                    )
                )  # fmt: skip
                self._figures.notices[Fate.NOTED] += 1

    def stepped(self, step_ms: int) -> None:
        """The clock was set by `step_ms`: what bears its time goes with it, else it were too old or never due."""
        now = now_ms(self._clock)
        # In place: one may be on its way just now.
        for each in self._notices.values():
            each.at, each.noted_at = moved(each.at, step_ms, now=now), moved(each.noted_at, step_ms, now=now)
            each.told_at = None if each.told_at is None else moved(each.told_at, step_ms, now=now)
        self._changed.update(self._notices)
        self._sent = {channel: [moved(at, step_ms, now=now) for at in times] for channel, times in self._sent.items()}

    def marks(self) -> tuple[Told, ...]:
        """What the centre must know was told here."""
        return marks(self._notices.values(), self._targets)

    @property
    def waiting(self) -> int:
        return sum(1 for notice in self._notices.values() if notice.told_at is None)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _put(self, notice: Notice) -> None:
        self._notices[notice.id] = notice
        self._changed.add(notice.id)

    def _drop(self, notice: Notice, fate: Fate) -> None:
        if self._notices.pop(notice.id, None) is None:
            return
        self._changed.discard(notice.id)
        self._gone.add(notice.id)
        if notice.told_at is None:
            self._figures.notices[fate] += 1
            if fate in (Fate.TOO_OLD, Fate.TOO_MANY, Fate.NO_CHANNEL):
                log.warning(
                    "a notice was told to nobody",
                    extra={"reason": fate.value, "device": notice.device, "rule": notice.rule},
                )

    # --- tasks -----------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            link, upto, now = self._world.link(), self._last_id, now_ms(self._clock)
            for notice, fate in expired(self._notices.values(), channels=self._channels, link=link, upto=upto, now=now):
                self._drop(notice, fate)
            for channel, times in self._sent.items():
                self._sent[channel] = [at for at in times if now - self._limits.per_ms < at <= now]

    async def _save(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            await self._keep()

    async def _keep(self) -> None:
        """Bring the file in line with memory; what it does not take now it takes later."""
        if not self._changed and not self._gone:
            return
        changed, self._changed = self._changed, set()
        gone, self._gone = self._gone, set()
        notices = [self._notices[one] for one in changed if one in self._notices]
        sent = [(channel, at) for channel, times in self._sent.items() for at in times]
        try:
            await self._offload.run(self._store.save, notices, sent, gone)
        except (sqlite3.Error, OSError) as exc:
            self._changed |= changed & self._notices.keys()
            self._gone |= gone
            if str(exc) != self._refused:
                self._refused = str(exc)
                log.error("notices are held in memory: the disk refuses", extra={"cause": str(exc)})
            return
        if self._refused:
            self._refused = ""
            log.info("notices are on disk again")

    async def _tell(self, channel: Channel) -> None:
        failures, retry_at, said = 0, 0, ""
        while True:
            await self._clock.sleep(LOOK_S)
            now = now_ms(self._clock)
            step = self._next(channel, min(retry_at, now + retry_after(failures or 1)), now)
            while step.notices:
                error = await self._send(channel.url, *self._words(channel, step))
                now = now_ms(self._clock)
                if error is not None:
                    failures += 1
                    retry_at = now + retry_after(failures)
                    self._figures.notices[Fate.FAILED] += 1
                    if error != said:
                        said = error
                        log.warning("a channel fails", extra={"channel": channel.name, "cause": error})
                    break
                failures, retry_at, said = 0, 0, ""
                self._delivered(channel, step, now)
                step = self._next(channel, 0, now)

    def _next(self, channel: Channel, retry_at: int, now: int) -> Step:
        waiting = [
            notice for notice in self._notices.values() if notice.told_at is None and notice.channel == channel.name
        ]
        return decide(
            waiting,
            sent=self._sent[channel.name],
            link=self._world.link(),
            limits=self._limits,
            retry_at=retry_at,
            now=now,
        )

    def _words(self, channel: Channel, step: Step) -> tuple[str, str]:
        manner = texts.Manner(channel.zh, self._zone, self._site, self._world.cut_since())
        if step.why is Why.SUMMARY:
            return texts.summary(step.notices, manner)
        (notice,) = step.notices
        return texts.message(notice, self._world.named(notice, zh=channel.zh), manner)

    def _delivered(self, channel: Channel, step: Step, now: int) -> None:
        self._sent[channel.name].append(now)
        summed = step.why is Why.SUMMARY
        for notice in step.notices:
            notice.told_at, notice.summed = now, summed
            # It may have been dropped while it was on its way: what was told is told.
            self._gone.discard(notice.id)
            self._put(notice)
            self._figures.notices[Fate.SUMMED if summed else Fate.TOLD] += 1
        if not summed:
            self._world.told()
