"""Who is told what, and when, while the agent is cut off from the centre. Pure: times come as arguments, ms UTC.

An alarm event waits as a notice, one for each channel that takes its severity. An end waits for a while longer: what
comes back meanwhile was never over for those who were told of it, and is told again only when it is worse or flaps.

The centre tells people by itself, so a notice is dropped once the centre has the event; only an agent cut off for long
enough tells it, and then says so to the centre (`facility.items.Told`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from facility.alarms import AlarmEvent, AlarmEventKind, EndReason
from facility.items import EARLIEST_MS, Told
from facility.severity import Severity
from rules.judges import Reason

# News of yesterday calls nobody out any more; the centre tells it as "was over" when it hears of it.
MOST_AGE_MS = 24 * 3_600_000
# An agent may be cut off for as long as its journal lasts (7 days by default): so long the centre must hear of it.
MARK_AGE_MS = 7 * 24 * 3_600_000
# With the centre back, each snapshot of this long repeats what was told: six of them, one every ten minutes.
MARK_SETTLED_MS = 3_600_000
# An alarm must be gone for so long before its end is told: as long as the centre holds a ticket (its `TicketPolicy`).
END_HOLD_MS = 600_000
MOST_WAITING = 500
MOST_TOLD = 500


class What(StrEnum):
    RAISED = "raised"
    WORSENED = "worsened"
    FLAPPING = "flapping"
    ENDED = "ended"


class Fate(StrEnum):
    """What became of a notice; the label of `coldaisle_agent_notices_total`."""

    NOTED = "noted"
    NOT_WANTED = "not_wanted"  # the channel takes other severities
    NO_WORSE = "no_worse"
    CAME_BACK = "came_back"  # its end had not been told yet
    OVER_BEFORE_TOLD = "over_before_told"
    CENTRE_HAS_IT = "centre_has_it"
    TOO_OLD = "too_old"
    TOO_MANY = "too_many"
    NO_CHANNEL = "no_channel"  # taken out of the configuration meanwhile
    TOLD = "told"
    SUMMED = "summed"  # told as part of a summary
    FAILED = "failed"  # one attempt; it is tried again
    UNREADABLE = "unreadable"  # the disk changed it


class Why(StrEnum):
    """Why a channel is, or is not, told something now."""

    NOTHING = "nothing"
    NOT_CUT_OFF = "not_cut_off"
    BACKING_OFF = "backing_off"
    STORM_HELD = "storm_held"
    ONE = "one"
    SUMMARY = "summary"


class Notice(msgspec.Struct, kw_only=True):
    """One alarm event for one channel. told_at: when it was delivered, None while it waits."""

    id: int
    channel: str
    what: What
    occurrence: str
    device: str
    rule: str
    subject: str
    metric: str
    severity: Severity
    value: float | str | None
    limit: float | str | None
    reason: str
    at: int
    noted_at: int
    told_at: int | None = None
    summed: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        return self.device, self.rule, self.subject


@dataclass(frozen=True, slots=True)
class Link:
    """cut_for_ms: for how long the centre has taken nothing; has_all: no alarm event is known that it has not got."""

    cut_for_ms: int
    has_all: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """after_ms: how long cut off before anybody is told; at most `at_most` messages of a channel in `per_ms`, and one
    more for critical alarms that come when these are used up."""

    after_ms: int
    at_most: int
    per_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """What a channel is to be told next: one notice, or several as one summary, or nothing; and why."""

    why: Why
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an event is to a channel: the news, or None; and why.

    void: waiting notices that are news no more, each with what became of it. again: what was told of an occurrence
    whose end was not told yet, as told of the one that followed (its id is to be a new one).
    """

    what: What | None
    fate: Fate
    void: tuple[tuple[Notice, Fate], ...] = ()
    again: Notice | None = None


def judge(event: AlarmEvent, heard: Iterable[Notice], *, severities: Collection[Severity]) -> Judgement:
    """What an event is to a channel that takes these severities. heard: its notices of the event's key, told or not."""
    held: list[Notice] = []
    earlier: list[Notice] = []
    for notice in heard:
        (held if notice.occurrence == event.occurrence else earlier).append(notice)
    if event.kind is AlarmEventKind.ENDED:
        return _ended(event, held, severities)
    if event.severity not in severities:
        return Judgement(None, Fate.NOT_WANTED)
    # Occurrences that nobody was told the end of are not over for those who were told of them.
    open_ends = {each.occurrence for each in earlier if each.what is What.ENDED and each.told_at is None}
    gone = [each for each in earlier if each.occurrence in open_ends]
    void = tuple((each, Fate.CAME_BACK) for each in gone if each.what is What.ENDED)
    if event.reason == Reason.FLAPPING:
        return Judgement(What.FLAPPING, Fate.NOTED, void)
    if event.kind is AlarmEventKind.RAISED:
        if gone and not all(event.severity.worse_than(each.severity) for each in gone):
            return Judgement(None, Fate.CAME_BACK, void, _came_back(event, gone))
        return Judgement(What.RAISED, Fate.NOTED, void)
    if event.reason != Reason.ESCALATED or any(not event.severity.worse_than(each.severity) for each in held):
        return Judgement(None, Fate.NO_WORSE)
    return Judgement(What.WORSENED, Fate.NOTED, void)


