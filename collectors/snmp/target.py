"""Where an SNMP device is and who we are to it: plain values, secrets never shown."""

from dataclasses import dataclass, field
from enum import StrEnum

# Twenty values, the size of a common profile, and the agent's uptime beside them: some 700 bytes of answer, which every
# path carries whole.
MAX_IN_GET = 24


class SnmpVersion(StrEnum):
    """The versions that are polled. v1 has no GETBULK and voids a whole GET for one missing object."""

    V1 = "v1"
    V2C = "v2c"
    V3 = "v3"


class AuthProtocol(StrEnum):
    MD5 = "md5"
    SHA1 = "sha1"
    SHA224 = "sha224"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class PrivProtocol(StrEnum):
    DES = "des"
    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"


class KeyExpansion(StrEnum):
    """How keys shorter than AES-192/256 wants are stretched: two drafts, and vendors chose differently."""

    BLUMENTHAL = "blumenthal"
    REEDER = "reeder"  # what Cisco and most UPS cards do


@dataclass(frozen=True, slots=True)
class SnmpTarget:
    """One agent. v1 and v2c need a community; v3 a user, with authentication for privacy.

    max_in_get: objects in one GET at first, shrunk when the device cannot; bulk: walk by GETBULK, which v1 has not;
    timeout_s: seconds one answer may take. ValueError where the parts do not fit together.
    """

    host: str
    port: int = 161
    version: SnmpVersion | str = SnmpVersion.V2C
    community: str | None = field(default=None, repr=False)
    user: str | None = None
    auth: AuthProtocol | str | None = None
    auth_key: str | None = field(default=None, repr=False)
    priv: PrivProtocol | str | None = None
    priv_key: str | None = field(default=None, repr=False)
    key_expansion: KeyExpansion | str = KeyExpansion.BLUMENTHAL
    max_in_get: int = MAX_IN_GET
    bulk: bool = True
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        SnmpVersion(self.version), KeyExpansion(self.key_expansion)
        if self.version == SnmpVersion.V3:
            self._check_user()
        elif not self.community:
            raise ValueError(f"SNMP {self.version} needs a community")
        if self.max_in_get < 1 or self.timeout_s <= 0:
            raise ValueError("max_in_get is at least 1 and timeout_s more than 0")

    def _check_user(self) -> None:
        if not self.user:
            raise ValueError("SNMP v3 needs a user")
        if self.auth is not None and (not self.auth_key or len(self.auth_key) < 8):
            raise ValueError("auth needs an auth_key of at least 8 characters (RFC 3414 section 11.2)")
        if self.priv is not None and (self.auth is None or not self.priv_key or len(self.priv_key) < 8):
            raise ValueError("priv needs auth and a priv_key of at least 8 characters (RFC 3414 section 11.2)")
        if self.auth is not None:
            AuthProtocol(self.auth)
        if self.priv is not None:
            PrivProtocol(self.priv)

    def __str__(self) -> str:
        return f"snmp {self.version} {self.host}:{self.port}"
