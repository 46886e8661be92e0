"""What a snapshot of the engine holds: plain records, written as JSON with a version.

Arrays instead of objects: a snapshot is written with every alarm and once a minute, for every judged point of a site.
"""

import msgspec

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.ids import made_at
from facility.items import may_be_past
from facility.severity import Severity
from facility.wire import UNREADABLE
from rules.parts import Side

SNAPSHOT_VERSION = 1


class SnapshotError(ValueError):
    """A snapshot that cannot be taken up; the message says why and what happens without it."""


class OccurrenceRecord(msgspec.Struct, array_like=True, kw_only=True):
    """An active occurrence and the last it said. swings: see `facility.alarms.AlarmEvent`."""

    id: str
    revision: int
    level: str
    severity: Severity
    limit: float | str | None
    side: Side
    swings: int = 0

    def copy(self) -> "OccurrenceRecord":
        return OccurrenceRecord(
            id=self.id,
            revision=self.revision,
            level=self.level,
            severity=self.severity,
            limit=self.limit,
            side=self.side,
            swings=self.swings,
        )


class JudgeRecord(msgspec.Struct, array_like=True, kw_only=True, omit_defaults=True):
    """The state of one rule on one point. latches: (name, on, since ms); ring: (ms, value) of a rate's window;
    raises, flapping and eased as of `rules.judges.Judge`; stood as of `rules.states.StateJudge`.
    """

    rule: str
    revision: str
    device: str
    metric: str
    subject: str
    seen: int | None = None
    value: float | str | None = None
    held: bool = False
    carried: bool = False
    silent: bool = False
    occurrence: OccurrenceRecord | None = None
    latches: list[tuple[str, bool, int | None]] = []
    ring: list[tuple[int, float]] = []
    raises: tuple[int, ...] = ()
    flapping: bool = False
    eased: bool = False
    stood: int | None = None


class PointRecord(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """A judged point: its newest sample time of any quality, -1 for none, and whether its device should have it."""

    device: str
    metric: str
    subject: str
    last: int
    expected: bool


class Snapshot(msgspec.Struct, kw_only=True):
    """Everything the engine remembers. now: the newest time it had seen, milliseconds UTC; youngest: the greatest id it
    gave an occurrence.

    missing: device, metric and subject of expected points that complete lists lack, and since when.
    """

    version: int
    origin: str
    now: int
    youngest: str = ""
    points: list[PointRecord]
    judges: list[JudgeRecord]
    lost: list[str] = []
    missing: list[tuple[str, str, str, int]] = []


class _Version(msgspec.Struct):
    version: int


def decode(body: bytes, *, origin: str) -> Snapshot:
    """The snapshot, checked; SnapshotError when it is damaged, of another version or of another origin."""
    try:
        version = msgspec.json.decode(body, type=_Version).version
        if version != SNAPSHOT_VERSION:
            raise SnapshotError(
                f"rule snapshot is of version {version}, this program reads {SNAPSHOT_VERSION}: "
                "alarms are judged anew and the centre ends what is no longer held"
            )
        snapshot = msgspec.json.decode(body, type=Snapshot)
    except UNREADABLE as exc:
        raise SnapshotError(f"rule snapshot is damaged ({exc}): alarms are judged anew") from exc
    if snapshot.origin != origin:
        raise SnapshotError(f"rule snapshot belongs to {snapshot.origin!r}, not to {origin!r}: it is not taken up")
    return snapshot


def youngest(snapshot: Snapshot, *, now_ms: int) -> str:
    """The greatest id that it knows an occurrence was given, "" for none. An id that the disk changed, so that it is
    none any more or of a time far ahead, would be the greatest for ever.
    """
    held = (record.occurrence.id for record in snapshot.judges if record.occurrence is not None)
    return max((each for each in (snapshot.youngest, *held) if _of_the_past(each, now_ms)), default="")


def _of_the_past(id_: str, now_ms: int) -> bool:
    try:
        return may_be_past(made_at(id_), now_ms)
    except ValueError:
        return False


def rebase(record: JudgeRecord, *, down: int, now: int) -> None:
    """Bring a record to the time it is taken up at: see `rules.engine.Engine.restore`."""
    if down == 0:
        return
    record.held = False
    counts_absence = not record.latches  # only an absent judge has none
    if record.seen is not None:
        record.seen = min(record.seen + max(down, 0), now) if counts_absence else min(record.seen, now)
    record.latches = [(name, on, None if since is None else min(since, now)) for name, on, since in record.latches]
    record.ring = [(when, value) for when, value in record.ring if when <= now]
    record.raises = tuple(min(when, now) for when in record.raises)
    record.stood = None if record.stood is None else min(record.stood, now)


def shift(records: list[JudgeRecord], points: list[PointRecord], step_ms: int) -> None:
    """Move every remembered time by a step of the clock."""
    for point in points:
        if point.last >= 0:
            point.last += step_ms
    for record in records:
        record.seen = None if record.seen is None else record.seen + step_ms
        record.latches = [(name, on, None if since is None else since + step_ms) for name, on, since in record.latches]
        record.ring = [(at + step_ms, value) for at, value in record.ring]
        record.raises = tuple(at + step_ms for at in record.raises)
        record.stood = None if record.stood is None else record.stood + step_ms


def ended(record: JudgeRecord, held: OccurrenceRecord, *, origin: str, at: int, reason: EndReason) -> AlarmEvent:
    """The end of a remembered occurrence that no judge goes on with."""
    return AlarmEvent(
        occurrence=held.id,
        revision=held.revision + 1,
        kind=AlarmEventKind.ENDED,
        origin=origin,
        device=record.device,
        rule=record.rule,
        subject=record.subject,
        metric=record.metric,
        level=held.level,
        severity=held.severity,
        at=at,
        value=record.value,
        limit=held.limit,
        reason=reason.value,
        rule_revision=record.revision,
        swings=held.swings or msgspec.UNSET,
    )
