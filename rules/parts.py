"""The parts a rule is written of: durations, levels, rates, forecasts, signals, hours, and what they select."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from facility.metrics import UnknownMetricError
from facility.metrics import metric as register_entry
from facility.severity import Severity
from rules.durations import DAY_MS, MINUTE_MS, parse_duration, write_duration
from rules.expression import Program, parse

# Judged by this set when a room names none: a room nobody classified must not go unwatched.
DEFAULT_THRESHOLDS_SET = "gb50174-2017"
# In `select.zones`: a device nobody placed in a zone.
UNPLACED = "unplaced"
# How long a value is taken to hold when no newer one comes: four polls of 30 s, the slowest default interval.
DEFAULT_GAP_MS = 2 * MINUTE_MS

HIGH_LEVELS = ("hi", "hihi", "hihihi")
LOW_LEVELS = ("lo", "lolo", "lololo")
STATE_LEVEL, RATE_LEVEL, ABSENT_LEVEL, FORECAST_LEVEL = "state", "rate", "absent", "forecast"

Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(write_duration)]


class Where(StrEnum):
    """Who judges: the agent its own devices, or the centre across agents."""

    EDGE = "edge"
    CENTRE = "centre"


class Side(StrEnum):
    """Which way a level is broken; as `CatalogLevel.side`."""

    HIGH = "high"
    LOW = "low"
    STATE = "state"
    RATE = "rate"
    ABSENT = "absent"
    FORECAST = "forecast"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A numeric level ready to judge: `sign` +1 is broken above the limit, -1 below; rank 0 is the mildest."""

    id: str
    sign: int
    rank: int
    limit: float
    clear: float
    for_ms: int
    severity: Severity


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Title(Part):
    """What an operator reads, in both languages."""

    en: str = Field(min_length=3)
    zh: str = Field(min_length=2)


class Level(Part):
    """One limit. `clear` defaults to the limit moved inwards by the rule's dead band, `for` to the rule's."""

    limit: float
    severity: Severity
    clear: float | None = None
    for_: Duration | None = Field(default=None, alias="for")
    source: str | None = Field(default=None, min_length=3)


class Levels(Part):
    """Limits on one number; the mildest is `hi` or `lo`, and a stronger one needs the milder one beside it."""

    hi: Level | None = None
    hihi: Level | None = None
    hihihi: Level | None = None
    lo: Level | None = None
    lolo: Level | None = None
    lololo: Level | None = None

    def side(self, names: tuple[str, ...]) -> list[tuple[str, Level]]:
        """The levels of one side that are set, mildest first."""
        return [(name, level) for name in names if (level := getattr(self, name)) is not None]


class Rate(Part):
    """A change of more than `rise` (or `fall`) per `per`, seen over `window` (default: `per`).

    The change is that between now and the oldest sample of the window, scaled by per/window: a window not yet full
    counts as if the value had stood still before it, so a start never invents a slope.
    """

    per: Duration
    window: Duration | None = None
    rise: float | None = Field(default=None, gt=0)
    fall: float | None = Field(default=None, gt=0)
    severity: Severity

    @property
    def window_ms(self) -> int:
        return self.window if self.window is not None else self.per

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.rise is None and self.fall is None:
            raise ValueError("a rate needs `rise`, `fall` or both")
        for name, span in (("per", self.per), ("window", self.window_ms)):
            if not MINUTE_MS <= span <= DAY_MS:
                raise ValueError(f"`{name}` is between 1m and 24h")
        return self


class Flap(Part):
    """An alarm that came, or came back, `changes` times `within` so long flaps: it stands until calm for `hold`.

    Three: EEMUA 191 calls what comes three times in a minute chattering. The times are editable defaults.
    """

    changes: int = Field(default=3, ge=2, le=100)
    within: Duration = Field(default=10 * MINUTE_MS, gt=0)
    hold: Duration = Field(default=15 * MINUTE_MS, gt=0)


def flap_or_none(value: object) -> object:
    """`flap: off`; YAML 1.1 reads a bare `off` as false."""
    return None if value is False or value == "off" else value


class Forecast(Part):
    """The limit will be reached within `within`, if what happened over `window` goes on.

    The slope is the straight line of least squares through the samples of the window; it counts once they span half
    of it. The alarm ends when the time left is more than `clear` (default: twice `within`).
    """

    limit: float
    direction: Literal["rise", "fall"]
    within: Duration
    window: Duration = 10 * MINUTE_MS
    clear: Duration | None = None
    severity: Severity

    @property
    def clear_ms(self) -> int:
        return self.clear if self.clear is not None else 2 * self.within

    @model_validator(mode="after")
    def _spans(self) -> Self:
        for name, span in (("within", self.within), ("window", self.window)):
            if not MINUTE_MS <= span <= DAY_MS:
                raise ValueError(f"`{name}` is between 1m and 24h")
        if self.clear_ms < self.within:
            raise ValueError("`clear` is at least `within`: else it would end the moment it begins")
        return self


