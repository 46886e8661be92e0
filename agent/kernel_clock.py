"""Whether somebody keeps the system's clock right, as its kernel knows by adjtimex(2)."""

import ctypes

# What it answers of a clock that NTP (or another who keeps clocks) has not set, or does not keep any more.
_TIME_ERROR = 5
# A `struct timex` has 208 bytes; all zero it asks, and sets nothing.
_ROOM = 1024


def clock_is_kept() -> bool:
    """False also where the system does not say."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError, TypeError):
        return False
    return 0 <= int(adjtimex(ctypes.create_string_buffer(_ROOM))) < _TIME_ERROR
