"""What is sent next, when it is sent again, and what an answer means: pure decisions over plain values.

Order: alarms, events, catalog, health; then live readings; then the backlog, at its rate. Times are monotonic seconds.

Of readings only so many bytes are on the way to the broker at once as a slow link carries in a second or two: what
comes behind them on the wire, an alarm above all, waits no longer than that.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from agent.journal import Key
from facility.wire import Answer, Kind, RetryReason, Verdict

# DESIGN: at most so many blocks without an answer.
WINDOW = 32
# Of these readings leave some free, so an alarm never waits for a slow centre to answer readings.
KEPT_FOR_URGENT = 4
# On the way are what the broker has not acknowledged. 1 s at 512 kbit/s; at a round trip of 240 ms still 270 KB/s.
READINGS_ON_WAY = 64 * 1024
# A token of the backlog bears so much: what a second of a few hundred values is. Merged blocks cost several.
TOKEN_BYTES = 4096
# A broker that does not acknowledge within this has lost us, if nothing else is on the way; aiomqtt's default, too.
PUBLISH_S = 10.0
# The slowest link that keeps its session: 32 kbit/s.
SLOWEST_BYTES_S = 4000
RESEND_FIRST_S = 30.0
RESEND_MAX_S = 300.0
# A centre that comes back is sent the window again at once, by hundreds of agents: they spread over this.
ANEW_SPREAD_S = 1.0
# One that loses its broker again and again would else have it sent each second, over a metered link too.
ANEW_EACH_S = 5.0
# A centre that asks for a retry at once would turn the link into a loop.
RETRY_MIN_S = 1.0
# Readings younger than this are live; older ones are backlog and wait behind them.
LIVE_S = 60.0
RECONNECT_FIRST_S = 1.0
# Two hundred agents that lost one broker come back within this, spread by jitter; longer only delays the alarms.
RECONNECT_MAX_S = 15.0
URGENT = (Kind.ALARMS, Kind.EVENTS, Kind.CATALOG, Kind.HEALTH)


class Readings(StrEnum):
    """Which readings may go now."""

    ALL = "all"
    PACKED = "packed"  # a metered link's
    NONE = "none"  # a metered link's, overdrawn


@dataclass(slots=True)
class Flying:
    """A block that was sent and has no final answer. tries counts sendings since
    the centre last began to listen; next_at is when it is due again.

    size: bytes of its body; on_way: the broker has not acknowledged it yet.
    """

    key: Key
    kind: Kind
    catalog: str
    tries: int
    next_at: float
    size: int = 0
    on_way: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """A question to the journal: at most `limit` unsent blocks of a kind between two positions."""

    kind: Kind
    above: int
    upto: int | None
    limit: int
    backlog: bool = False


def resend_after(tries: int) -> float:
    """Seconds to wait for an answer after the `tries`-th sending: 30, doubling to 300."""
    return min(RESEND_FIRST_S * 2.0 ** min(tries - 1, 10), RESEND_MAX_S)


def reconnect_after(failures: int, chance: float) -> float:
    """Seconds before the next attempt; `chance` of 0..1 spreads it over the upper half."""
    longest = min(RECONNECT_FIRST_S * 2.0 ** min(failures, 10), RECONNECT_MAX_S)
    return longest * (0.5 + 0.5 * chance)


def on_way(flying: Iterable[Flying]) -> int:
    """Bytes that the broker has not acknowledged."""
    return sum(each.size for each in flying if each.on_way)


def room_for_readings(flying: Iterable[Flying]) -> int:
    """Bytes of readings that may be put on the way now; the last block put there may be over it."""
    return READINGS_ON_WAY - on_way(each for each in flying if each.kind is Kind.READINGS)


def acknowledged_within(before: int) -> float:
    """Seconds in which a broker must have acknowledged a publish; before: bytes on the way, with its own."""
    return PUBLISH_S + before / SLOWEST_BYTES_S


def due_again(flying: Collection[Flying], now: float) -> list[Flying]:
    """Those whose answer is overdue and that may go now: readings last, and the longest overdue first."""
    room = room_for_readings(flying)
    due = []
    for each in sorted(flying, key=lambda each: (each.kind is Kind.READINGS, each.next_at)):
        # What is on its way has not come there: sent again, it would only lengthen the way.
        if each.next_at > now or each.on_way or (each.kind is Kind.READINGS and room <= 0):
            continue
        room -= each.size if each.kind is Kind.READINGS else 0
        due.append(each)
    return due


def due_in(flying: Collection[Flying], now: float) -> float:
    """Seconds until one is due that may go then; what waits for room is woken by an acknowledgement."""
    full = room_for_readings(flying) <= 0
    waiting = (each for each in flying if not each.on_way and not (full and each.kind is Kind.READINGS))
    return min((each.next_at - now for each in waiting), default=math.inf)


def begin_anew(flying: Iterable[Flying], *, now: float, last: float, chance: float) -> None:
    """The centre began to listen anew, as it did before at `last`: all that is in flight is due soon."""
    due = max(now, last + ANEW_EACH_S) + chance * ANEW_SPREAD_S
    for each in flying:
        each.next_at = min(each.next_at, due)
        each.tries = 0


def plan(flying: Collection[Flying], *, live_from: int, tokens: int) -> list[Fetch]:
    """What to ask the journal for, in order. The caller stops at a full window and spends the tokens of the backlog.

    live_from: position up to which readings are backlog; tokens: how many blocks of backlog may go now, if small.
    """
    room = WINDOW - len(flying)
    if room <= 0:
        return []
    held = {kind: sum(1 for each in flying if each.kind is kind) for kind in Kind}
    # The journal offers what is in flight too (only an answer takes it away), so that many more are asked for.
    fetches = [Fetch(kind, 0, None, room + held[kind]) for kind in URGENT]
    # Read from the disk is about what has room on the way: what is over it would be read again for nothing.
    for_readings = min(room - KEPT_FOR_URGENT, -(-room_for_readings(flying) // TOKEN_BYTES))
    if for_readings > 0:
        asked = for_readings + held[Kind.READINGS]
        fetches.append(Fetch(Kind.READINGS, live_from, None, asked))
        if tokens > 0:
            limit = min(for_readings, tokens) + held[Kind.READINGS]
            fetches.append(Fetch(Kind.READINGS, 0, live_from, limit, backlog=True))
    return fetches


def may_send(flying: Collection[Flying], kind: Kind) -> bool:
    """Whether the window, and for readings the way too, has room for one more of this kind."""
    if kind is Kind.READINGS:
        return len(flying) < WINDOW - KEPT_FOR_URGENT and room_for_readings(flying) > 0
    return len(flying) < WINDOW


class Act(StrEnum):
    """What an answer makes the agent do."""

    FORGET = "forget"  # committed: it leaves the outbox
    QUARANTINE = "quarantine"  # rejected: kept aside, counted
    WAIT = "wait"  # retry: sent again when the centre said
    SEND_CATALOG = "send_catalog"  # retry, after the catalog it names
    RENUMBER = "renumber"  # conflict: it gets a new stream and number
    IGNORE = "ignore"  # about a block that is settled or was never ours


@dataclass(frozen=True, slots=True)
class Decision:
    act: Act
    wait_s: float = 0.0


def decide(answer: Answer, flying: Flying | None) -> Decision:
    """What to do about one answer; `flying` is the block it names, None when it is not in flight."""
    match answer.verdict:
        case Verdict.COMMITTED:
            # Also for a block of an earlier session: only settling it stops it from being offered again.
            return Decision(Act.FORGET)
        case Verdict.REJECTED:
            return Decision(Act.QUARANTINE)
        case Verdict.RETRY if flying is not None:
            wait = min(max(answer.after_s, RETRY_MIN_S), RESEND_MAX_S)
            needs = answer.reason == RetryReason.NEED_CATALOG
            return Decision(Act.SEND_CATALOG if needs else Act.WAIT, wait)
        case Verdict.CONFLICT if flying is not None:
            return Decision(Act.RENUMBER)
    return Decision(Act.IGNORE)


class Bucket:
    """Tokens for the backlog: `rate` a second, at most one second's worth saved up.

    A block takes at least one, and one for each TOKEN_BYTES of it; it may go when there is one, and what it takes
    beyond that is owed.
    """

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._at = now

    def available(self, now: float) -> int:
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return max(0, int(self._tokens))

    def spend(self, size: int) -> None:
        """A block of so many bytes went."""
        self._tokens -= max(1.0, size / TOKEN_BYTES)

    @property
    def next_in(self) -> float:
        """Seconds until a whole token is there."""
        return max(0.0, 1.0 - self._tokens) / self._rate


class LiveMark:
    """Where backlog ends: the journal's last position as it stood `LIVE_S` ago, or at the start.

    Noted while cut off too; else everything kept since the cut would count as live and go before what is.
    """

    def __init__(self, position: int) -> None:
        self._mark = position
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, position: int) -> int:
        """Note the last position now; returns the position up to which readings are backlog."""
        if self._seen and position < self._seen[-1][1]:
            # The journal's file was replaced, and its positions begin anew: all that was taken over is backlog.
            self._mark = position
            self._seen.clear()
        # One note a second is enough, and bounds the row to LIVE_S entries.
        if not self._seen or now - self._seen[-1][0] >= 1.0:
            self._seen.append((now, position))
        while self._seen and now - self._seen[0][0] >= LIVE_S:
            self._mark = self._seen.popleft()[1]
        return self._mark
