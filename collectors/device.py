"""One device as the agent polls it: its client, converter and breaker; problems become readings, not exceptions."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol as Interface

import msgspec

from collectors.bus import GiveWay
from collectors.convert import Converter, PointInfo
from collectors.errors import CollectError
from collectors.exchange import (
    ModbusAnswer,
    ModbusNeeds,
    PollOutcome,
    PollProblem,
    Restart,
    SnmpAnswer,
    SnmpNeeds,
)
from collectors.learnt import Learnt, cells_of, holes_of, pace_of, recall_pace
from collectors.modbus.client import ModbusLink, ModbusLinks
from collectors.modbus.collect import ModbusCollector
from collectors.modbus.target import ModbusTarget
from collectors.pacing import Budgets
from collectors.plan import needed_cells
from collectors.schedule import Breaker
from collectors.snmp.client import SnmpClient, Turn
from collectors.snmp.collect import SnmpCollector
from collectors.snmp.target import SnmpTarget
from collectors.snmp.uptime import SYS_UPTIME, UptimeWatch
from collectors.stamps import Stamps
from facility.clock import Clock, now_ms
from facility.profile import Profile, Protocol
from facility.reading import COMMUNICATION, QualityReason, Reading

__all__ = [
    "DevicePoller",
    "ModbusLinks",
    "ModbusTarget",
    "PolledDevice",
    "SnmpTarget",
    "open_device",
]

# Slots in a row in which a device was not asked, since others spent the budget of its address: from then on nothing is
# known of it, and that is to be seen.
MOST_HELD_BACK = 3

_REASONS: Mapping[PollProblem, QualityReason] = {
    PollProblem.TIMEOUT: QualityReason.TIMEOUT,
    PollProblem.BAD_REPLY: QualityReason.EXCEPTION,
}


@dataclass(frozen=True, slots=True)
class PolledDevice:
    """A device of the site's configuration. interval_s: between polls; deadline_s: what one poll may take at most."""

    id: str
    profile: Profile
    target: SnmpTarget | ModbusTarget
    interval_s: float
    deadline_s: float


class Speaker(Interface):
    """What a poller asks of a protocol: bring one answer, say what would be asked, let go."""

    @property
    def sent(self) -> int: ...

    @property
    def restart(self) -> Restart | None: ...

    async def collect(
        self, *, deadline: float, trusted: bool, give_way: GiveWay | None
    ) -> SnmpAnswer | ModbusAnswer: ...

    def plan(self) -> list[str]: ...

    def learnt(self) -> Learnt: ...

    def recall(self, learnt: Learnt) -> None: ...

    async def close(self) -> None: ...


