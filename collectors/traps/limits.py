"""What one sender may say, and what was said already: pure, times are monotonic seconds handed in.

Devices of the site have an allowance each; all strangers share one, so that forged addresses neither cost memory nor
take anything from the devices.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from collectors.traps.notification import Notification

# A UPS that loses its mains says about a dozen things at once, an environment monitor one for each of its sensors.
BURST = 100
# And then about one a minute; ten a second for ever is a device gone wrong.
RATE = 10.0
# A flood is summed up when nothing was dropped for so long, or while it lasts at these distances.
QUIET_S = 10.0
FIRST_WORD_S = 60.0
NEXT_WORD_S = 600.0
# An inform is repeated until it is answered, by habit a few times within a minute.
INFORM_AGAIN_S = 300.0
# A plain trap is never repeated on purpose; a network with two ways doubles it at once.
TRAP_AGAIN_S = 2.0
MAX_REMEMBERED = 4096
STRANGERS = ""


@dataclass(frozen=True, slots=True)
class Flood:
    """Traps of one sender that were dropped, to be said once. source: "" for all strangers together."""

    source: str
    dropped: int
    seconds: float


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float
    dropped: int = 0
    since: float = 0.0
    last: float = 0.0
    told: float | None = None


class Gate:
    """A token bucket for each device's address and one for all strangers."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._allowances: dict[str, _Allowance] = {}

    def knows(self, addresses: Iterable[str]) -> None:
        """The addresses of the site's devices from now on."""
        self._known = frozenset(addresses)
        self._allowances = {
            key: each for key, each in self._allowances.items() if key in self._known or key == STRANGERS
        }

    def admit(self, source: str, now: float) -> bool:
        """True while the sender stays within its allowance; a refusal is counted for `floods`."""
        key = source if source in self._known else STRANGERS
        allowance = self._allowances.get(key)
        if allowance is None:
            allowance = self._allowances[key] = _Allowance(BURST, now)
        allowance.left = min(BURST, allowance.left + (now - allowance.at) * RATE)
        allowance.at = now
        if allowance.left >= 1:
            allowance.left -= 1
            return True
        if not allowance.dropped:
            allowance.since = now if allowance.told is None else allowance.since
        allowance.dropped += 1
        allowance.last = now
        return False

    def floods(self, now: float) -> list[Flood]:
        """What is to be said now; each dropped trap is in one summary."""
        told: list[Flood] = []
        for source, each in self._allowances.items():
            if each.told is not None and not each.dropped and now - each.last >= QUIET_S:
                each.told = None
            if not each.dropped:
                continue
            over = now - each.last >= QUIET_S
            wait = FIRST_WORD_S if each.told is None else NEXT_WORD_S
            if over or now - (each.since if each.told is None else each.told) >= wait:
                told.append(Flood(source, each.dropped, max(0.0, each.last - each.since)))
                each.dropped = 0
                each.told = None if over else now
        return told


class Repeats:
    """The same message a second time. Bounded: the oldest is forgotten beyond `MAX_REMEMBERED`."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[object, ...], float] = OrderedDict()

    def again(self, notification: Notification, now: float) -> bool:
        """True when this very message was taken before, within the time in which its sender may repeat it.

        "The same" is the same content from the same address, uptime and request id included: a card that numbers all
        its messages alike still sends two events, a minute apart, as two.
        """
        key = _content(notification)
        window = INFORM_AGAIN_S if notification.inform else TRAP_AGAIN_S
        before = self._seen.get(key)
        if before is not None and now - before < window:
            return True
        self._seen[key] = now
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def forget(self, notification: Notification) -> None:
        """It was not kept after all: its repetition is the first that counts."""
        self._seen.pop(_content(notification), None)


def _content(notification: Notification) -> tuple[object, ...]:
    return (
        notification.source,
        notification.version,
        notification.inform,
        notification.request_id,
        notification.oid,
        notification.uptime,
        notification.varbinds,
    )
