"""Brings what a profile needs from one agent: sizes its batches to the agent, and keeps what arrived.

One failed object never voids the rest: an empty answer is asked again in halves, a silent one in smaller batches,
and what is learnt stays with the device.
"""

import logging
from collections.abc import Sequence
from typing import TypeVar

from collectors.errors import BadReply, CollectError, DeviceBusy, DeviceUnreachable, PointMissing
from collectors.exchange import PollProblem, SnmpAnswer, SnmpNeeds, SnmpValue
from collectors.snmp.client import MAX_REPETITIONS, SnmpClient
from collectors.snmp.target import SnmpTarget
from facility.clock import Clock
from facility.reading import QualityReason

log = logging.getLogger(__name__)

# An object the agent said it has not is not asked again for this long; a sensor that is plugged in shows up then.
MISSING_S = 600.0
# A batch that had to shrink is tried in full size again after a day: the link may have been bad, not the agent.
REGROW_S = 24 * 3600.0
# Rows of one column; the largest real table of a machine room (a 96-circuit branch meter) has some hundreds.
MAX_ROWS = 2000
# Unanswered requests in a row after which a device is left for this poll.
STRIKES = 2

T = TypeVar("T")


class SnmpCollector:
    """The polling memory of one device. Not reentrant: one `collect` at a time."""

    def __init__(self, target: SnmpTarget, client: SnmpClient, *, clock: Clock) -> None:
        self._target = target
        self._client = client
        self._clock = clock
        self._batch = target.max_in_get
        self._shrunk_at = 0.0
        self._missing: dict[str, float] = {}
        self._alone: set[str] = set()
        self._bulk = target.bulk
        self._repetitions = MAX_REPETITIONS
        self._rows: dict[str, int] = {}
        self._values: dict[str, SnmpValue] = {}
        self._failed: dict[str, QualityReason] = {}
        self._deadline = 0.0
        self._strikes = 0
        self._answered = False
        self._trusted = True

    @property
    def sent(self) -> int:
        return self._client.sent

    @property
    def batch(self) -> int:
        """Objects in one GET at present."""
        return self._batch

    def plan(self, needs: SnmpNeeds) -> list[str]:
        """The requests of the next poll, for people."""
        chunks, quiet = self._chunks(needs.gets)
        how = f"GETBULK x{self._repetitions}" if self._bulk else "GETNEXT"
        lines = [f"GET {len(chunk)} objects: {', '.join(chunk)}" for chunk in chunks]
        lines += [f"{how} below {root}" for root in needs.walks]
        return lines + [f"not asked, said to be missing: {oid}" for oid in quiet]

    async def collect(self, needs: SnmpNeeds, *, deadline: float, trusted: bool = True) -> SnmpAnswer:
        """All that arrives before `deadline` (monotonic seconds of the clock).

        trusted: the agent answered last time, so one silence is a lost packet and asked again; another is asked for one
        object first. CollectError only where the agent did not answer at all.
        """
        self._trusted = trusted
        self._values, self._failed = {}, {}
        self._deadline, self._strikes, self._answered = deadline, 0, False
        if self._batch < self._target.max_in_get and self._clock.monotonic() - self._shrunk_at > REGROW_S:
            self._batch = self._target.max_in_get
        chunks, quiet = self._chunks(needs.gets)
        self._fail(quiet, QualityReason.NO_SUCH_OBJECT)
        if not trusted and (chunks or needs.walks):
            # A suspect costs one timeout at most, and a live one that cannot answer a whole batch is told from a dead.
            await self._prove(chunks[0][0] if chunks else needs.walks[0])
        for chunk in chunks:
            await self._get(chunk)
        for root in needs.walks:
            await self._walk(root)
        return SnmpAnswer(self._values, self._failed)

    def _chunks(self, gets: Sequence[str]) -> tuple[list[list[str]], list[str]]:
        now = self._clock.monotonic()
        self._missing = {oid: at for oid, at in self._missing.items() if now - at < MISSING_S}
        wanted = list(dict.fromkeys(gets))
        asked = [oid for oid in wanted if oid not in self._missing and oid not in self._alone]
        chunks = [asked[start : start + self._batch] for start in range(0, len(asked), self._batch)]
        chunks += [[oid] for oid in wanted if oid in self._alone and oid not in self._missing]
        quiet = [oid for oid in wanted if oid in self._missing]
        if not chunks and quiet:
            # Something must be asked, or an agent that has none of them would never be seen to be there.
            chunks, quiet = [[quiet[0]]], quiet[1:]
        return chunks, quiet

    def _fail(self, names: Sequence[str], reason: QualityReason) -> None:
        self._failed.update(dict.fromkeys(names, reason))

    async def _get(self, oids: Sequence[str]) -> bool:
        """Ask for some objects; True when one request brought something."""
        if self._strikes > STRIKES:
            self._fail(oids, QualityReason.TIMEOUT)
            return False
        if len(oids) == 1:
            return await self._get_alone(oids[0])
        try:
            values = await self._patiently(oids)
        except (DeviceUnreachable, BadReply) as exc:
            if not self._answered:
                raise
            if self._left() > 0 and self._strikes <= STRIKES:
                await self._in_halves(oids, shrink=True)
            else:
                self._fail(oids, exc.reason)
            return False
        if not values:
            await self._in_halves(oids, shrink=False)
            return False
        self._values.update(values)
        self._fail([oid for oid in oids if oid not in values], QualityReason.NO_SUCH_OBJECT)
        return True

    async def _patiently(self, oids: Sequence[str]) -> dict[str, SnmpValue]:
        """A batch, and once more where it was lost; before the second try a device not yet heard proves it lives."""
        try:
            return self._heard(await self._client.get(oids, self._deadline))
        except (DeviceUnreachable, BadReply) as exc:
            self._unheard()
            if not self._answered:
                if not self._asks_again(exc):
                    raise
                await self._prove(oids[0])
        try:
            return self._heard(await self._client.get(oids, self._deadline))
        except (DeviceUnreachable, BadReply):
            self._unheard()
            raise

    async def _prove(self, oid: str) -> None:
        """One object alone: any word of the agent will do. Silence ends the poll."""
        try:
            await self._client.get_one(oid, self._deadline)
        except (PointMissing, DeviceBusy):
            pass
        self._heard(None)

    async def _get_alone(self, oid: str) -> bool:
        for last in (False, True):
            try:
                self._values[oid] = self._heard(await self._client.get_one(oid, self._deadline))
            except PointMissing:
                self._heard(None)
                self._missing[oid] = self._clock.monotonic()
                self._fail([oid], QualityReason.NO_SUCH_OBJECT)
                return False
            except DeviceBusy as exc:
                # Left in a batch it would void the batch each time; alone it harms nobody.
                self._heard(None)
                self._alone.add(oid)
                self._fail([oid], exc.reason)
                return False
            except (DeviceUnreachable, BadReply) as exc:
                self._unheard()
                self._fail([oid], exc.reason)
                if last or self._strikes > STRIKES or not self._asks_again(exc):
                    if not self._answered:
                        raise
                    return False
            else:
                self._failed.pop(oid, None)
                self._alone.discard(oid)
                return True
        return False

    async def _in_halves(self, oids: Sequence[str], *, shrink: bool) -> None:
        middle = (len(oids) + 1) // 2
        left = await self._get(oids[:middle])
        right = await self._get(oids[middle:])
        # Two halves that both came whole: it was their number. A half that failed had a reason of its own.
        if (left and right) or (shrink and (left or right)):
            self._batch = min(self._batch, middle)
            self._shrunk_at = self._clock.monotonic()
            log.info("batch made smaller", extra={"device": str(self._target), "objects": self._batch})

    async def _walk(self, root: str) -> None:
        if self._strikes > STRIKES:
            self._fail([root], QualityReason.TIMEOUT)
            return
        rows = await self._rows_of(root, bulk=self._bulk)
        if rows is not None and self._bulk and rows < self._rows.get(root, 1):
            # The library ends a walk without a word at an error-status: what shrank is looked at row by row, once.
            plain = await self._rows_of(root, bulk=False)
            if plain is not None and plain > rows:
                self._bulk = rows > 0
                rows = plain
        if rows is not None:
            self._rows[root] = rows
            if rows == 0:
                self._fail([root], QualityReason.NO_SUCH_OBJECT)

    async def _rows_of(self, root: str, *, bulk: bool) -> int | None:
        """How many rows came, None where the walk broke off (then it is among the failed; its rows are kept)."""
        count = 0
        try:
            async for oid, value in self._client.walk(root, self._deadline, bulk=bulk, repetitions=self._repetitions):
                self._heard(None)
                self._values[oid] = value
                count += 1
                if count >= MAX_ROWS:
                    raise BadReply(f"{self._target} has more than {MAX_ROWS} rows below {root}")
        except (DeviceUnreachable, BadReply) as exc:
            self._unheard()
            if not self._answered:
                raise
            if isinstance(exc, DeviceUnreachable):
                self._repetitions = max(1, self._repetitions // 2)
            log.debug("walk broken off", extra={"device": str(self._target), "why": str(exc)})
            self._fail([root], exc.reason)
            return None
        self._heard(None)
        return count

    def _asks_again(self, exc: CollectError) -> bool:
        """A refused port answers in no time, so asking again at once is no second try."""
        return (self._answered or self._trusted) and exc.problem is not PollProblem.REFUSED

    def _left(self) -> float:
        return self._deadline - self._clock.monotonic()

    def _heard(self, value: T) -> T:
        self._answered = True
        self._strikes = 0
        return value

    def _unheard(self) -> None:
        self._strikes += 1
