"""Whether an SNMP agent restarted between two polls, by its sysUpTime: hundredths of a second in 32 bits.

They wrap after 497 days, which is no restart. Pure: `now` is monotonic seconds of the poller's clock.
"""

from collectors.exchange import Restart, SnmpValue

# sysUpTime.0 of SNMPv2-MIB (RFC 3418), since the network management part of the system was last re-initialised.
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
WRAP = 2**32
TICKS_A_SECOND = 100
# An agent that caches, or whose clock is disciplined, may step back a little without having restarted.
JITTER_S = 2.0
# How far an agent's count may be from ours: some beats of its cache, and 1 % of a bad oscillator.
SLACK_S = 60.0
DRIFT = 0.01


class UptimeWatch:
    """What one agent's uptime was last, and when."""

    def __init__(self) -> None:
        self._ticks: int | None = None
        self._at = 0.0

    def look(self, value: SnmpValue | None, now: float) -> Restart | None:
        """The restart since the last look, if there was one; a poll that brought no uptime tells nothing."""
        if not isinstance(value, int) or not 0 <= value < WRAP:
            return None
        before, since = self._ticks, now - self._at
        self._ticks, self._at = value, now
        if before is None or value == before or not _began_anew(before, value, since):
            return None
        return Restart(uptime_s=value / TICKS_A_SECOND, before_s=before / TICKS_A_SECOND)


def _began_anew(before: int, ticks: int, since: float) -> bool:
    expected = before + since * TICKS_A_SECOND
    slack = (SLACK_S + DRIFT * since) * TICKS_A_SECOND
    if ticks < before:
        wrapped = abs(expected - WRAP - ticks) <= slack
        return not wrapped and before - ticks > JITTER_S * TICKS_A_SECOND
    # It counted on, but less than the time that went by: it began while nobody looked.
    return ticks < since * TICKS_A_SECOND - slack
