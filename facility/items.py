"""What stands inside blocks: series of readings, alarm items, events, health. Encoding, and decoding item by item.

A bad item, or a bad sample within a series, is refused by name and the rest is taken: decoding never raises for
content, it returns what was good beside what was refused.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Any

import msgspec

from facility.alarms import ActiveOccurrence, AlarmEvent
from facility.catalog import Catalog
from facility.ids import is_slug
from facility.metrics import Metric, UnknownMetricError, metric
from facility.reading import QUALITY_BY_CODE, QUALITY_CODES, PointKey, Quality, QualityReason, Reading, all_numbers
from facility.severity import Severity
from facility.wire import UNREADABLE, RejectedItem, RejectReason

# 2020-01-01T00:00:00Z: an earlier sample was taken by a machine that did not know the time (DESIGN: clock guard).
EARLIEST_MS = 1_577_836_800_000
# Further ahead than this the sender's clock is wrong, not merely unsynchronised.
AHEAD_MS = 300_000
# A clock was ahead by a decade at times. What a disk says is past and lies further ahead than 20 years, no clock said.
MOST_AHEAD_MS = 20 * 365 * 86_400_000
# 2100-01-01T00:00:00Z, for one who cannot tell since its own clock is not set.
_NO_PAST_MS = 4_102_444_800_000
# Beyond it there is no datetime: 9999-12-31T23:59:59.999Z.
_LATEST_MS = 253_402_300_799_999
# A metered link waits and thins by 32 minutes at most; nobody looks at a room less than once an hour.
MAX_METERED_S = 3600.0
# Streams before its own of which an item of health tells; an agent tells of its last 16.
MOST_STREAMS = 32
# What a database holds as a count.
COUNTS_BELOW = 2**63
MAX_SUBJECT = 120
MAX_TEXT = 1000

Value = float | str | None


def may_be_past(at_ms: int, now_ms: int) -> bool:
    """Whether a time that was kept on a disk can be one that has been, by a clock that may have been ahead."""
    return 0 <= at_ms <= (now_ms + MOST_AHEAD_MS if now_ms >= EARLIEST_MS else _NO_PAST_MS)


class Series(msgspec.Struct, gc=False):
    """Samples of one point in one block: parallel columns, `at` in ms UTC, quality as codes of `facility.reading`.

    quality may be left out when every sample is good. reasons and raws are sparse, by position as text.
    A struct: a block has some thousand, and as dataclasses they cost twice that to read and to write.
    """

    device: str
    metric: str
    subject: str = ""
    at: list[int] = []
    value: list[Value] = []
    quality: list[int] = []
    reasons: dict[str, QualityReason] = {}
    raws: dict[str, str] = {}

    @property
    def point(self) -> PointKey:
        return PointKey(self.device, self.metric, self.subject)

    def readings(self) -> list[Reading]:
        """The samples as readings, in the series' order."""
        return [
            Reading(
                self.device,
                self.metric,
                self.subject,
                self.value[i],
                at,
                QUALITY_BY_CODE[self.quality[i]] if self.quality else QUALITY_BY_CODE[0],
                self.reasons.get(str(i)),
                self.raws.get(str(i)),
            )
            for i, at in enumerate(self.at)
        ]


@dataclass(frozen=True, slots=True)
class Told:
    """An occurrence the agent told people of by itself, up to this severity, because it was cut off.

    channel: the agent's name of it; target: what `target_of` makes of its URL; at: ms UTC when it was delivered.
    """

    occurrence: str
    severity: Severity
    channel: str
    target: str
    at: int


def target_of(url: str) -> str:
    """A word by which two parties know that they mean the same channel; the URL itself holds credentials."""
    return hashlib.blake2b(url.encode(), digest_size=16, person=b"coldaisle-notify").hexdigest()


@dataclass(frozen=True, slots=True)
class AlarmItem:
    """An alarm event, or a snapshot of what the agent holds active at `at`; exactly one of the two.

    told: goes with a snapshot; left out where the agent has told nobody.
    """

    event: AlarmEvent | None = None
    snapshot: tuple[ActiveOccurrence, ...] | None = None
    at: int = 0
    told: tuple[Told, ...] | msgspec.UnsetType = msgspec.UNSET


