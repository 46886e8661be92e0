"""What is sent next, when it is sent again, and what an answer means: pure decisions over plain values.

Order: alarms, events, catalog, health; then live readings; then the backlog, at its rate. Times are monotonic seconds.
"""

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


@dataclass(slots=True)
class Flying:
    """A block that was sent and has no final answer. tries counts sendings since
    the centre last began to listen; next_at is when it is due again."""

    key: Key
    kind: Kind
    catalog: str
    tries: int
    next_at: float


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


def due_again(flying: Iterable[Flying], now: float) -> list[Flying]:
    """Those whose answer is overdue, the longest overdue first."""
    return sorted((each for each in flying if each.next_at <= now), key=lambda each: each.next_at)


def begin_anew(flying: Iterable[Flying], *, now: float, last: float, chance: float) -> None:
    """The centre began to listen anew, as it did before at `last`: all that is in flight is due soon."""
    due = max(now, last + ANEW_EACH_S) + chance * ANEW_SPREAD_S
    for each in flying:
        each.next_at = min(each.next_at, due)
        each.tries = 0


def plan(flying: Collection[Flying], *, live_from: int, tokens: int) -> list[Fetch]:
    """What to ask the journal for, in order. The caller stops at a full window and spends a token a backlog block.

    live_from: position up to which readings are backlog; tokens: blocks of backlog that may go now.
    """
    room = WINDOW - len(flying)
    if room <= 0:
        return []
    held = {kind: sum(1 for each in flying if each.kind is kind) for kind in Kind}
    # The journal offers what is in flight too (only an answer takes it away), so that many more are asked for.
    fetches = [Fetch(kind, 0, None, room + held[kind]) for kind in URGENT]
    for_readings = room - KEPT_FOR_URGENT
    if for_readings > 0:
        asked = for_readings + held[Kind.READINGS]
        fetches.append(Fetch(Kind.READINGS, live_from, None, asked))
        if tokens > 0:
            limit = min(for_readings, tokens) + held[Kind.READINGS]
            fetches.append(Fetch(Kind.READINGS, 0, live_from, limit, backlog=True))
    return fetches


def may_send(flying: Collection[Flying], kind: Kind) -> bool:
    """Whether the window has room for one more of this kind."""
    return len(flying) < (WINDOW - KEPT_FOR_URGENT if kind is Kind.READINGS else WINDOW)


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
    """Tokens for the backlog: `rate` a second, at most one second's worth saved up."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._at = now

    def available(self, now: float) -> int:
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    def spend(self) -> None:
        self._tokens -= 1

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
