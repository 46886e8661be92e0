"""When a device is asked because of a trap: pure, times are monotonic seconds handed in."""

# However much a device says, it is asked at most this often on top of its ordinary polls.
APART_S = 5.0


class Confirmations:
    """The polls that traps asked for. A trap soon after a poll is not forgotten: its device is asked when it may be."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._asked: dict[str, float] = {}

    def want(self, device: str) -> None:
        self._wanted.add(device)

    def due(self, now: float) -> list[str]:
        """The devices to be asked now; counted as asked."""
        ready = sorted(device for device in self._wanted if now >= self._asked.get(device, now - APART_S) + APART_S)
        for device in ready:
            self._wanted.discard(device)
            self._asked[device] = now
        return ready

    def wait(self, now: float) -> float | None:
        """Seconds until `due` has something, 0 for now; None while nothing is wanted."""
        times = [self._asked.get(device, now - APART_S) + APART_S - now for device in self._wanted]
        return max(0.0, min(times)) if times else None

    def knows(self, devices: frozenset[str]) -> None:
        """The site's devices from now on; what is of others is forgotten."""
        self._wanted &= devices
        self._asked = {device: at for device, at in self._asked.items() if device in devices}