class EventKind(StrEnum):
    TRAP = "trap"
    TRAP_FLOOD = "trap_flood"
    DEVICE_REBOOT = "device_reboot"
    AGENT_STARTED = "agent_started"
    AGENT_STOPPED = "agent_stopped"
    CLOCK_STEP = "clock_step"
    CONFIG_RELOADED = "config_reloaded"
    CONFIG_REFUSED = "config_refused"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class EventItem:
    """Something that happened and is no alarm. id: UUIDv7; device "" for the agent itself; detail: flat text values."""

    id: str
    at: int
    kind: EventKind
    device: str = ""
    detail: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthItem:
    """The agent's own state, each minute; ages in seconds.

    drops: readings lost since the stream of the block began, by reason; drops_before: the same of streams before it.
    Both only grow, so whoever keeps the greatest of each (stream, reason) may hear them in any order.

    Of a metered link, else left out: readings_every_s, seconds between two sendings of readings; spacing_s, between two
    samples of a point where they are thinned, 0 where they are not; thinned, readings left out since the stream began.
    """

    at: int
    version: str
    config_digest: str
    uptime_s: float
    unsent_blocks: int
    unsent_bytes: int
    oldest_unsent_s: float
    journal_bytes: int
    devices: int
    devices_lost: int
    readings: int
    missed_slots: int
    drops: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    readings_every_s: float | msgspec.UnsetType = msgspec.UNSET
    spacing_s: float | msgspec.UnsetType = msgspec.UNSET
    drops_before: dict[str, dict[str, int]] | msgspec.UnsetType = msgspec.UNSET
    thinned: int | msgspec.UnsetType = msgspec.UNSET


def series_of(readings: Iterable[Reading]) -> list[Series]:
    """Readings grouped by point in order of first appearance, ready to be packed."""
    by_point: dict[tuple[str, str, str], Series] = {}
    for reading in readings:
        key = (reading.device, reading.metric, reading.subject)
        series = by_point.get(key)
        if series is None:
            series = by_point[key] = Series(*key, [reading.taken_at], [reading.value])
        else:
            series.at.append(reading.taken_at)
            series.value.append(reading.value)
        if series.quality or reading.quality is not Quality.GOOD or reading.reason or reading.raw is not None:
            _note(series, reading)
    return list(by_point.values())


def _note(series: Series, reading: Reading) -> None:
    """What is to be said of the last sample beside its value."""
    last = len(series.at) - 1
    if series.quality or reading.quality is not Quality.GOOD:
        series.quality += [0] * (last - len(series.quality))
        series.quality.append(QUALITY_CODES[reading.quality])
    if reading.reason is not None:
        series.reasons[str(last)] = reading.reason
    if reading.raw is not None:
        series.raws[str(last)] = reading.raw[:MAX_TEXT]


_series = msgspec.json.Decoder(Series)
_series_of_block = msgspec.json.Decoder(list[Series])
_loose = msgspec.json.Decoder(dict[str, Any])
_alarm = msgspec.json.Decoder(AlarmItem)
_event = msgspec.json.Decoder(EventItem)
_health = msgspec.json.Decoder(HealthItem)
_catalog = msgspec.json.Decoder(Catalog)


def decode_series(items: Iterable[bytes], *, now_ms: int) -> tuple[list[Series], list[RejectedItem]]:
    """Good series of a readings block, and what was refused with its path (`[2]` or `[2].value[7]`)."""
    taken, refused = placed_series(items, now_ms=now_ms)
    return [series for _, series in taken], refused


def placed_series(items: Iterable[bytes], *, now_ms: int) -> tuple[list[tuple[int, Series]], list[RejectedItem]]:
    """The same, the good ones with their places in the block."""
    taken: list[tuple[int, Series]] = []
    refused: list[RejectedItem] = []
    for position, item in enumerate(items):
        path = f"[{position}]"
        try:
            found: Series | None = _series.decode(item)
        except UNREADABLE:
            found = _salvage(item, path, refused)
        good = _checked(found, path, refused, now_ms) if found is not None else None
        if good is not None:
            taken.append((position, good))
    return taken, refused


def joined(texts: Iterable[bytes]) -> list[Series] | None:
    """The series of several blocks (JSON arrays) as those of one, each point's columns behind one another.

    Nothing is judged: what stands in them stands in the one, sample by sample. None if one is unreadable.
    """
    by_point: dict[tuple[str, str, str], Series] = {}
    for text in texts:
        try:
            block = _series_of_block.decode(text)
        except UNREADABLE:
            return None
        for series in block:
            if len(series.value) != len(series.at) or len(series.quality) not in (0, len(series.at)):
                return None
            key = (series.device, series.metric, series.subject)
            held = by_point.get(key)
            if held is None:
                by_point[key] = series
            else:
                _append(held, series)
    return list(by_point.values())


