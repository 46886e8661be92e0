"""When a disk that refused is asked again."""

from collections.abc import Iterator
from contextlib import contextmanager

from facility.clock import Clock

RETRY_S = 5.0
# Asking may mean to replay a corrupt file of a gigabyte until the disk is full, and alarms wait for it meanwhile: a
# twentieth of the time goes into it. Room that was made is found after so long at most.
_REST = 19.0
RETRY_MOST_S = 1200.0


class Retry:
    """Due from the start; after a refusal in RETRY_S, or the later the longer it took to be refused."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = clock.monotonic()
        self._took = 0.0

    @property
    def due(self) -> bool:
        return self._clock.monotonic() >= self._at

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around what asks the disk: how long it takes counts if it refuses."""
        began = self._clock.monotonic()
        try:
            yield
        except Exception:
            self._took = self._clock.monotonic() - began
            raise

    def refused(self) -> None:
        self._at = self._clock.monotonic() + min(max(RETRY_S, self._took * _REST), RETRY_MOST_S)
        self._took = 0.0

    def hurry(self) -> None:
        """Due now, whatever it was refused before."""
        self._at = self._clock.monotonic()
