"""What stands in the room: one `Device` per thing an agent would be told to poll."""

from __future__ import annotations

from dataclasses import dataclass, field

MAIN_ROOM = "MR-1"
UPS_ROOM = "UPS-1"
BATTERY_ROOM = "BAT-1"

# Credentials of a simulation on loopback: printed, served over HTTP and of no worth anywhere else.
COMMUNITY = "coldaisle-sim"
V3_USER = "coldaisle-sim"
V3_AUTH_KEY = "simulated-auth-key"
V3_PRIV_KEY = "simulated-priv-key"


@dataclass(frozen=True, slots=True)
class Device:
    """One pollable device and how to reach it. `port` is 0 until the room is running."""

    id: str
    name_en: str
    name_zh: str
    kind: str  # ups, crac, temp-humidity, barometer, differential-pressure, leak, environment
    family: str  # which register map it speaks
    protocol: str  # snmp, modbus
    room: str
    zone: str  # cold-a, cold-b, hot, ups, battery, room
    bus: str  # devices with the same bus share one host and port
    unit: int | None = None  # Modbus unit id
    snmp_version: str | None = None  # v2c, v3
    credentials: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0


_V2C = {"community": COMMUNITY}
_V3 = {
    "user": V3_USER,
    "auth_protocol": "SHA-256",
    "auth_key": V3_AUTH_KEY,
    "priv_protocol": "AES-128",
    "priv_key": V3_PRIV_KEY,
    "level": "authPriv",
}
# Where the twelve sensors hang: unit on the gateway -> zone, rack words.
TH_PLACES: tuple[tuple[str, str, str, str], ...] = (
    ("cold-a", MAIN_ROOM, "Cold aisle A, rack A01", "冷通道A A01机柜"),
    ("cold-a", MAIN_ROOM, "Cold aisle A, rack A03", "冷通道A A03机柜"),
    ("cold-a", MAIN_ROOM, "Cold aisle A, rack A05", "冷通道A A05机柜"),
    ("cold-a", MAIN_ROOM, "Cold aisle A, rack A07", "冷通道A A07机柜"),
    ("cold-b", MAIN_ROOM, "Cold aisle B, rack B01", "冷通道B B01机柜"),
    ("cold-b", MAIN_ROOM, "Cold aisle B, rack B03", "冷通道B B03机柜"),
    ("cold-b", MAIN_ROOM, "Cold aisle B, rack B05", "冷通道B B05机柜"),
    ("cold-b", MAIN_ROOM, "Cold aisle B, rack B07", "冷通道B B07机柜"),
    ("hot", MAIN_ROOM, "Hot aisle, north end", "热通道北端"),
    ("hot", MAIN_ROOM, "Hot aisle, south end", "热通道南端"),
    ("ups", UPS_ROOM, "UPS room", "UPS间"),
    ("battery", BATTERY_ROOM, "Battery room", "电池室"),
)


def _sensors() -> list[Device]:
    return [
        Device(
            id=f"th-{unit:02d}",
            name_en=place_en,
            name_zh=f"{place_zh}温湿度",
            kind="temp-humidity",
            family="XY-MD02",
            protocol="modbus",
            room=room,
            zone=zone,
            bus="gateway-1",
            unit=unit,
        )
        for unit, (zone, room, place_en, place_zh) in enumerate(TH_PLACES, start=1)
    ]


def inventory() -> list[Device]:
    """Every device of the room, in the order it is shown."""
    return [
        Device(
            id="ups-1",
            name_en="UPS A (feed A)",
            name_zh="A路UPS",
            kind="ups",
            family="APC PowerNet UPS",
            protocol="snmp",
            room=UPS_ROOM,
            zone="ups",
            bus="ups-1",
            snmp_version="v2c",
            credentials=_V2C,
        ),
        Device(
            id="ups-2",
            name_en="UPS B (feed B)",
            name_zh="B路UPS",
            kind="ups",
            family="RFC 1628 UPS",
            protocol="snmp",
            room=UPS_ROOM,
            zone="ups",
            bus="ups-2",
            snmp_version="v3",
            credentials=_V3,
        ),
        Device(
            id="crac-1",
            name_en="CRAC 1 at aisle A",
            name_zh="1号精密空调(冷通道A)",
            kind="crac",
            family="Liebert GlobalProducts",
            protocol="snmp",
            room=MAIN_ROOM,
            zone="cold-a",
            bus="crac-1",
            snmp_version="v2c",
            credentials=_V2C,
        ),
        Device(
            id="crac-2",
            name_en="CRAC 2 between the aisles",
            name_zh="2号精密空调(冷通道之间)",
            kind="crac",
            family="SCA precision AC V1.4",
            protocol="modbus",
            room=MAIN_ROOM,
            zone="room",
            bus="crac-2",
            unit=1,
        ),
        Device(
            id="crac-3",
            name_en="CRAC 3 at aisle B",
            name_zh="3号精密空调(冷通道B)",
            kind="crac",
            family="Liebert Atlas/LECS",
            protocol="modbus",
            room=MAIN_ROOM,
            zone="cold-b",
            bus="crac-3",
            unit=1,
        ),
        *_sensors(),
        Device(
            id="baro-1",
            name_en="Main room barometer",
            name_zh="主机房气压变送器",
            kind="barometer",
            family="Comet T7511",
            protocol="modbus",
            room=MAIN_ROOM,
            zone="room",
            bus="gateway-2",
            unit=1,
        ),
        Device(
            id="dp-1",
            name_en="Room to corridor pressure",
            name_zh="机房对走廊静压差变送器",
            kind="differential-pressure",
            family="Delta OHM HD402",
            protocol="modbus",
            room=MAIN_ROOM,
            zone="room",
            bus="gateway-2",
            unit=2,
        ),
        Device(
            id="leak-1",
            name_en="Raised floor leak detector",
            name_zh="架空地板漏水检测",
            kind="leak",
            family="RLE LD",
            protocol="modbus",
            room=MAIN_ROOM,
            zone="room",
            bus="gateway-2",
            unit=3,
        ),
        Device(
            id="env-1",
            name_en="Door environment monitor",
            name_zh="门口环境监控主机",
            kind="environment",
            family="HWg Poseidon",
            protocol="snmp",
            room=MAIN_ROOM,
            zone="cold-b",
            bus="env-1",
            snmp_version="v2c",
            credentials=_V2C,
        ),
    ]