def _append(held: Series, more: Series) -> None:
    before = len(held.at)
    if held.quality or more.quality:
        held.quality = (held.quality or [0] * before) + (more.quality or [0] * len(more.at))
    held.at += more.at
    held.value += more.value
    if more.reasons:
        held.reasons.update((str(before + int(at)), reason) for at, reason in more.reasons.items())
    if more.raws:
        held.raws.update((str(before + int(at)), raw) for at, raw in more.raws.items())


def _salvage(item: bytes, path: str, refused: list[RejectedItem]) -> Series | None:
    """A series whose columns hold samples of a wrong shape, without those samples."""
    try:
        loose = _loose.decode(item)
        columns = {name: loose.pop(name, []) for name in ("at", "value", "quality")}
        frame = msgspec.convert(loose, Series)
        columns = {name: msgspec.convert(column, list[Any]) for name, column in columns.items()}
    except UNREADABLE as exc:
        refused.append(RejectedItem(path, RejectReason.BAD_ITEM, str(exc)))
        return None
    if not _parallel(columns["at"], columns["value"], columns["quality"], path, refused):
        return None
    kept = Series(frame.device, frame.metric, frame.subject)
    for i, at in enumerate(columns["at"]):
        value = columns["value"][i]
        code = columns["quality"][i] if columns["quality"] else 0
        if type(at) is not int:
            refused.append(RejectedItem(f"{path}.at[{i}]", RejectReason.BAD_ITEM, "a time is an integer of ms UTC"))
        elif type(value) is bool or not (value is None or isinstance(value, int | float | str)):
            refused.append(
                RejectedItem(f"{path}.value[{i}]", RejectReason.BAD_ITEM, "a value is a number, word or null")
            )
        elif type(code) is not int:
            refused.append(RejectedItem(f"{path}.quality[{i}]", RejectReason.BAD_ITEM, "a quality is an integer code"))
        else:
            _keep(kept, frame, i, at, value, code)
    return kept


def _keep(kept: Series, source: Series, i: int, at: int, value: Value, code: int) -> None:
    position = str(len(kept.at))
    kept.at.append(at)
    kept.value.append(value)
    kept.quality.append(code)
    if str(i) in source.reasons:
        kept.reasons[position] = source.reasons[str(i)]
    if str(i) in source.raws:
        kept.raws[position] = source.raws[str(i)]


def _parallel(at: list[Any], value: list[Any], quality: list[Any], path: str, refused: list[RejectedItem]) -> bool:
    if len(at) == len(value) and len(quality) in (0, len(at)):
        return True
    detail = f"columns differ in length: at {len(at)}, value {len(value)}, quality {len(quality)}"
    refused.append(RejectedItem(path, RejectReason.BAD_ITEM, detail))
    return False


def _checked(series: Series, path: str, refused: list[RejectedItem], now_ms: int) -> Series | None:
    if not is_slug(series.device) or len(series.subject) > MAX_SUBJECT:
        refused.append(RejectedItem(path, RejectReason.BAD_ITEM, "device is no id, or the subject is too long"))
        return None
    try:
        entry = metric(series.metric)
    except UnknownMetricError as exc:
        refused.append(RejectedItem(path, RejectReason.UNKNOWN_METRIC, str(exc)))
        return None
    if not _parallel(series.at, series.value, series.quality, path, refused):
        return None
    if _spotless(entry, series, now_ms):
        return series
    bad = [
        RejectedItem(f"{path}.{column}[{i}]", reason, detail)
        for i, at in enumerate(series.at)
        for column, reason, detail in _faults(entry, at, series.value[i], series.quality[i : i + 1], now_ms)
    ]
    if not bad:
        return series
    refused.extend(bad)
    positions = {int(item.path.rsplit("[", 1)[1][:-1]) for item in bad}
    kept = Series(series.device, series.metric, series.subject)
    for i, at in enumerate(series.at):
        if i not in positions:
            _keep(kept, series, i, at, series.value[i], series.quality[i] if series.quality else 0)
    return kept if kept.at else None


def _spotless(entry: Metric, series: Series, now_ms: int) -> bool:
    """Nothing is wrong with any sample, as is nearly always so; False where each must be looked at."""
    at, values = series.at, series.value
    if (
        not at
        or min(at) < EARLIEST_MS
        or max(at) > now_ms + AHEAD_MS
        or not QUALITY_BY_CODE.keys() >= set(series.quality)
    ):
        return False
    if entry.states is not None:
        return set(values) <= set(entry.states.words)
    return all_numbers(values)


