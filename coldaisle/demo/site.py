"""The simulated room as a site: the agent's configuration for it, written the way an operator would write one."""

from pathlib import Path
from typing import Any

import yaml

from simulator.inventory import BATTERY_ROOM, MAIN_ROOM, UPS_ROOM, Device

SITE = "demo"
AGENT = "edge-1"
# A person watching the demo waits for the next poll; on a real site 10 to 60 s is the habit.
INTERVAL = "2s"
# The UPS speak up by themselves (SNMP traps), so they are polled at a pace nearer to a real site's.
UPS_INTERVAL = "10s"

PROFILES = {
    "APC PowerNet UPS": "apc/ups-powernet",
    "RFC 1628 UPS": "ietf/ups-mib",
    "Liebert GlobalProducts": "liebert/gp-crac",
    "SCA precision AC V1.4": "generic/sca-precision-ac",
    "Liebert Atlas/LECS": "liebert/atlas-lecs",
    "XY-MD02": "generic/xy-md02",
    "Comet T7511": "comet/t7511",
    "Delta OHM HD402": "deltaohm/hd402",
    "RLE LD": "rle/ld-series",
    "HWg Poseidon": "hwg/poseidon",
}
ZONES = {
    "cold-a": "cold-aisle",
    "cold-b": "cold-aisle",
    "hot": "hot-aisle",
    "ups": "ups-room",
    "battery": "battery-room",
}
ROOMS = {
    MAIN_ROOM: ("Main machine room", "主机房"),
    UPS_ROOM: ("UPS room", "UPS间"),
    BATTERY_ROOM: ("Battery room", "电池室"),
}
ROOM_CLASS = "gb50174-2017"
# The words the simulated devices use for SNMP v3 and those of the agent's configuration.
_V3_WORDS = {"SHA-256": "sha256", "AES-128": "aes128"}


def room_code(room: str) -> str:
    """The simulator writes rooms in capitals, as on a door; ids are lower case."""
    return room.lower()


def write_agent_config(folder: Path, devices: list[Device], *, broker: str, metrics_port: int, trap_port: int) -> Path:
    """`agent.yaml` and its secret files in `folder`; returns the configuration's path."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    credentials: dict[str, dict[str, Any]] = {}
    for device in devices:
        if device.snmp_version is not None:
            credentials.setdefault(f"sim-{device.snmp_version}", credentials_entry(secrets, device))
    config = {
        "version": 1,
        "site": SITE,
        "agent": AGENT,
        "credentials": credentials,
        "rooms": [
            {"id": room_code(room), "name": {"en": en, "zh": zh}, "class": ROOM_CLASS}
            for room, (en, zh) in ROOMS.items()
        ],
        "devices": [device_entry(device) for device in devices],
        "journal": {"path": str(folder / "journal.db")},
        "uplink": {"broker": broker},
        "http": {"host": "127.0.0.1", "port": metrics_port},
        "traps": {"listen": f"127.0.0.1:{trap_port}"},
    }
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def device_entry(device: Device) -> dict[str, Any]:
    """A device of the room as an entry of the configuration."""
    entry: dict[str, Any] = {
        "id": device.id,
        "name": {"en": device.name_en, "zh": device.name_zh},
        "profile": PROFILES[device.family],
        "address": device.host,
        "port": device.port,
        "interval": UPS_INTERVAL if device.kind == "ups" else INTERVAL,
        "room": room_code(device.room),
        "zone": ZONES.get(device.zone, ""),
    }
    if device.unit is not None:
        entry["unit"] = device.unit
    if device.snmp_version is not None:
        entry["credentials"] = f"sim-{device.snmp_version}"
    return entry


def credentials_entry(secrets: Path, device: Device) -> dict[str, Any]:
    """Its credentials, the secrets as files in a folder."""
    given = device.credentials
    if device.snmp_version == "v2c":
        return {"snmp": "v2c", "community": _secret(secrets, "community", given["community"])}
    return {
        "snmp": "v3",
        "user": given["user"],
        "auth": _V3_WORDS[given["auth_protocol"]],
        "auth_password": _secret(secrets, "auth", given["auth_key"]),
        "priv": _V3_WORDS[given["priv_protocol"]],
        "priv_password": _secret(secrets, "priv", given["priv_key"]),
    }


def _secret(secrets: Path, name: str, value: str) -> dict[str, str]:
    path = secrets / name
    path.touch(mode=0o600)
    path.write_text(value, encoding="utf-8")
    return {"file": str(path)}
