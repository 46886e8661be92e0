"""For how long the journal keeps what the centre has not got: reckoned from the configuration, and from its own fill.
And what a metered link carries without one reading.

The rated load of a site is the values that its devices give a second: the points of each by its interval. Pure.
"""

import math
from collections.abc import Iterable

from agent.budget import AROUND_BLOCK, HEALTH_BLOCK, KEEP_ALIVE, MONTH_S
from agent.config import LONGEST_KEEPALIVE_MS, Journal, Uplink
from agent.health import HEALTH_S
from agent.journal.eviction import TARGET
from agent.journal.reading import JournalStatus
from agent.site import SiteDevice
from facility.wire import Kind

# As readings stand in the journal, merged: 4.4 to 5 bytes each (ADR 0014).
BYTES_A_VALUE = 5.0
DAY_S = 86_400.0
_HEALTH_MB = (HEALTH_BLOCK + AROUND_BLOCK) / HEALTH_S * MONTH_S / 1e6
# What the centre may be away for without a loss, unless the site asks for less.
PROMISED_S = 7 * DAY_S
# Less of history than this says little of a day.
_SEEN_S = 3600.0


def rated_load(devices: Iterable[SiteDevice]) -> float:
    """Values a second at least: what is read from a table counts once, since only the device knows its rows."""
    return sum(len(device.profile.points) / device.polled.interval_s for device in devices)


def kept_s(journal: Journal, load: float) -> float:
    """Seconds of readings at this load that the journal keeps."""
    age_s = journal.max_age / 1000
    return age_s if load <= 0 else min(age_s, journal.max_bytes * TARGET / (load * BYTES_A_VALUE))


def bytes_short(journal: Journal, load: float) -> int:
    """The `max_bytes` that would do, where the journal holds less than is promised; 0 where it does."""
    wanted_s = min(PROMISED_S, journal.max_age / 1000)
    return 0 if kept_s(journal, load) >= wanted_s else int(wanted_s * load * BYTES_A_VALUE / TARGET) + 1


def left_s(status: JournalStatus, journal: Journal, *, now: int) -> float | None:
    """Seconds for which the centre may still be away before readings go, filling as until now; None: too early to say.

    What the centre has makes room for what it has not.
    """
    readings = next((each for each in status.kinds if each.kind is Kind.READINGS), None)
    seen_s = 0.0 if readings is None else (readings.last_at - readings.first_at) / 1000
    stored = sum(each.size for each in status.kinds)
    if seen_s < _SEEN_S or not stored:
        return None
    unsent = sum(each.unsent_bytes for each in status.kinds) / stored
    room_s = (journal.max_bytes * TARGET / status.used_bytes - unsent) * seen_s
    waited_s = 0.0 if status.oldest_unsent_at is None else (now - status.oldest_unsent_at) / 1000
    return max(0.0, min(room_s, journal.max_age / 1000 - waited_s))


def without_readings_mb(uplink: Uplink) -> float:
    """Megabytes a month of keep-alives and of the health of each minute."""
    return KEEP_ALIVE / (uplink.keepalive / 1000) * MONTH_S / 1e6 + _HEALTH_MB


def budget_that_does(uplink: Uplink) -> int:
    """The `budget_mb_month` of which readings have half at least, where they have less; 0 where they have it."""
    least = 2 * without_readings_mb(uplink)
    return 0 if uplink.budget_mb_month is None or least <= uplink.budget_mb_month else math.ceil(least)


def keepalive_that_does(uplink: Uplink) -> int:
    """The shortest `keepalive`, in seconds, that leaves readings half of the budget; 0 where none does."""
    left_mb = (uplink.budget_mb_month or 0.0) / 2 - _HEALTH_MB
    seconds = math.ceil(KEEP_ALIVE * MONTH_S / 1e6 / left_mb) if left_mb > 0 else 0
    return seconds if seconds * 1000 <= LONGEST_KEEPALIVE_MS else 0