def _faults(
    entry: Metric, at: int, value: Value, quality: list[int], now_ms: int
) -> list[tuple[str, RejectReason, str]]:
    """What is wrong with one sample; an empty list for nearly all of them."""
    if at < EARLIEST_MS or at > now_ms + AHEAD_MS:
        return [("at", RejectReason.BAD_TIME, f"{at} is before 2020 or over {AHEAD_MS // 1000} s ahead")]
    if quality and quality[0] not in QUALITY_BY_CODE:
        return [("quality", RejectReason.BAD_ITEM, f"{quality[0]} is no quality code")]
    if entry.states is not None:
        if value is not None and value not in entry.states.words:
            return [("value", RejectReason.BAD_ITEM, f"{value!r} is no state of {entry.states.name}")]
    elif isinstance(value, str):
        return [("value", RejectReason.BAD_ITEM, f"{value!r}: {entry.name} is a number in {entry.unit}")]
    elif value is not None and not math.isfinite(value):
        return [("value", RejectReason.BAD_ITEM, "a number must be finite")]
    return []


def _decode_each(decoder: Any, items: Iterable[bytes]) -> tuple[list[tuple[int, Any]], list[RejectedItem]]:
    taken: list[tuple[int, Any]] = []
    refused: list[RejectedItem] = []
    for position, item in enumerate(items):
        try:
            taken.append((position, decoder.decode(item)))
        except UNREADABLE as exc:
            refused.append(RejectedItem(f"[{position}]", RejectReason.BAD_ITEM, str(exc)))
    return taken, refused


def decode_alarms(items: Iterable[bytes]) -> tuple[list[AlarmItem], list[RejectedItem]]:
    """Events and snapshots of an alarms block in its order; an item that is neither or both is refused."""
    decoded, refused = _decode_each(_alarm, items)
    taken: list[AlarmItem] = []
    for position, item in decoded:
        if (item.event is None) == (item.snapshot is None):
            detail = "an alarm item holds either an event or a snapshot"
        elif item.event is not None and (item.event.revision < 1 or not is_slug(item.event.device)):
            detail = "revision counts from 1 and device is an id"
        else:
            taken.append(item)
            continue
        refused.append(RejectedItem(f"[{position}]", RejectReason.BAD_ITEM, detail))
    return taken, refused


def decode_events(items: Iterable[bytes]) -> tuple[list[EventItem], list[RejectedItem]]:
    decoded, refused = _decode_each(_event, items)
    return [item for _, item in decoded], refused


def decode_health(items: Iterable[bytes]) -> tuple[list[HealthItem], list[RejectedItem]]:
    """Health whose figures the centre can reckon with: its jobs look at those of all agents at once."""
    decoded, refused = _decode_each(_health, items)
    taken: list[HealthItem] = []
    for position, item in decoded:
        fault = _health_fault(item)
        if fault is None:
            taken.append(item)
        else:
            refused.append(RejectedItem(f"[{position}]", RejectReason.BAD_ITEM, fault))
    return taken, refused


def _health_fault(item: HealthItem) -> str | None:
    before = {} if item.drops_before is msgspec.UNSET else item.drops_before
    thinned = 0 if item.thinned is msgspec.UNSET else item.thinned
    figures = (item.unsent_blocks, item.unsent_bytes, item.journal_bytes, item.devices, item.devices_lost, thinned)
    by_reason = (item.drops, item.rejected, *before.values())
    counts = chain(figures, (item.readings, item.missed_slots), *(found.values() for found in by_reason))
    seconds = (item.readings_every_s, item.spacing_s)
    if not 0 <= item.at <= _LATEST_MS:
        return "a time is ms UTC from 1970 to 9999"
    if len(before) > MOST_STREAMS:
        return f"losses of more than {MOST_STREAMS} streams before"
    if not all(0 <= count < COUNTS_BELOW for count in counts):
        return "a count is 0 or more and below 2**63"
    if not all(isinstance(span, msgspec.UnsetType) or 0 <= span <= MAX_METERED_S for span in seconds):
        return f"the seconds of a metered link are 0 to {MAX_METERED_S:g}"
    return None


def decode_catalogs(items: Iterable[bytes]) -> tuple[list[Catalog], list[RejectedItem]]:
    decoded, refused = _decode_each(_catalog, items)
    return [item for _, item in decoded], refused