class DevicePoller:
    """Polls one device. `poll` is for one caller at a time; everything learnt about the device lives as long as this.

    bus: the queue it belongs to, "snmp:HOST", "modbus:HOST:PORT" or "modbus:PATH" of a serial line.
    complete: it has answered in full once, so `points` are all it has; what it says not to have counts as an answer.
    """

    def __init__(self, device: PolledDevice, *, bus: str, speaker: Speaker, converter: Converter, clock: Clock) -> None:
        self.device = device
        self.bus = bus
        self._speaker = speaker
        self._converter = converter
        self._clock = clock
        self._breaker = Breaker(device.id, round(device.interval_s * 1000))
        self._lost = False
        self._held_back = 0
        self._stamps = Stamps()
        self.complete = False

    @property
    def healthy(self) -> bool:
        """It answered last time (or was never asked): it goes before the suspects of its bus."""
        return self._breaker.healthy

    def points(self) -> list[PointInfo]:
        """The points known so far, for the catalog."""
        return self._converter.points()

    @property
    def forgotten(self) -> int:
        """How many points were forgotten, for they left long ago; it grows."""
        return self._converter.forgotten

    def plan(self) -> list[str]:
        """The requests of the next poll, for people."""
        return self._speaker.plan()

    def learnt(self) -> Learnt:
        """What is worth keeping over a restart of the program."""
        return msgspec.structs.replace(
            self._speaker.learnt(), profile=self.device.profile.id, counts=self._converter.learnt()
        )

    def recall(self, learnt: Learnt) -> None:
        """Take up what an earlier program learnt of this device; before the first poll. What does not fit is left."""
        if learnt.profile == self.device.profile.id:
            self._converter.recall(learnt.counts)
            if learnt.place == self._speaker.learnt().place:
                self._speaker.recall(learnt)

    async def poll(self, give_way: GiveWay | None = None) -> PollOutcome:
        """Ask once, within the device's deadline, and say what came. Raises for no weather, only for our own faults.

        give_way: where others wait for the same line; what they take is not counted to this device's deadline.
        """
        started_ms = now_ms(self._clock)
        started = self._clock.monotonic()
        sent = self._speaker.sent
        if not self._breaker.allows(round(started * 1000)):
            return self._outcome(started_ms, 0.0, 0, [], PollProblem.BACKING_OFF, "left alone until its next probe")
        try:
            answer = await self._speaker.collect(
                deadline=started + self.device.deadline_s, trusted=self._breaker.healthy, give_way=give_way
            )
        except CollectError as exc:
            problem = exc.problem
            if problem is PollProblem.HELD_BACK:
                asked = self._speaker.sent > sent
                self._held_back = 0 if asked else self._held_back + 1
                if not asked and self._held_back < MOST_HELD_BACK:
                    # Our own doing: of the device nothing is known that was not before.
                    took = self._clock.monotonic() - started
                    return PollOutcome(self.device.id, started_ms, took, 0, (), problem, str(exc))
                problem = PollProblem.TIMEOUT
            self._breaker.failed(round(self._clock.monotonic() * 1000))
            # Said once, at the turn: the points go bad, and stay so until one of them is read again.
            bad = [] if self._lost else self._all_bad(_REASONS.get(problem, QualityReason.UNREACHABLE))
            self._lost = True
            return self._outcome(
                started_ms, self._clock.monotonic() - started, self._speaker.sent - sent, bad, problem, str(exc)
            )
        self._breaker.answered()
        self._lost, self._held_back = False, 0
        restart = self._speaker.restart
        readings = self._converter.convert(answer, taken_at=self._taken_at(), restarted=restart is not None)
        self.complete |= all(reason is QualityReason.NO_SUCH_OBJECT for reason in answer.failed.values())
        outcome = self._outcome(started_ms, self._clock.monotonic() - started, self._speaker.sent - sent, readings)
        return outcome if restart is None else replace(outcome, restart=restart)

    def heard(self) -> None:
        """It spoke by itself (a trap): the next poll asks it, however long it was to be left alone."""
        self._breaker.heard()

    async def close(self) -> None:
        """Let go of the device; its gateway's connection is closed with its last unit. Call it once."""
        await self._speaker.close()

    def _outcome(
        self,
        started_ms: int,
        seconds: float,
        requests: int,
        readings: list[Reading],
        problem: PollProblem | None = None,
        detail: str = "",
    ) -> PollOutcome:
        word = "ok" if problem is None else "lost"
        at = self._stamps.last if readings else self._taken_at()
        spoken = Reading(self.device.id, COMMUNICATION, "", word, at)
        left_out = self._converter.left_out
        return PollOutcome(
            self.device.id, started_ms, seconds, requests, (spoken, *readings), problem, detail, left_out=left_out
        )

    def _taken_at(self) -> int:
        return self._stamps.next(now_ms(self._clock))

    def _all_bad(self, reason: QualityReason) -> list[Reading]:
        """Every point that is known so far, bad for this reason."""
        needs = self._converter.needs()
        answer: SnmpAnswer | ModbusAnswer
        if isinstance(needs, SnmpNeeds):
            answer = SnmpAnswer(failed=dict.fromkeys((*needs.gets, *needs.walks), reason))
        else:
            answer = ModbusAnswer(failed=dict.fromkeys(needed_cells(needs.spans), reason))
        return self._converter.convert(answer, taken_at=self._taken_at())


