"""What of the journal is in flight to the centre, and what of it goes next. The journal alone knows what there is."""

from agent.journal import Journal, Key, Sealed
from agent.outbox_policy import (
    Bucket,
    Flying,
    LiveMark,
    Readings,
    due_again,
    due_in,
    may_send,
    on_way,
    plan,
    resend_after,
)
from facility.clock import Clock
from facility.wire import Kind


class Outbox:
    """flying: what was sent and has no final answer, at most a window.

    The journal is asked for blocks only when it may have some that are not in flight: each answer wakes the sender, and
    nearly all of them bring none.
    """

    def __init__(self, journal: Journal, *, clock: Clock, backlog_rate: float) -> None:
        self.flying: dict[Key, Flying] = {}
        self._journal = journal
        self._clock = clock
        self._bucket = Bucket(backlog_rate, clock.monotonic())
        self._mark = LiveMark(journal.last_position)
        # What the journal's news were when all it had to offer was in flight; None when that is not known.
        self._all_taken: int | None = None

    @property
    def due_in_s(self) -> float:
        """Seconds until an answer is overdue, or the backlog may go on."""
        now = self._clock.monotonic()
        wait = due_in(self.flying.values(), now)
        return wait if self._bucket.available(now) else min(wait, self._bucket.next_in)

    async def overdue(self) -> list[Sealed]:
        """What was sent and not answered in its time, to be sent again."""
        now = self._clock.monotonic()
        blocks = []
        for each in due_again(self.flying.values(), now):
            stored = await self._journal.get(each.key)
            if stored is None:
                # Evicted while it flew: counted there.
                self.land(each.key)
                continue
            each.tries += 1
            each.next_at = now + resend_after(each.tries)
            each.on_way = True
            blocks.append(stored.block)
        return blocks

    async def next(self, readings: Readings) -> list[Sealed]:
        """What is sent now for the first time in this session, with these of the readings."""
        now = self._clock.monotonic()
        live_from = self._mark.note(now, self._journal.last_position)
        news, degraded = self._journal.news, self._journal.degraded
        if self._all_taken == news and not degraded:
            return []
        fetches = plan(self.flying.values(), live_from=live_from, tokens=self._bucket.available(now))
        # Said ahead: what lands while the journal is asked takes it back.
        self._all_taken = news
        # The backlog is asked for last, and only where there is room for all the others.
        all_taken = not degraded and any(fetch.backlog for fetch in fetches)
        blocks = []
        for fetch in fetches:
            unwanted = fetch.kind is Kind.READINGS and readings is Readings.NONE
            if unwanted or not may_send(self.flying.values(), fetch.kind):
                all_taken = False
                continue
            upto = fetch.upto
            if fetch.kind is Kind.READINGS and readings is Readings.PACKED:
                upto = self._journal.packed if upto is None else min(upto, self._journal.packed)
            found = await self._journal.unsent(fetch.kind, above=fetch.above, upto=upto, limit=fetch.limit)
            for block in (stored.block for stored in found):
                if block.key in self.flying:
                    continue
                may_go = not fetch.backlog or self._bucket.available(now) > 0
                if not may_go or not may_send(self.flying.values(), block.kind):
                    all_taken = False
                    break
                if fetch.backlog:
                    self._bucket.spend(block.size)
                self.flying[block.key] = Flying(
                    block.key, block.kind, block.catalog, 1, now + resend_after(1), size=block.size, on_way=True
                )
                blocks.append(block)
        if not all_taken:
            self._all_taken = None
        return blocks

    @property
    def on_way(self) -> int:
        """Bytes that the broker has not acknowledged."""
        return on_way(self.flying.values())

    def arrived(self, key: Key) -> None:
        """The broker acknowledged it, or its sending was given up: it is not on the way any more."""
        flying = self.flying.get(key)
        if flying is not None:
            flying.on_way = False

    def hurry(self) -> None:
        """Everything in flight is due now, also what was to be sent and was not."""
        now = self._clock.monotonic()
        for each in self.flying.values():
            each.next_at = min(each.next_at, now)
            each.on_way = False

    def land(self, key: Key) -> None:
        """Nothing is in flight by this name any more, though the journal may still have it to offer."""
        self.flying.pop(key, None)
        self._all_taken = None

    def land_all(self) -> None:
        """The link is gone, and with it what was in flight."""
        self.flying.clear()
        self._all_taken = None
        self._mark.note(self._clock.monotonic(), self._journal.last_position)