class Absent(Part):
    """No good sample of an expected point for `after`, and for three polls, while its device answers."""

    after: Duration = Field(gt=0)
    severity: Severity


class Select(Part):
    """Which points are judged; everything left out selects all. `subject` is a shell-like pattern (`phase/*`).

    In `zones` the word `unplaced` means a device with no zone. Every label given must be equal on the device.
    """

    kinds: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    subject: str = "*"


def _wall_time(value: object) -> object:
    """YAML 1.1 reads a bare `18:00` as the number 1080, and pydantic a number as seconds: 18 minutes past midnight."""
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < 24 * 60:
            return time(*divmod(value, 60))
        raise ValueError(f"{value} is no time of day; write it like '18:00', in quotes")
    if isinstance(value, str | time):
        return value
    raise ValueError("write a time of day like '18:00', in quotes")


def _without_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("a time of day has no offset of its own: `zone` says where it is")
    return value


WallTime = Annotated[time, BeforeValidator(_wall_time), AfterValidator(_without_zone)]


class Hours(Part):
    """When a rule may raise an alarm: days and times of a wall clock. What stands goes on until it ends by itself.

    `until` before `from_` is the next morning, and belongs to the day it began on.
    """

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = (
        "mon", "tue", "wed", "thu", "fri", "sat", "sun",
    )  # fmt: skip
    from_: WallTime = Field(default=time(0, 0), alias="from")
    until: WallTime = time(0, 0)
    zone: str

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as exc:
            raise ValueError(f"{value!r} is no time zone; write it like Asia/Shanghai") from exc
        return value

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def open(self, at_ms: int) -> bool:
        """Whether a rule may raise at this time (ms UTC)."""
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone)
        now, day = local.time(), local
        if self.from_ >= self.until:
            if now < self.until:
                day = local - timedelta(days=1)
            elif now < self.from_:
                return False
        elif not self.from_ <= now < self.until:
            return False
        return DAYS[day.weekday()] in self.days

    def closing(self, at_ms: int) -> int | None:
        """When the open stretch that `at_ms` lies in ends (ms UTC), None when it never does; `at_ms` must be open."""
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone)
        for ahead in range(9):  # a week of days that touch is open for ever
            wall = datetime.combine(local.date() + timedelta(days=ahead), self.until)
            for fold in (0, 1):  # an hour that comes twice closes twice
                end = round(wall.replace(tzinfo=self._zone, fold=fold).timestamp() * 1000)
                if end > at_ms and not self.open(end):
                    return self._first_shut(at_ms, end)
        return None

    def _first_shut(self, opened: int, shut: int) -> int:
        """The very instant: a wall time that a clock set forward leaves out closes when it is leapt over."""
        if self.open(shut - 1):
            return shut
        while shut - opened > 1:
            middle = (opened + shut) // 2
            opened, shut = (middle, shut) if self.open(middle) else (opened, middle)
        return shut


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Signal(Part):
    """Points an expression looks at. states: a state point counts 1 in these words and 0 in others.

    missing: what the values of the points that are not known do: `unknown` makes the whole unknown, `ignore` leaves
    them out.
    """

    metric: str
    subject: str = "*"
    select: Select = Select()
    states: tuple[str, ...] = ()
    missing: Literal["unknown", "ignore"] = "unknown"

    @model_validator(mode="after")
    def _is_a_number(self) -> Self:
        try:
            entry = register_entry(self.metric)
        except UnknownMetricError as exc:
            raise ValueError(str(exc)) from exc
        if (entry.states is not None) != bool(self.states):
            need = "is a state: say which `states` count" if entry.states is not None else "is a number: no `states`"
            raise ValueError(f"{self.metric} {need}")
        if entry.states is not None:
            for word in self.states:
                if word not in entry.states.words:
                    raise ValueError(f"{word!r} is no state of {self.metric}: {', '.join(entry.states.words)}")
        return self


class Expression(Part):
    """A number made of several signals, judged by the rule's levels like a measured one (language: `rules.expression`).

    over: one number for each device, each room, or the whole of what the engine knows (`site`).
    """

    over: Literal["device", "room", "site"]
    signals: Mapping[str, Signal] = Field(min_length=1, max_length=16)
    value: str

    @cached_property
    def program(self) -> Program:
        return parse(self.value, frozenset(self.signals))

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        _ = self.program  # ValueError with what is wrong
        return self
