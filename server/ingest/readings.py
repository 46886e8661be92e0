"""From the series of a readings block to what history stores. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from facility.clock import from_ms
from facility.items import Series
from facility.memory import uncollected
from facility.reading import tells_of_device
from facility.wire import RejectedItem, RejectReason
from server.fleet.service import DeviceSeen
from server.fleet.texts import clip
from server.history.codes import REASON_CODES, encode_value
from server.history.store import PointSamples
from server.ingest.directory import Directory, PointEntry


@dataclass(slots=True)
class Resolved:
    """What of a block goes to history, what does not, and which devices it shows alive."""

    series: list[PointSamples]
    refused: list[RejectedItem]
    seen: dict[str, DeviceSeen]
    newest: int


@uncollected()
def resolve(directory: Directory, site_id: str, series: Sequence[tuple[int, Series]], *, oldest_ms: int) -> Resolved:
    """series: with their positions in the block. Points must have been loaded; a device nobody announced is refused."""
    found = Resolved([], [], {}, 0)
    alive: dict[str, int] = {}
    words: dict[str, tuple[int, str]] = {}
    for position, one in series:
        entry = directory.point(site_id, (one.device, one.metric, one.subject))
        if entry is None:
            detail = f"no catalog of this site has a device {one.device!r}"
            found.refused.append(RejectedItem(f"[{position}]", RejectReason.UNKNOWN_DEVICE, detail))
            continue
        kept = _kept(one, oldest_ms)
        if len(kept) < len(one.at):
            old = len(one.at) - len(kept)
            detail = f"{old} readings are older than history keeps them ({from_ms(oldest_ms).isoformat()})"
            found.refused.append(RejectedItem(f"[{position}]", RejectReason.BAD_TIME, detail))
        if not kept:
            continue
        found.series.append(_samples(entry, one, kept))
        newest = max(one.at)
        found.newest = max(found.newest, newest)
        _note_seen(alive, words, entry.device_id, one, newest)
    for device_id in dict.fromkeys((*alive, *words)):
        at, (word_at, word) = alive.get(device_id), words.get(device_id, (0, None))
        found.seen[device_id] = DeviceSeen(None if at is None else from_ms(at), word, word_at)
    return found


def _kept(series: Series, oldest_ms: int) -> Sequence[int]:
    """Positions of the samples that history still keeps: nearly always all."""
    every = range(len(series.at))
    if not series.at or min(series.at) >= oldest_ms:
        return every
    return [i for i in every if series.at[i] >= oldest_ms]


def _samples(entry: PointEntry, series: Series, kept: Sequence[int]) -> PointSamples:
    at, value, quality = series.at, series.value, series.quality or [0] * len(series.at)
    if len(kept) < len(at):
        at, value, quality = [at[i] for i in kept], [value[i] for i in kept], [quality[i] for i in kept]
    reasons: dict[int, int] = {}
    raws: dict[int, str] = {}
    if series.reasons or series.raws:
        place = {str(i): position for position, i in enumerate(kept)}
        reasons = {place[i]: REASON_CODES[reason] for i, reason in series.reasons.items() if i in place}
        raws = {place[i]: clip(raw, 1000) for i, raw in series.raws.items() if i in place}
    return PointSamples(
        point=entry.id,
        hold_ms=entry.hold_ms,
        at=at,
        value=[encode_value(series.metric, one) for one in value],
        quality=quality,
        reasons=reasons,
        raws=raws,
    )


def _note_seen(
    alive: dict[str, int], words: dict[str, tuple[int, str]], device_id: str, series: Series, newest: int
) -> None:
    """A good reading shows the device alive; of the agent's own word of the device, the word itself counts.

    In numbers, for every series of every block: `merge_seen` is for what becomes of them, once a device.
    """
    last = series.at.index(newest)
    value = series.value[last]
    if tells_of_device(series.metric, series.subject):
        if isinstance(value, str) and newest >= words.get(device_id, (0, ""))[0]:
            words[device_id] = newest, value
    elif value is not None and not (series.quality and series.quality[last]):
        alive[device_id] = max(newest, alive.get(device_id, newest))


def merge_seen(seen: dict[str, DeviceSeen], device_id: str, news: DeviceSeen) -> None:
    """The later of two signs of life, and the later of two communication words."""
    known = seen.get(device_id)
    if known is None:
        seen[device_id] = news
        return
    at = max((moment for moment in (known.at, news.at) if moment is not None), default=None)
    word = news if news.word_at >= known.word_at else known
    seen[device_id] = DeviceSeen(at, word.communication, word.word_at)


def lag_seconds(now: datetime, newest_ms: int) -> float:
    return max(0.0, (now - from_ms(newest_ms)).total_seconds())
