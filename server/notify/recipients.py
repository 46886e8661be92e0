"""Who is told, and how much at once. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from facility.severity import Severity
from server.kit.principal import Principal, Role
from server.kit.scope import Scope


class NotificationState(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    SKIPPED = "skipped"
    ROLLED_UP = "rolled_up"


class Wanted(StrEnum):
    """The mildest severity a person wants to be told of; `never` for none."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    INFO = "info"
    NEVER = "never"

    def takes(self, severity: Severity) -> bool:
        return self is not Wanted.NEVER and severity.rank <= Severity(self.value).rank


# Those who act on alarms are told of what may need a visit; customers and auditors when they ask for it.
_BY_ROLE = {
    Role.ADMIN: Wanted.MAJOR,
    Role.MANAGER: Wanted.MAJOR,
    Role.DISPATCHER: Wanted.MAJOR,
    Role.NOC: Wanted.MAJOR,
    Role.ENGINEER: Wanted.MAJOR,
    Role.CUSTOMER: Wanted.NEVER,
    Role.AUDITOR: Wanted.NEVER,
}

# More messages than this to one person in a minute are no longer read one by one; the rest becomes one message.
# Critical ones are counted apart, so that lesser noise never delays them.
MOST_A_MINUTE = 10
MINUTE = timedelta(minutes=1)


def wanted_of(roles: Iterable[Role], setting: Wanted | None) -> Wanted:
    """What a person wants: what they set, else the most talkative of their roles' defaults."""
    if setting is not None:
        return setting
    order = list(Wanted)
    talkative = [_BY_ROLE[role] for role in roles if _BY_ROLE[role] is not Wanted.NEVER]
    return max(talkative, key=order.index, default=Wanted.NEVER)


def is_told(
    principal: Principal, setting: Wanted | None, *, customer_id: str, site_id: str, severity: Severity, to: str | None
) -> bool:
    """Whether a person with a channel is told. `to`, when given, is the one person it is for."""
    if not Scope.of(principal).sees(customer_id=customer_id, site_id=site_id):
        return False
    if to is not None:
        return principal.id == to
    return wanted_of(principal.roles, setting).takes(severity)


def roll_up_at(now: datetime) -> datetime:
    """When the messages held back now are told as one: the end of this minute."""
    return now.replace(second=0, microsecond=0) + MINUTE
