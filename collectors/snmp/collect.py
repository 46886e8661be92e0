"""Brings what a profile needs from one agent: sizes its batches to the agent, and keeps what arrived.

One failed object never voids the rest: an empty answer is asked again in halves, a silent one in smaller batches,
and what is learnt stays with the device.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TypeVar

from collectors.errors import BadReply, CollectError, DeviceBusy, DeviceUnreachable, PointMissing
from collectors.exchange import PollProblem, SnmpAnswer, SnmpNeeds, SnmpValue
from collectors.snmp.client import SnmpClient
from collectors.snmp.pace import Pace
from collectors.snmp.target import SnmpTarget, SnmpVersion
from facility.clock import Clock
from facility.reading import QualityReason

log = logging.getLogger(__name__)

# An object the agent said it has not is not asked again for this long; a sensor that is plugged in shows up then.
MISSING_S = 600.0
# One it once had comes back with what the card lost, a sensor or the whole device behind it: asked again sooner.
LEFT_S = 60.0
# Rows of one column; the largest real table of a machine room (a 96-circuit branch meter) has some hundreds.
MAX_ROWS = 2000
# Bytes of one column's names and values: MAX_ROWS of them at some 60 bytes each, and as much again.
MAX_WALK_BYTES = 256 * 1024
# Requests for rows that a walk left out; beyond that a table that shrank is believed.
LOOKS = 4
# Unanswered requests in a row after which a device is left for this poll.
STRIKES = 2

T = TypeVar("T")


class SnmpCollector:
    """The polling memory of one device. Not reentrant: one `collect` at a time."""

    def __init__(self, target: SnmpTarget, client: SnmpClient, *, clock: Clock) -> None:
        self._target = target
        self._client = client
        self._clock = clock
        self._v1 = target.version == SnmpVersion.V1
        self._pace = Pace(batch=target.max_in_get, bulk=target.bulk and not self._v1)
        self._missing: dict[str, tuple[float, QualityReason]] = {}  # until when it is not asked, and why
        self._alone: set[str] = set()
        self._met: set[str] = set()  # what the agent once had
        self._rows: dict[str, tuple[str, ...]] = {}
        self._endless: dict[str, float] = {}  # tables without end, until when they are left alone
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
        return self._pace.batch

    @property
    def repetitions(self) -> int:
        """Rows in one GETBULK at present, 0 for GETNEXT."""
        return self._pace.repetitions

    @property
    def pace(self) -> Pace:
        return self._pace

    def forget(self) -> None:
        """The agent restarted: it may have other objects now."""
        self._missing.clear()
        self._alone.clear()
        self._met.clear()
        self._endless.clear()

    def plan(self, needs: SnmpNeeds) -> list[str]:
        """The requests of the next poll, for people."""
        chunks, quiet = self._chunks(needs.gets)
        lines = [f"GET {len(chunk)} objects: {', '.join(chunk)}" for chunk in chunks]
        for root in needs.walks:
            rows = self._pace.repetitions_for(self._known_rows(root))
            lines.append(f"{f'GETBULK x{rows}' if rows else 'GETNEXT'} below {root}")
        return lines + [f"not asked, said to be missing: {oid}" for oid in quiet]

    async def collect(self, needs: SnmpNeeds, *, deadline: float, trusted: bool = True) -> SnmpAnswer:
        """All that arrives before `deadline` (monotonic seconds of the clock).

        trusted: the agent answered last time, so one silence is a lost packet and asked again; another is asked for one
        object first. CollectError only where the agent did not answer at all.
        """
        self._trusted = trusted
        self._values, self._failed = {}, {}
        self._deadline, self._strikes, self._answered = deadline, 0, False
        self._pace.wake(self._now())
        chunks, quiet = self._chunks(needs.gets)
        for oid in quiet:
            self._fail([oid], self._missing[oid][1])
        if not trusted and (chunks or needs.walks):
            # A suspect costs one timeout at most, and a live one that cannot answer a whole batch is told from a dead.
            await self._prove(chunks[0][0] if chunks else needs.walks[0])
        for chunk in chunks:
            await self._get(chunk)
        for number, root in enumerate(needs.walks, start=1):
            # A table without end may take half of the time that is left: the tables after it have theirs.
            share = 1.0 if number == len(needs.walks) else 0.5
            await self._walk(root, self._now() + self._left() * share)
        return SnmpAnswer(self._values, self._failed)

    def _chunks(self, gets: Sequence[str]) -> tuple[list[list[str]], list[str]]:
        now = self._now()
        if self._missing:
            self._missing = {oid: left for oid, left in self._missing.items() if now < left[0]}
        wanted = list(dict.fromkeys(gets))
        asked = [oid for oid in wanted if oid not in self._missing and oid not in self._alone]
        size = self._pace.batch
        chunks = [asked[start : start + size] for start in range(0, len(asked), size)]
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
        self._keep(values)
        self._fail([oid for oid in oids if oid not in values], QualityReason.NO_SUCH_OBJECT)
        return True

    def _keep(self, values: Mapping[str, SnmpValue]) -> None:
        self._values.update(values)
        self._met.update(values)

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
                self._keep({oid: self._heard(await self._client.get_one(oid, self._deadline))})
            except PointMissing as exc:
                self._heard(None)
                self._miss(oid, exc.reason)
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

    def _miss(self, oid: str, reason: QualityReason) -> None:
        met = oid in self._met
        if self._v1:
            # What was there and is not may as well have erred; alone it voids no batch when it is asked again.
            self._alone.add(oid)
            reason = QualityReason.EXCEPTION if met else reason
        self._missing[oid] = self._now() + (LEFT_S if met else MISSING_S), reason
        self._fail([oid], reason)

    async def _in_halves(self, oids: Sequence[str], *, shrink: bool) -> None:
        middle = (len(oids) + 1) // 2
        left = await self._get(oids[:middle])
        right = await self._get(oids[middle:])
        # Two halves that both came whole: it was their number. A half that failed had a reason of its own.
        if ((left and right) or (shrink and (left or right))) and self._pace.batch_failed(middle, self._now()):
            log.info("batch made smaller", extra={"device": str(self._target), "objects": middle})

    async def _walk(self, root: str, deadline: float) -> None:
        """One table. Rows that were there last time and did not come are looked at until it is clear that they left."""
        if self._strikes > STRIKES:
            self._fail([root], QualityReason.TIMEOUT)
            return
        if self._now() < self._endless.get(root, 0.0):
            self._fail([root], QualityReason.EXCEPTION)
            return
        asked = self._pace.repetitions_for(self._known_rows(root))
        rows = await self._rows_of(root, asked, deadline)
        if rows is None and self._asks_once_more(root, deadline):
            asked = self._pace.repetitions_for(self._known_rows(root))
            rows = await self._rows_of(root, asked, deadline)
        if rows is None:
            return
        before = self._rows.get(root)
        if asked and (len(rows) < len(before) if before else not rows and before is None):
            # The library ends a walk without a word at an error-status: what shrank is looked at row by row, once.
            plain = await self._rows_of(root, 0, deadline)
            if plain is not None and len(plain) > len(rows):
                self._pace.bulk_cut_short(len(rows), asked, self._now())
                rows = plain
        elif asked:
            self._pace.walked(len(rows), asked)
        if before and len(rows) < len(before):
            rows += await self._still_there(set(before) - set(rows))
        self._rows[root] = tuple(rows)
        if not rows:
            self._fail([root], QualityReason.NO_SUCH_OBJECT)

    async def _rows_of(self, root: str, repetitions: int, deadline: float) -> list[str] | None:
        """The rows that came, None where the walk broke off: then it is among the failed, and what came is kept."""
        rows: list[str] = []
        size = 0
        self._failed.pop(root, None)
        try:
            async for oid, value in self._client.walk(root, deadline, repetitions=repetitions):
                self._heard(None)
                self._values[oid] = value
                rows.append(oid)
                size += len(oid) + (len(value) if isinstance(value, bytes | str) else 8)
                if len(rows) >= MAX_ROWS or size > MAX_WALK_BYTES:
                    self._without_end(root, rows, size)
                    return None
        except (DeviceUnreachable, BadReply) as exc:
            if not self._answered:
                raise
            if self._now() < deadline:
                self._unheard()
                if isinstance(exc, DeviceUnreachable):
                    self._pace.walk_failed(repetitions, self._now())
            log.debug("walk broken off", extra={"device": str(self._target), "why": str(exc)})
            self._fail([root], exc.reason)
            return None
        self._heard(None)
        return rows

    def _without_end(self, root: str, rows: Sequence[str], size: int) -> None:
        """What has no end is no table: nothing of it is believed, and it is left alone for a while."""
        log.warning(
            "table without end", extra={"device": str(self._target), "root": root, "rows": len(rows), "bytes": size}
        )
        self._endless[root] = self._now() + MISSING_S
        for oid in rows:
            self._values.pop(oid, None)
        self._fail([root], QualityReason.EXCEPTION)

    async def _still_there(self, gone: set[str]) -> list[str]:
        """Rows a walk did not bring and the agent gives all the same when asked by name: its walk errs on the way."""
        names = sorted(gone)[: LOOKS * self._pace.batch]
        for start in range(0, len(names), self._pace.batch):
            if self._left() <= 0:
                break
            await self._get(names[start : start + self._pace.batch])
        # Rows come and go: nothing is kept of one that went.
        for name in names:
            self._missing.pop(name, None)
        self._alone.difference_update(names)
        self._met.difference_update(names)
        return [name for name in names if name in self._values]

    def _known_rows(self, root: str) -> int | None:
        rows = self._rows.get(root)
        return None if rows is None else len(rows)

    def _asks_once_more(self, root: str, deadline: float) -> bool:
        """A walk that met silence lost a datagram perhaps; one that made no sense makes none the second time."""
        silent = self._failed.get(root) is QualityReason.TIMEOUT
        return silent and self._strikes <= STRIKES and deadline > self._now()

    def _asks_again(self, exc: CollectError) -> bool:
        """A refused port answers in no time, so asking again at once is no second try."""
        return (self._answered or self._trusted) and exc.problem is not PollProblem.REFUSED

    def _left(self) -> float:
        return self._deadline - self._now()

    def _now(self) -> float:
        return self._clock.monotonic()

    def _heard(self, value: T) -> T:
        self._answered = True
        self._strikes = 0
        return value

    def _unheard(self) -> None:
        self._strikes += 1
