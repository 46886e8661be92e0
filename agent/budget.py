"""A month's traffic on a metered link: when readings are packed, and how far they are thinned. Pure; monotonic seconds.

Readings are packed once a minute into one block, which is most of what can be saved. While the link still costs more
than its share of the month, the time between two kept samples of a point doubles, step by step; when it costs less it
halves again. Alarms, events, catalogs and health go at once and whole, whatever they cost; a quarter of the month is
for readings even where these and keep-alives take more than the rest.
"""

MONTH_S = 30 * 86_400
PACK_S = 60.0
# 32 minutes between two samples; beyond that a curve is no curve.
MAX_LEVEL = 6
# Around each block: MQTT and TCP/IP headers both ways, the broker's acknowledgements and the centre's answer. Measured
# by `bench/traffic.py` on a plain connection.
AROUND_BLOCK = 600
# PINGREQ and PINGRESP of two bytes each (MQTT 3.1.1, 3.12 and 3.13), each in a segment of its own that an empty one
# answers: four times 40 bytes of IPv4 and TCP headers. Counted each keep-alive, though paho sends none while others go.
KEEP_ALIVE = 2 * 2 + 4 * 40
# A session from its first segment to its last, on a plain connection, measured with mosquitto: CONNECT with a last
# will, two subscriptions, the status. With TLS come the certificates of both sides: 2.9 KB of one each, chains more.
SESSION = 1_300
TLS_HANDSHAKE = 4_000
# An item of health, deflated.
HEALTH_BLOCK = 450
# What is not spent is kept for this long at most, so that a quiet week is no licence for a costly day.
SAVED_S = 6 * 3600.0
# Of the month, for readings: with the shortest keep-alive and a small budget nothing else would be left for them.
READINGS_SHARE = 0.25
_BEGIN_S = 3600.0


class Budget:
    """Bytes a month; `level` 0 sends every reading. keepalive_s: seconds between two keep-alives of the connection."""

    def __init__(self, mb_month: float, now: float, *, keepalive_s: float = 30.0) -> None:
        self._rate = mb_month * 1e6 / MONTH_S
        self._kept_alive = KEEP_ALIVE / keepalive_s
        self._balance = self._rate * _BEGIN_S
        self._share = self._rate * READINGS_SHARE
        self._of_share = self._share * _BEGIN_S
        self._at = now
        self.level = 0

    def spend(self, payload: int, *, readings: bool) -> None:
        """A block of so many bytes, of readings or not, is sent: whether it arrives or not, the link carries it."""
        cost = payload + AROUND_BLOCK
        self._balance -= cost
        if readings:
            self._of_share = max(self._of_share - cost, -self._share * SAVED_S)

    def connect(self, *, tls: bool) -> None:
        """A broker took up a connection."""
        self._balance -= SESSION + (TLS_HANDSHAKE if tls else 0)

    def has_left(self, now: float) -> bool:
        """Whether something of the month is left for readings, or of their share of it."""
        passed, self._at = now - self._at, now
        self._balance = min(self._balance + passed * (self._rate - self._kept_alive), self._rate * SAVED_S)
        self._of_share = min(self._of_share + passed * self._share, self._share * SAVED_S)
        return self._balance > 0 or self._of_share > 0

    def judge(self, now: float) -> None:
        """Look at the balance and go a step at most; called when readings are to be packed."""
        if not self.has_left(now):
            self.level = min(self.level + 1, MAX_LEVEL)
        elif self.level and (self._balance > self._rate * _BEGIN_S or self._of_share > self._share * _BEGIN_S):
            self.level -= 1

    @property
    def spacing_ms(self) -> int:
        """Milliseconds between two samples of a point that are sent; 0 for all of them."""
        return 0 if self.level == 0 else int(PACK_S * 1000) << (self.level - 1)

    @property
    def every_s(self) -> float:
        """Seconds between two packings."""
        return max(PACK_S, self.spacing_ms / 1000)
