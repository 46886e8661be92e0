"""Net-SNMP's snmptrap and snmpinform: the independent voice of a device that speaks by itself."""

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.peers import require
from tests.support.snmpd import V3User

VarBind = tuple[str, str, str]
# A device's own engine: it signs its SNMPv3 traps with it.
ENGINE = "0x80001f8804636f6c64"


@dataclass(frozen=True, slots=True)
class TrapSender:
    """Sends from loopback to `port`. folder: for the state snmptrap keeps, which must not be the system's."""

    port: int
    folder: Path
    community: str = "public"
    user: V3User = field(default_factory=V3User)

    async def v1(
        self,
        enterprise: str,
        generic: int,
        specific: int,
        *varbinds: VarBind,
        agent: str = "127.0.0.1",
        uptime: int | None = None,
    ) -> int:
        """An SNMPv1 trap; the exit code. agent: whom it names as its origin."""
        words = [enterprise, agent, str(generic), str(specific), "" if uptime is None else str(uptime)]
        return await self._run("snmptrap", "-v", "1", "-c", self.community, self._to, *words, *_flat(varbinds))

    async def v2c(
        self, oid: str, *varbinds: VarBind, inform: bool = False, timeout: float = 5.0, tries: int = 1
    ) -> int:
        """An SNMPv2c trap or inform; of an inform 0 means that it was answered within the time."""
        return await self._run(
            *self._program(inform), "-v", "2c", "-c", self.community, "-t", f"{timeout:g}", "-r", str(tries - 1),
            self._to, "", oid, *_flat(varbinds),
        )  # fmt: skip

    async def v3(
        self, oid: str, *varbinds: VarBind, inform: bool = False, level: str = "authPriv", engine: str = ENGINE
    ) -> int:
        """An SNMPv3 trap signed by the device's engine, or an inform, for which it asks whose engine we are."""
        user = self.user
        who = [
            "-u",
            user.name,
            "-l",
            level,
            "-a",
            user.auth,
            "-A",
            user.auth_password,
            "-x",
            "AES",
            "-X",
            user.priv_password,
        ]
        by = [] if inform else ["-e", engine]
        return await self._run(
            *self._program(inform), "-v", "3", *who, *by, "-t", "5", "-r", "0", self._to, "", oid, *_flat(varbinds)
        )

    @property
    def _to(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _program(self, inform: bool) -> list[str]:
        return ["snmptrap", *(["-Ci"] if inform else [])]

    async def _run(self, program: str, *arguments: str) -> int:
        process = await asyncio.create_subprocess_exec(
            require(program),
            *arguments,
            env={**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(self.folder), "SNMPCONFPATH": str(self.folder)},
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()


def _flat(varbinds: tuple[VarBind, ...]) -> list[str]:
    return [word for varbind in varbinds for word in varbind]
