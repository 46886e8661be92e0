"""When a device is asked: pure, in integer milliseconds and ticks.

A tick is one wake-up (1 s by default): devices due in the same tick go out together, because at polling pace
wake-ups cost more than decoding. Offsets come from a hash of the device id, so a restart moves nobody and a site's
devices spread over the interval by themselves.
"""

import functools
import hashlib
from dataclasses import dataclass

TICK_MS = 1000
# Failures answered at the ordinary pace before the pace slows: one lost packet or one reboot is no outage.
FAST_FAILURES = 2
# A device that came back is noticed within this time at the latest.
BACK_OFF_CAP_MS = 300_000
# Devices behind one switch fail together; without a spread they would also be probed together for ever.
JITTER = 0.1


# Devices whose place is remembered, for it is asked for at each tick: more than one agent polls.
_PLACES = 4096


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@functools.lru_cache(maxsize=_PLACES)
def offset_ms(device_id: str, interval_ms: int, tick_ms: int = TICK_MS) -> int:
    """Where in its interval a device is polled: 0 <= offset < interval, a multiple of the tick, the same for ever.

    ValueError for an interval below one tick.
    """
    slots = _slots(interval_ms, tick_ms)
    return _hash(device_id) % slots * tick_ms


def next_slot(device_id: str, interval_ms: int, *, after: int, tick_ms: int = TICK_MS) -> int:
    """The first tick after tick number `after` (milliseconds UTC divided by `tick_ms`) in which the device is due.

    Intervals are counted in whole ticks: 2,500 ms at a tick of 1 s is polled every 2 s.
    """
    slots = _slots(interval_ms, tick_ms)
    phase = offset_ms(device_id, interval_ms, tick_ms) // tick_ms
    return after + 1 + (phase - after - 1) % slots


def missed_slots(device_id: str, interval_ms: int, *, after: int, until: int, tick_ms: int = TICK_MS) -> int:
    """How many of the device's slots lie in the ticks after `after` and before `until`, both excluded.

    For an agent that was held up: those slots are skipped and counted, never queued. 0 when time went back.
    """
    if until - after <= 1:
        return 0
    slots = _slots(interval_ms, tick_ms)
    phase = offset_ms(device_id, interval_ms, tick_ms) // tick_ms
    return (until - 1 - phase) // slots - (after - phase) // slots


def back_off_ms(device_id: str, interval_ms: int, failures: int, cap_ms: int = BACK_OFF_CAP_MS) -> int:
    """How long a device that failed `failures` times in a row is left alone, in milliseconds.

    0 for the first `FAST_FAILURES` (its next ordinary slot asks again), then 2, 4, 8 ... intervals up to the cap (or
    one interval, where that is longer), each 0 to 10 % shorter by a hash of device and count.
    """
    if failures <= FAST_FAILURES:
        return 0
    doublings = min(failures - FAST_FAILURES, 32)  # 2**32 intervals are past every cap
    plain = min(interval_ms << doublings, max(cap_ms, interval_ms))
    shortened = _hash(f"{device_id}/{failures}") % 1000 / 1000 * JITTER
    return round(plain * (1 - shortened))


def _slots(interval_ms: int, tick_ms: int) -> int:
    if tick_ms <= 0 or interval_ms < tick_ms:
        raise ValueError(f"an interval of {interval_ms} ms is shorter than one tick of {tick_ms} ms")
    return interval_ms // tick_ms


@dataclass(slots=True)
class Breaker:
    """The circuit breaker of one device: closed while it answers, open after failures, half-open to probe.

    Times are monotonic milliseconds handed in by the caller.
    """

    device_id: str
    interval_ms: int
    failures: int = 0
    retry_at_ms: int = 0

    @property
    def healthy(self) -> bool:
        """The last poll was answered (or none was made yet): it goes before the suspects of its bus."""
        return self.failures == 0

    def allows(self, now_ms: int) -> bool:
        return now_ms >= self.retry_at_ms

    def answered(self) -> None:
        self.failures = 0
        self.retry_at_ms = 0

    def heard(self) -> None:
        """The device spoke by itself: it may be asked at once, and counts as failed until it answers."""
        self.retry_at_ms = 0

    def failed(self, now_ms: int) -> None:
        self.failures += 1
        # Half an interval early: a slot that comes some milliseconds before the hour must not wait for the next one.
        wait = back_off_ms(self.device_id, self.interval_ms, self.failures)
        self.retry_at_ms = now_ms + max(0, wait - self.interval_ms // 2)
