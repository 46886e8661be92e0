"""Independent clients for the room: net-snmp's programs, mbpoll, and bare urllib."""

import asyncio
import json
import re
import urllib.error
import urllib.request

from simulator.app import RoomServer
from simulator.inventory import Device
from tests.support.peers import require


def device(room: RoomServer, name: str) -> Device:
    return next(known for known in room.devices if known.id == name)


async def run(program: str, *arguments: str) -> tuple[int, str]:
    """Exit code and both outputs of a peer program."""
    process = await asyncio.create_subprocess_exec(
        require(program), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def snmp_access(target: Device, *, timeout: float = 2.0) -> list[str]:
    """The arguments that let net-snmp's programs in."""
    given = target.credentials
    common = ["-On", "-Oe", "-OU", "-Ot", "-r", "0", "-t", str(timeout)]
    if target.snmp_version == "v2c":
        return ["-v2c", "-c", given["community"], *common]
    return [
        *("-v3", "-l", given["level"], "-u", given["user"]),
        *("-a", given["auth_protocol"], "-A", given["auth_key"]),
        *("-x", given["priv_protocol"].removesuffix("-128"), "-X", given["priv_key"]),
        *common,
    ]


def address(target: Device) -> str:
    return f"{target.host}:{target.port}"


async def snmp(program: str, target: Device, *oids: str) -> dict[str, str]:
    """OID (without leading dot) -> the value net-snmp shows, type name in front ("INTEGER: 5")."""
    # An answer is certain to come; on a machine that stands still for a moment, later.
    code, output = await run(program, *snmp_access(target, timeout=20.0), address(target), *oids)
    assert code == 0, output
    pairs = (line.split(" = ", 1) for line in output.splitlines() if " = " in line)
    return {oid.strip(". "): value.strip() for oid, value in pairs if "No more variables left in this MIB" not in value}


def number(shown: str) -> int:
    """The number net-snmp shows, whatever the type."""
    found = re.search(r"(-?\d+)\)?$", shown)
    assert found, shown
    return int(found.group(1))


async def mbpoll(target: Device, *, table: str, first: int, count: int = 1, timeout: float = 0.5) -> list[int] | str:
    """Registers from the wire address `first` on; the program's word for it when it fails."""
    kind = {"holding": "4", "input": "3"}[table]
    code, output = await run(
        *("mbpoll", "-m", "tcp", "-p", str(target.port), "-a", str(target.unit), "-t", kind),
        *("-r", str(first + 1), "-c", str(count), "-1", "-o", str(timeout), target.host),
    )
    if code:
        # Its two outputs are not in order when they go to one pipe.
        return next((line for line in output.splitlines() if " failed: " in line), output)
    return [int(value) for value in re.findall(r"^\[\d+\]:\s+(\d+)", output, re.MULTILINE)]


async def http(method: str, url: str, body: object = None) -> tuple[int, object]:
    """Status and JSON answer."""

    def call() -> tuple[int, object]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    return await asyncio.to_thread(call)
