"""Net-SNMP's snmpd, the independent SNMP agent, alone on a free UDP port."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import free_port, require
from tests.support.programs import Program

Override = tuple[str, str, str | int]


@dataclass(frozen=True, slots=True)
class V3User:
    """Credentials of SNMPv3 authPriv; the passwords are plain, at least 8 characters as RFC 3414 asks."""

    name: str = "watcher"
    auth: str = "SHA-256"
    auth_password: str = "measure-twice"
    priv: str = "AES-128"
    priv_password: str = "cool-the-aisle"


class Snmpd(Program):
    """An agent at `host`:`port` (UDP) that answers v1, v2c (`community`) and v3 (`v3`), read-only.

    overrides: (numeric OID of the instance, net-snmp type word such as integer, octet_str, gauge, value) served in
    place of anything the agent knows. `1.3.6.1.2.1.1.2.0` (sysObjectID, type object_id) may be among them.
    """

    host = "127.0.0.1"
    community = "public"

    def __init__(self, folder: Path, *, overrides: Iterable[Override] = (), port: int | None = None) -> None:
        program = require("snmpd")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port("udp")
        self.v3 = V3User()
        self._config = folder / "snmpd.conf"
        self._write(overrides)
        super().__init__(
            "snmpd",
            # -r: an ordinary user may not read everything the host MIBs look at, and need not.
            [program, "-f", "-Lo", "-r", "-C", "-c", str(self._config), f"udp:{self.host}:{self.port}"],
            folder=folder,
            # The persistent folder holds engineBoots and the localised keys; the system's own is not for tests.
            environment={"SNMP_PERSISTENT_DIR": str(folder / "state"), "SNMPCONFPATH": str(folder), "MIBS": ""},
            ready=self._answers,
        )

    def serve(self, overrides: Iterable[Override]) -> None:
        """Replace the served values. The agent is started again: sysUpTime begins anew, engineBoots rises."""
        self.stop()
        self._write(overrides)
        self.start()

    def get(self, oid: str, *, version: str = "2c", timeout: float = 1.0) -> str:
        """What net-snmp's own snmpget prints for one OID, as an independent word; version is 1, 2c or 3.

        ConnectionError with snmpget's words when there is no answer within `timeout` seconds or a refusal.
        """
        user = self.v3
        who = ["-c", self.community]
        if version == "3":
            who = ["-l", "authPriv", "-u", user.name, "-a", user.auth, "-A", user.auth_password]
            who += ["-x", "AES", "-X", user.priv_password]
        how = ["-v", version, "-m", "", "-On", "-t", f"{timeout:g}", "-r", "0"]
        done = subprocess.run(
            [require("snmpget"), *how, *who, f"{self.host}:{self.port}", oid],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ConnectionError(done.stderr.strip())
        return done.stdout.strip()

    def _answers(self) -> bool:
        return bool(self.get("1.3.6.1.2.1.1.3.0", timeout=0.1))

    def _write(self, overrides: Iterable[Override]) -> None:
        user = self.v3
        lines = [
            f"rocommunity {self.community} {self.host}",
            f'createUser {user.name} {user.auth} "{user.auth_password}" AES "{user.priv_password}"',
            f"rouser {user.name} authpriv",
            'sysLocation "Room 1"',
            *(f"override .{oid.lstrip('.')} {kind} {_quoted(value)}" for oid, kind, value in overrides),
        ]
        self._config.write_text("\n".join(lines) + "\n")


def _quoted(value: str | int) -> str:
    return str(value) if isinstance(value, int) or " " not in value else f'"{value}"'