def _ended(event: AlarmEvent, held: Sequence[Notice], severities: Collection[Severity]) -> Judgement:
    waiting = tuple((each, Fate.OVER_BEFORE_TOLD) for each in held if each.told_at is None)
    if waiting and len(waiting) == len(held):
        return Judgement(None, Fate.OVER_BEFORE_TOLD, waiting)
    if not held and event.severity not in severities:
        return Judgement(None, Fate.NOT_WANTED)
    return Judgement(What.ENDED, Fate.NOTED, waiting)


def _came_back(event: AlarmEvent, gone: Sequence[Notice]) -> Notice | None:
    told = [notice for notice in gone if notice.told_at is not None and notice.what is not What.ENDED]
    if not told:
        return None
    known = min(told, key=lambda notice: notice.severity.rank)
    return msgspec.structs.replace(
        known, what=What.RAISED, occurrence=event.occurrence, value=event.value, limit=event.limit,
        reason=event.reason, at=event.at,
    )  # fmt: skip


def moved(at: int, step_ms: int, *, now: int) -> int:
    """A time of before the clock was set by `step_ms` to `now`, as the clock now counts.

    What a clock that was not set has stamped knows nothing of one that was, and the other way round: a notice kept over
    a restart may bear the time of another clock.
    """
    before = now - step_ms
    same_clock = (at < EARLIEST_MS) is (before < EARLIEST_MS) and at <= before
    return at + step_ms if same_clock else at


def held_back(notice: Notice, now: int) -> bool:
    """An end that waits whether it stays one."""
    recovered = notice.what is What.ENDED and notice.reason == EndReason.RECOVERED
    # Below nothing the clock was set back: it has waited for nobody knows how long.
    return recovered and 0 <= now - notice.noted_at < END_HOLD_MS


def expired(
    notices: Iterable[Notice], *, channels: Collection[str], link: Link, upto: int, now: int
) -> list[tuple[Notice, Fate]]:
    """Notices that are to go now, and why. upto: the newest notice whose event `link` knows of."""
    gone: list[tuple[Notice, Fate]] = []
    left: list[Notice] = []
    for notice in notices:
        fate = _fate(notice, channels, link.has_all and notice.id <= upto, now)
        if fate is None:
            left.append(notice)
        else:
            gone.append((notice, fate))
    waiting = sorted((each for each in left if each.told_at is None), key=lambda each: (each.severity.rank, -each.id))
    gone += [(each, Fate.TOO_MANY) for each in waiting[MOST_WAITING:]]
    told = sorted((each for each in left if each.told_at is not None), key=lambda each: -each.id)
    return gone + [(each, Fate.TOO_MANY) for each in told[MOST_TOLD:]]


def _fate(notice: Notice, channels: Collection[str], known: bool, now: int) -> Fate | None:
    if notice.told_at is not None:
        keep = MARK_SETTLED_MS if known else MARK_AGE_MS
        return Fate.TOLD if now - notice.told_at > keep else None
    if notice.channel not in channels:
        return Fate.NO_CHANNEL
    if known:
        return Fate.CENTRE_HAS_IT
    return Fate.TOO_OLD if now - notice.noted_at > MOST_AGE_MS else None


def decide(
    waiting: Iterable[Notice], *, sent: Iterable[int], link: Link, limits: Limits, retry_at: int, now: int
) -> Step:
    """The next message of a channel. sent: when its last messages went; retry_at: not before, after a failure."""
    ready = sorted(
        (each for each in waiting if not held_back(each, now)), key=lambda notice: (notice.severity.rank, notice.id)
    )
    if not ready:
        return Step(Why.NOTHING)
    if link.cut_for_ms < limits.after_ms:
        return Step(Why.NOT_CUT_OFF)
    if now < retry_at:
        return Step(Why.BACKING_OFF)
    left = limits.at_most - sum(1 for at in sent if at > now - limits.per_ms)
    # A storm of what is minor must not silence the fire that follows it: one message more is for that.
    if left < 0 or (left == 0 and not any(_is_worst_news(each) for each in ready)):
        return Step(Why.STORM_HELD)
    if left <= 1 and len(ready) > 1:
        return Step(Why.SUMMARY, tuple(ready))
    return Step(Why.ONE, (ready[0],))


def _is_worst_news(notice: Notice) -> bool:
    return notice.severity is Severity.CRITICAL and notice.what is not What.ENDED


def retry_after(failures: int) -> int:
    """Milliseconds to the next attempt: 5 s, doubling, at most 5 min."""
    return min(5_000 << min(failures - 1, 10), 300_000)


def marks(notices: Iterable[Notice], targets: dict[str, str]) -> tuple[Told, ...]:
    """What the centre must know was told: per occurrence and channel the worst severity. A summary names nobody."""
    found: dict[tuple[str, str], Told] = {}
    for notice in notices:
        if notice.told_at is None or notice.summed or notice.what is What.ENDED or notice.channel not in targets:
            continue
        name = (notice.occurrence, notice.channel)
        before = found.get(name)
        if before is None or notice.severity.worse_than(before.severity):
            found[name] = Told(
                notice.occurrence, notice.severity, notice.channel, targets[notice.channel], notice.told_at
            )
    return tuple(found.values())
