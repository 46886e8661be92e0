"""From the series of a readings block to what history stores. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from facility.clock import from_ms
from facility.items import Series
from facility.wire import RejectedItem, RejectReason
from server.fleet.service import DeviceSeen
from server.fleet.texts import clip
from server.history.codes import REASON_CODES, encode_value
from server.history.store import PointSamples
from server.ingest.directory import Directory, PointEntry

COMMUNICATION = "device.communication"


@dataclass(slots=True)
class Resolved:
    """What of a block goes to history, what does not, and which devices it shows alive."""

    series: list[PointSamples]
    refused: list[RejectedItem]
    seen: dict[str, DeviceSeen]
    newest: int


def resolve(directory: Directory, site_id: str, series: Sequence[tuple[int, Series]], *, oldest_ms: int) -> Resolved:
    """series: with their positions in the block. Points must have been loaded; a device nobody announced is refused."""
    found = Resolved([], [], {}, 0)
    for position, one in series:
        entry = directory.point(site_id, (one.device, one.metric, one.subject))
        if entry is None:
            detail = f"no catalog of this site has a device {one.device!r}"
            found.refused.append(RejectedItem(f"[{position}]", RejectReason.UNKNOWN_DEVICE, detail))
            continue
        old = sum(1 for at in one.at if at < oldest_ms)
        if old:
            detail = f"{old} readings are older than history keeps them ({from_ms(oldest_ms).isoformat()})"
            found.refused.append(RejectedItem(f"[{position}]", RejectReason.BAD_TIME, detail))
        samples = _samples(entry, one, oldest_ms)
        if samples is None:
            continue
        found.series.append(samples)
        found.newest = max(found.newest, max(samples.at))
        _note_seen(found.seen, entry, one)
    return found


def _samples(entry: PointEntry, series: Series, oldest_ms: int) -> PointSamples | None:
    kept = [i for i, at in enumerate(series.at) if at >= oldest_ms]
    if not kept:
        return None
    quality = series.quality or [0] * len(series.at)
    reasons: dict[int, int] = {}
    raws: dict[int, str] = {}
    if series.reasons or series.raws:
        place = {str(i): position for position, i in enumerate(kept)}
        reasons = {place[i]: REASON_CODES[reason] for i, reason in series.reasons.items() if i in place}
        raws = {place[i]: clip(raw, 1000) for i, raw in series.raws.items() if i in place}
    return PointSamples(
        point=entry.id,
        hold_ms=entry.hold_ms,
        at=[series.at[i] for i in kept],
        value=[encode_value(series.metric, series.value[i]) for i in kept],
        quality=[quality[i] for i in kept],
        reasons=reasons,
        raws=raws,
    )


def _note_seen(seen: dict[str, DeviceSeen], entry: PointEntry, series: Series) -> None:
    """A good reading shows the device alive; of the communication point the word itself is what counts."""
    newest = max(range(len(series.at)), key=series.at.__getitem__)
    value, at = series.value[newest], series.at[newest]
    good = value is not None and (not series.quality or series.quality[newest] == 0)
    if series.metric == COMMUNICATION:
        if isinstance(value, str):
            merge_seen(seen, entry.device_id, DeviceSeen(None, value, at))
    elif good:
        merge_seen(seen, entry.device_id, DeviceSeen(from_ms(at)))


def merge_seen(seen: dict[str, DeviceSeen], device_id: str, news: DeviceSeen) -> None:
    """The later of two signs of life, and the later of two communication words."""
    known = seen.get(device_id, DeviceSeen(None))
    at = max((moment for moment in (known.at, news.at) if moment is not None), default=None)
    word = news if news.word_at >= known.word_at else known
    seen[device_id] = DeviceSeen(at, word.communication, word.word_at)


def lag_seconds(now: datetime, newest_ms: int) -> float:
    return max(0.0, (now - from_ms(newest_ms)).total_seconds())
