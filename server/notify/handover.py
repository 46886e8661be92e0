"""What an agent told people while it was cut off is not told to them again by the centre. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from facility.severity import Severity
from server.notify.notices import NoticeKind

# Alarms reach the centre in about 2 s (one group commit, one batch). One that is later may have been told on site, and
# the agent's word of it comes with the same connection: so long the message waits for it.
LATE = timedelta(seconds=10)
WAIT = timedelta(seconds=10)

# The notices that bring the news of an alarm; what follows (an assignment, a resolution) only the centre knows.
NEWS = frozenset(
    {
        NoticeKind.TICKET_OPENED,
        NoticeKind.TICKET_WORSENED,
        NoticeKind.TICKET_REOPENED,
        NoticeKind.ALARM_CAME,
        NoticeKind.ALARM_WAS_OVER,
    }
)


class HandOver(StrEnum):
    TELL = "tell"
    TELL_AS_KNOWN = "tell_as_known"  # told on site, to others: the message says so
    ALREADY_TOLD = "already_told"  # the same channel was told on site


@dataclass(frozen=True, slots=True)
class Mark:
    """Told on site through a channel; target as of `facility.items.target_of`."""

    channel: str
    target: str
    severity: Severity
    at: datetime


def hand_over(kind: NoticeKind, severity: Severity, target: str, marks: Sequence[Mark]) -> tuple[HandOver, Mark | None]:
    """What a notice to the channel `target` is after what was told on site, and the telling that decided it.

    A telling of a milder severity than the notice's does not count: the alarm got worse since.
    """
    enough = [mark for mark in marks if not severity.worse_than(mark.severity)]
    if kind not in NEWS or not enough:
        return HandOver.TELL, None
    same = next((mark for mark in enough if mark.target == target), None)
    if same is not None:
        return HandOver.ALREADY_TOLD, same
    return HandOver.TELL_AS_KNOWN, min(enough, key=lambda mark: mark.at)


def due_at(kind: NoticeKind, since: datetime | None, now: datetime) -> datetime:
    """When a notice may go: news that comes late waits for the agent's word of what it told."""
    return now + WAIT if kind in NEWS and since is not None and now - since > LATE else now
