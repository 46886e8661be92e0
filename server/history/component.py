"""The long-running part of history: rolls up and cleans. A component and not a job, because a job would hold the main
database's only SQLite writer while it works.
"""

import logging
from datetime import datetime, timedelta

import sqlalchemy as sa
from prometheus_client import Counter

from facility.clock import Clock
from server.history.rolling import Roller
from server.kit.metrics import Metrics

log = logging.getLogger(__name__)

PACE_S = 5.0
HOUSEKEEPING_EVERY = timedelta(hours=1)


class HistoryKeeper:
    """Rolls up every few seconds, at once again while there is more to do; expires a part of the series each round."""

    name = "history"

    def __init__(self, roller: Roller, clock: Clock, metrics: Metrics) -> None:
        self._roller = roller
        self._clock = clock
        self._kept_house: datetime | None = None
        self._failing = False
        self._spans = Counter(
            "coldaisle_server_history_rolled_spans_total", "Spans of series rolled up", registry=metrics.registry
        )
        self._failures = Counter(
            "coldaisle_server_history_failures_total",
            "Rounds that ended in a database error and are tried again",
            registry=metrics.registry,
        )

    async def run(self) -> None:
        while True:
            more = await self._round()
            # Zero still gives ingest its turn at the writer.
            await self._clock.sleep(0.0 if more else PACE_S)

    async def _round(self) -> bool:
        now = self._clock.now()
        try:
            done = await self._roller.roll(now)
            if not done:
                await self._roller.expire(now)
            if self._kept_house is None or now - self._kept_house >= HOUSEKEEPING_EVERY:
                await self._roller.housekeep(now)
                self._kept_house = now
        except (sa.exc.SQLAlchemyError, OSError) as error:
            self._failures.inc()
            # Once when it breaks, once when it heals; the counter has the rest.
            log.log(logging.DEBUG if self._failing else logging.ERROR, "history work failed", exc_info=error)
            self._failing = True
            return False
        if self._failing:
            log.info("history work goes on")
            self._failing = False
        self._spans.inc(done)
        return done > 0
