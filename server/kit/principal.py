"""Who is asking, and what their role allows. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    ADMIN = "admin"
    MANAGER = "manager"
    DISPATCHER = "dispatcher"
    NOC = "noc"
    ENGINEER = "engineer"
    CUSTOMER = "customer"
    AUDITOR = "auditor"


class Permission(StrEnum):
    """A verb on a domain. The screen hides what it forbids; the endpoint answers 403."""

    PEOPLE_MANAGE = "people.manage"
    AUDIT_READ = "audit.read"
    CUSTOMERS_READ = "customers.read"
    CUSTOMERS_WRITE = "customers.write"
    FLEET_READ = "fleet.read"
    FLEET_WRITE = "fleet.write"
    HISTORY_READ = "history.read"
    ALARMS_READ = "alarms.read"
    ALARMS_ACK = "alarms.ack"
    ALARMS_SHELVE = "alarms.shelve"
    TICKETS_READ = "tickets.read"
    TICKETS_OPEN = "tickets.open"
    TICKETS_WORK = "tickets.work"
    TICKETS_DISPATCH = "tickets.dispatch"
    NOTIFY_READ = "notify.read"
    NOTIFY_WRITE = "notify.write"
    ASSETS_READ = "assets.read"
    ASSETS_WRITE = "assets.write"
    MAINTENANCE_READ = "maintenance.read"
    MAINTENANCE_PLAN = "maintenance.plan"
    MAINTENANCE_WORK = "maintenance.work"


_P = Permission
_LOOK = frozenset(
    {
        _P.CUSTOMERS_READ,
        _P.FLEET_READ,
        _P.HISTORY_READ,
        _P.ALARMS_READ,
        _P.TICKETS_READ,
        _P.ASSETS_READ,
        _P.MAINTENANCE_READ,
    }
)
_NOC = _LOOK | {_P.ALARMS_ACK, _P.ALARMS_SHELVE, _P.TICKETS_OPEN, _P.NOTIFY_READ}
_DISPATCHER = _NOC | {_P.TICKETS_WORK, _P.TICKETS_DISPATCH, _P.MAINTENANCE_WORK}
_MANAGER = _DISPATCHER | {
    _P.CUSTOMERS_WRITE,
    _P.FLEET_WRITE,
    _P.NOTIFY_WRITE,
    _P.ASSETS_WRITE,
    _P.MAINTENANCE_PLAN,
    _P.AUDIT_READ,
}

ALLOWED: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.MANAGER: _MANAGER,
    Role.DISPATCHER: _DISPATCHER,
    Role.NOC: _NOC,
    Role.ENGINEER: _LOOK | {_P.ALARMS_ACK, _P.TICKETS_OPEN, _P.TICKETS_WORK, _P.MAINTENANCE_WORK},
    Role.CUSTOMER: frozenset(
        {_P.CUSTOMERS_READ, _P.ALARMS_READ, _P.TICKETS_READ, _P.TICKETS_OPEN, _P.ASSETS_READ, _P.MAINTENANCE_READ}
        | {_P.FLEET_READ, _P.HISTORY_READ}
    ),
    Role.AUDITOR: _LOOK | {_P.AUDIT_READ, _P.NOTIFY_READ},
}


class PrincipalKind(StrEnum):
    USER = "user"
    TOKEN = "token"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller.

    `customers` and `sites` limit what is visible; None means no limit. Both given: a row must satisfy both.
    `session` is set only for a browser session (it is what forged requests are recognised by).
    """

    id: str
    name: str
    kind: PrincipalKind
    roles: frozenset[Role]
    customers: frozenset[str] | None = None
    sites: frozenset[str] | None = None
    language: str = "en"
    zone: str = "UTC"
    session: str | None = None

    def may(self, permission: Permission) -> bool:
        return any(permission in ALLOWED[role] for role in self.roles)


SYSTEM = Principal(id="system", name="system", kind=PrincipalKind.SYSTEM, roles=frozenset({Role.ADMIN}))
