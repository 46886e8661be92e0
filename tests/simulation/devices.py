"""Devices of a simulated site: what they say at a moment follows from the seed alone, and some are dead or slow."""

import bisect
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from collectors.bus import GiveWay
from collectors.convert import PointInfo
from collectors.device import DevicePoller, ModbusLinks, PolledDevice
from collectors.errors import DeviceUnreachable
from collectors.exchange import ModbusAnswer, Restart, SnmpAnswer, SnmpNeeds
from collectors.learnt import Learnt, LearntCount
from facility.clock import Clock
from facility.metrics import metric
from facility.reading import Quality, QualityReason, Reading

POINTS = (
    ("room.temperature", "probe/1"),
    ("room.temperature", "probe/2"),
    ("room.temperature", "probe/3"),
    ("room.humidity", "probe/1"),
    ("room.humidity", "probe/2"),
)
# Below, inside the dead band, above the first limit, above the second.
LEVELS = {"room.temperature": (22.0, 26.5, 29.0, 36.0), "room.humidity": (45.0, 58.0, 64.0, 75.0)}
CALM = 0
# What a device says that lies: another level, an end of the scale, or what conversion finds not to be a value.
LIES: dict[str, tuple[float | QualityReason, ...]] = {
    name: (*levels, *ends, QualityReason.SENTINEL, QualityReason.OUT_OF_RANGE)
    for (name, levels), ends in zip(LEVELS.items(), ((-39.5, 0.0, 99.5), (0.0, 100.0)), strict=True)
}


@dataclass
class Script:
    """What a point says from when on (seconds of virtual time)."""

    since: list[float]
    level: list[int]

    @classmethod
    def draw(cls, dice: random.Random, until: float) -> "Script":
        """Calm most of the time; bad for half a minute to an hour, sometimes in steps, and in the end as it happens."""
        since, level = [0.0], [CALM]
        at = dice.uniform(60, 3600)
        while at < until:
            since.append(at)
            level.append(dice.choice((0, 0, 1, 2, 2, 3)) if level[-1] == CALM else dice.choice((0, 0, 0, 1, 2, 3)))
            at += dice.choice((dice.uniform(20, 200), dice.uniform(20, 200), dice.uniform(200, 3600)))
        return cls(since, level)

    def at(self, when: float) -> int:
        return self.level[bisect.bisect_right(self.since, when) - 1]


@dataclass
class Health:
    """How a device answers now. seconds: how long it takes; partial: the chance that a point comes without value;
    lying: that it comes with one that is not so.
    """

    dead: bool = False
    seconds: float = 0.05
    partial: float = 0.0
    lying: float = 0.0


@dataclass
class ScriptedDevice:
    """A device as its poller's speaker: no bytes."""

    id: str
    clock: Clock
    time: Callable[[], float]
    dice: random.Random
    scripts: dict[tuple[str, str], Script]
    health: Health = field(default_factory=Health)
    sent: int = 0
    restart: Restart | None = None

    async def collect(self, *, deadline: float, trusted: bool, give_way: GiveWay | None) -> SnmpAnswer | ModbusAnswer:
        self.sent += 1
        left = max(deadline - self.clock.monotonic(), 0.0)
        if self.health.dead or self.health.seconds >= left:
            await self.clock.sleep(left)
            raise DeviceUnreachable("no answer")
        await self.clock.sleep(self.health.seconds)
        return SnmpAnswer()

    def plan(self) -> list[str]:
        return []

    async def close(self) -> None:
        """Nothing to let go of."""

    def learnt(self) -> Learnt:
        return Learnt(profile="", place="")

    def recall(self, learnt: Learnt) -> None:
        """It answers whatever it is asked: there is nothing to learn of it."""

    def poller(self, device: PolledDevice, clock: Clock) -> DevicePoller:
        """The true poller around it, anew: what a poller learnt dies with its program."""
        self.clock = clock
        return DevicePoller(device, bus=f"snmp:{self.id}", speaker=self, converter=_Converter(self), clock=clock)  # type: ignore[arg-type]


@dataclass
class _Converter:
    """The other half of a device's poller: what an answer says."""

    device: ScriptedDevice
    forgotten: int = 0
    left_out: int = 0

    def needs(self) -> SnmpNeeds:
        return SnmpNeeds(gets=("all",))

    def points(self) -> list[PointInfo]:
        return [PointInfo(name, subject, metric(name).unit, name, name) for name, subject in POINTS]

    def convert(self, answer: SnmpAnswer, *, taken_at: int, restarted: bool = False) -> list[Reading]:
        """All points; `failed` in the answer makes every one of them bad."""
        readings = []
        for name, subject in POINTS:
            said = self._said(name, subject, bool(answer.failed))
            value, reason = (None, said) if isinstance(said, QualityReason) else (said, None)
            quality = Quality.GOOD if reason is None else Quality.BAD
            readings.append(Reading(self.device.id, name, subject, value, taken_at, quality, reason))
        return readings

    def _said(self, name: str, subject: str, failed: bool) -> float | QualityReason:
        """A value, or why there is none."""
        dice, health = self.device.dice, self.device.health
        if failed or dice.random() < health.partial:
            return QualityReason.TIMEOUT
        if health.lying and dice.random() < health.lying:
            return dice.choice(LIES[name])
        return LEVELS[name][self.device.scripts[name, subject].at(self.device.time())]

    def learnt(self) -> tuple[LearntCount, ...]:
        return ()

    def recall(self, counts: Iterable[LearntCount]) -> None:
        """None of its numbers is a counter."""


OpenDevice = Callable[..., DevicePoller]


def opener(devices: dict[str, ScriptedDevice]) -> OpenDevice:
    """In the place of `collectors.device.open_device`."""

    def open_device(device: PolledDevice, *, clock: Clock, modbus_links: ModbusLinks) -> DevicePoller:
        return devices[device.id].poller(device, clock)

    return open_device
