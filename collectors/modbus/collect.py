"""Brings what a profile needs from one unit: merged blocks, holes learnt, what arrived kept."""

import logging

from collectors.bus import GiveWay
from collectors.errors import BadReply, CollectError, DeviceBusy, DeviceUnreachable, PointFailed, PointMissing
from collectors.exchange import Cell, ModbusAnswer, ModbusNeeds
from collectors.modbus.client import ModbusLink
from collectors.modbus.target import ModbusTarget
from collectors.plan import Block, Holes, halves, plan
from facility.clock import Clock, now_ms
from facility.reading import QualityReason

log = logging.getLogger(__name__)

# Silences in a row after which a unit that did answer is left for this poll.
STRIKES = 2
# Seconds a busy unit is left alone before it is asked again, in one poll: others wait for the line.
BUSY_WAITS_S = (0.1, 0.2, 0.4)
# Seconds of its own after which a unit lets the others in before each further request: some sensors' whole polls.
FAIR_S = 0.5


class ModbusCollector:
    """The polling memory of one unit. Not reentrant: one `collect` at a time."""

    def __init__(self, target: ModbusTarget, link: ModbusLink, *, clock: Clock) -> None:
        self._target = target
        self._link = link
        self._clock = clock
        self.holes = Holes()
        self.sent = 0
        self._values: dict[Cell, int] = {}
        self._failed: dict[Cell, QualityReason] = {}
        self._answered = False
        self._strikes = 0
        self._busy = 0
        self._deadline = 0.0
        self._fair_until = 0.0
        self._give_way: GiveWay | None = None
        self._first = 0

    def plan(self, needs: ModbusNeeds) -> list[str]:
        """The requests of the next poll, for people."""
        lines = [f"unit {self._target.unit}: {block}" for block in plan(needs, self.holes)]
        return lines + [f"learnt: {line}" for line in self.holes.told()]

    async def collect(
        self, needs: ModbusNeeds, *, deadline: float, trusted: bool = True, give_way: GiveWay | None = None
    ) -> ModbusAnswer:
        """All that arrives before `deadline` (monotonic seconds of the clock).

        trusted: the unit answered last time, so one silence is a lost packet and asked again; an untrusted one costs
        the bus no more than one timeout. give_way: see `collectors.bus`; it moves the deadline. CollectError only where
        the unit did not answer at all.
        """
        self._values, self._failed = {}, {}
        self._answered, self._strikes, self._busy, self._deadline = False, 0, 0, deadline
        self._give_way, self._fair_until = give_way, self._clock.monotonic() + FAIR_S
        self.holes.forget(now_ms(self._clock))
        blocks = plan(needs, self.holes)
        self._failed.update(dict.fromkeys(self.holes.cells, QualityReason.NO_SUCH_OBJECT))
        # Something must be asked, or a unit that refuses everything would never be seen to be there.
        blocks = blocks or plan(needs)[:1]
        # Some units are silent where they should refuse: after a poll without an answer the next begins elsewhere.
        self._first %= len(blocks) or 1
        for block in (*blocks[self._first :], *blocks[: self._first]):
            try:
                await self._read(block, needs, retry=trusted)
            except CollectError:
                self._first += 1
                raise
        return ModbusAnswer(self._values, self._failed)

    async def _read(self, block: Block, needs: ModbusNeeds, *, retry: bool) -> bool:
        """Read a block, in parts where it is refused; True when it came whole and at once."""
        if self._strikes >= STRIKES:
            self._fail(block, QualityReason.TIMEOUT)
            return False
        try:
            words = await self._ask(block, needs, retry=retry or self._answered)
        except (PointMissing, PointFailed) as exc:
            await self._split(block, needs, exc)
        except DeviceBusy as exc:
            self._fail(block, exc.reason)
        except (DeviceUnreachable, BadReply) as exc:
            if not self._answered:
                raise
            self._fail(block, exc.reason)
        else:
            self._values.update(zip(block.cells, words, strict=True))
            return True
        return False

    async def _ask(self, block: Block, needs: ModbusNeeds, *, retry: bool) -> list[int]:
        """One request, and one more where that may help; more of them where the unit only asks for patience."""
        while True:
            try:
                return await self._send(block, needs)
            except DeviceBusy:
                wait = BUSY_WAITS_S[self._busy] if self._busy < len(BUSY_WAITS_S) else None
                if wait is None or self._clock.monotonic() + wait >= self._deadline:
                    raise
                self._busy += 1
                await self._clock.sleep(wait)
            except CollectError as exc:
                if not exc.retry or not retry or self._clock.monotonic() >= self._deadline:
                    raise
                retry = False

    async def _let_others_in(self) -> None:
        before = self._clock.monotonic()
        if self._give_way is not None and before >= self._fair_until:
            await self._give_way()
            given = self._clock.monotonic() - before
            self._deadline += given
            self._fair_until += given

    async def _send(self, block: Block, needs: ModbusNeeds) -> list[int]:
        await self._let_others_in()
        before = self._link.sent
        try:
            words = await self._link.read(
                block,
                self._target,
                deadline=self._deadline,
                pause_s=needs.pause_ms / 1000,
                connect_pause_s=needs.connect_pause_ms / 1000,
            )
        except (DeviceUnreachable, BadReply):
            self._strikes += 1
            raise
        except CollectError:
            self._answered, self._strikes = True, 0
            raise
        finally:
            self.sent += self._link.sent - before
        self._answered, self._strikes = True, 0
        return words

    async def _split(self, block: Block, needs: ModbusNeeds, why: PointMissing | PointFailed) -> None:
        """Find what in a refused block is refused. Only "there is no such thing" is remembered."""
        parts = halves(block, needs)
        learns = isinstance(why, PointMissing)
        if parts is None:
            if learns:
                log.info("the unit has not what was asked", extra={"device": str(self._target), "cells": str(block)})
                self.holes.learn(block, now_ms(self._clock))
            self._fail(block, why.reason)
            return
        left = await self._read(parts[0], needs, retry=False)
        right = await self._read(parts[1], needs, retry=False)
        if learns and left and right:
            # Each side came whole, so what was refused lies between them, or is their joint length.
            self.holes.cut(block.table, parts[1].address, now_ms(self._clock))

    def _fail(self, block: Block, reason: QualityReason) -> None:
        self._failed.update(dict.fromkeys(block.cells, reason))