class _SnmpSpeaker:
    def __init__(
        self, needs: SnmpNeeds, place: str, client: SnmpClient, collector: SnmpCollector, clock: Clock
    ) -> None:
        self._place = place
        self._needs = SnmpNeeds(tuple(dict.fromkeys((*needs.gets, SYS_UPTIME))), needs.walks)
        self._client = client
        self._collector = collector
        self._clock = clock
        self._uptime = UptimeWatch()
        self.restart: Restart | None = None

    @property
    def sent(self) -> int:
        return self._client.sent

    async def collect(self, *, deadline: float, trusted: bool, give_way: GiveWay | None) -> SnmpAnswer:
        del give_way  # hosts share nothing
        answer = await self._collector.collect(self._needs, deadline=deadline, trusted=trusted)
        self.restart = self._uptime.look(answer.values.get(SYS_UPTIME), self._clock.monotonic())
        if self.restart is not None:
            self._collector.forget()
        return answer

    def plan(self) -> list[str]:
        return self._collector.plan(self._needs)

    def learnt(self) -> Learnt:
        now, at = self._clock.monotonic(), now_ms(self._clock)
        return Learnt("", self._place, pace=pace_of(self._collector.pace, now=now, now_ms=at))

    def recall(self, learnt: Learnt) -> None:
        if learnt.pace is not None:
            now, at = self._clock.monotonic(), now_ms(self._clock)
            recall_pace(self._collector.pace, learnt.pace, now=now, now_ms=at)

    async def close(self) -> None:
        await self._client.close()


class _ModbusSpeaker:
    restart = None  # Modbus knows no uptime

    def __init__(
        self, needs: ModbusNeeds, place: str, collector: ModbusCollector, link: ModbusLink, links: ModbusLinks
    ) -> None:
        self._needs = needs
        self._place = place
        self._collector = collector
        self._link = link
        self._links = links
        link.users += 1

    @property
    def sent(self) -> int:
        return self._collector.sent

    async def collect(self, *, deadline: float, trusted: bool, give_way: GiveWay | None) -> ModbusAnswer:
        return await self._collector.collect(self._needs, deadline=deadline, trusted=trusted, give_way=give_way)

    def plan(self) -> list[str]:
        return self._collector.plan(self._needs)

    def learnt(self) -> Learnt:
        holes, cuts = cells_of(self._collector.holes)
        return Learnt("", self._place, holes=holes, cuts=cuts)

    def recall(self, learnt: Learnt) -> None:
        self._collector.holes = holes_of(learnt)

    async def close(self) -> None:
        await self._links.release(self._link)


def _turn(budgets: Budgets | None, target: SnmpTarget, clock: Clock) -> Turn | None:
    """What an SNMP device waits for before each request: its address' budget."""
    if budgets is None:
        return None
    budget = budgets.of(f"{target.host}:{target.port}")

    async def until_it_comes(wait: float) -> None:
        try:
            await clock.sleep(wait)
        except asyncio.CancelledError:
            budget.give_back()
            raise

    def turn() -> Awaitable[None] | None:
        wait = budget.reserve(clock.monotonic())
        return until_it_comes(wait) if wait > 0 else None

    return turn


def open_device(device: PolledDevice, *, clock: Clock, modbus_links: ModbusLinks) -> DevicePoller:
    """The poller of a device; nothing is sent yet. ValueError where target and profile speak different protocols.

    The budgets of the links bound SNMP devices too.
    """
    target = device.target
    wanted = Protocol.SNMP if isinstance(target, SnmpTarget) else Protocol.MODBUS
    if device.profile.protocol is not wanted:
        raise ValueError(f"{device.id}: {device.profile.id} speaks {device.profile.protocol}, its target is {wanted}")
    if isinstance(target, SnmpTarget):
        converter = Converter(device.profile, device=device.id)
        needs = converter.needs()
        assert isinstance(needs, SnmpNeeds)
        client = SnmpClient(target, clock=clock, turn=_turn(modbus_links.budgets, target, clock))
        speaker: Speaker = _SnmpSpeaker(needs, str(target), client, SnmpCollector(target, client, clock=clock), clock)
        bus = f"snmp:{target.host}"
    else:
        converter = Converter(device.profile, device=device.id, address_offset=target.address_offset)
        needs = converter.needs()
        assert isinstance(needs, ModbusNeeds)
        link = modbus_links.link(target)
        place = f"{target}, addresses {target.address_offset:+}"
        speaker = _ModbusSpeaker(needs, place, ModbusCollector(target, link, clock=clock), link, modbus_links)
        bus = target.bus
    return DevicePoller(device, bus=bus, speaker=speaker, converter=converter, clock=clock)
