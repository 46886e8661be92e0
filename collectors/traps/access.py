"""Who may send us traps: communities and SNMPv3 users, as plain values whose secrets are never shown."""

from dataclasses import dataclass, field

from collectors.snmp.target import AuthProtocol, KeyExpansion, PrivProtocol


@dataclass(frozen=True, slots=True)
class TrapUser:
    """An SNMPv3 user. A trap below this level of security is refused: its sender proved nothing."""

    name: str
    auth: AuthProtocol | str | None = None
    auth_key: str | None = field(default=None, repr=False)
    priv: PrivProtocol | str | None = None
    priv_key: str | None = field(default=None, repr=False)
    key_expansion: KeyExpansion | str = KeyExpansion.BLUMENTHAL

    @property
    def level(self) -> int:
        """As SNMP counts it: 1 noAuthNoPriv, 2 authNoPriv, 3 authPriv (RFC 3411 section 3.4.3)."""
        return 3 if self.priv is not None else 2 if self.auth is not None else 1


@dataclass(frozen=True, slots=True)
class TrapAccess:
    """communities: for v1 and v2c; a trap with another is refused and counted."""

    communities: tuple[str, ...] = field(default=(), repr=False)
    users: tuple[TrapUser, ...] = ()
