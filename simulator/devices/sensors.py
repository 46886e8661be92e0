"""Modbus sensors: XY-MD02 temperature and humidity, Comet T7511, Delta OHM HD402, RLE LD leak controller."""

from __future__ import annotations

from simulator.modbus_bus import Unit, signed, unsigned
from simulator.room import Room, dew_point

HD402_UNAVAILABLE = -32768  # what the transmitter answers while it cannot measure
CABLE_M = 60  # leak rope under the raised floor
LEAK_AT_M = 12  # below the pipe of crac-2


def xy_md02(room: Room, *, unit: int, zone: str) -> Unit:
    """XY-MD02: input register 1 temperature (signed tenths), 2 humidity (tenths); settings from 0x0101."""
    # Sensors of a row do not agree to the tenth: a fixed offset each, within the family's 0.5 C.
    offset = 0.12 * (unit % 4 - 1.5)
    return Unit(
        input={
            1: lambda: signed(10 * (room.zone_temperature(zone) + offset + 0.06 * room.noise(f"th/{unit}/t"))),
            2: lambda: unsigned(10 * (room.zone_humidity(zone) - 2 * offset + 0.3 * room.noise(f"th/{unit}/rh"))),
        },
        holding={
            0x0101: lambda: unit,
            0x0102: lambda: 0,  # 9600 baud
            0x0103: lambda: 0,  # temperature correction
            0x0104: lambda: 0,  # humidity correction
        },
    )


def comet_t7511(room: Room) -> Unit:
    """Comet T7511: holding registers 0x31-0x36 in tenths (0x33 computed value, here dew point), limits at 0x5001."""

    def celsius() -> float:
        return (room.cold["cold-a"] + room.cold["cold-b"]) / 2.0 + 0.05 * room.noise("baro/t")

    def percent() -> float:
        return (room.zone_humidity("cold-a") + room.zone_humidity("cold-b")) / 2.0 + 0.2 * room.noise("baro/rh")

    def dew() -> float:
        return dew_point(celsius(), percent())

    def grams_per_m3() -> float:
        # Dry air at room conditions weighs about 1.18 kg/m3.
        return 1180.0 * room.moisture

    return Unit(
        holding={
            0x0031: lambda: signed(10 * celsius()),
            0x0032: lambda: unsigned(10 * percent()),
            0x0033: lambda: signed(10 * dew()),
            0x0034: lambda: signed(10 * (room.barometric() + 0.05 * room.noise("baro/p"))),
            0x0035: lambda: signed(10 * dew()),
            0x0036: lambda: unsigned(10 * grams_per_m3()),
            0x5001: lambda: signed(180),
            0x5002: lambda: signed(270),
            0x5003: lambda: unsigned(300),
            0x5004: lambda: unsigned(600),
        }
    )


def hd402(room: Room) -> Unit:
    """Delta OHM HD402: register n stands at address n-1; 3 is the pressure in 0.1 Pa, 4 Pa, 5 daPa, 6 hPa, 7 kPa."""

    def pascal() -> float:
        return room.over_pressure + 0.15 * room.noise("dp")

    return Unit(
        input={
            2: lambda: signed(10 * pascal()),
            3: lambda: signed(pascal()),
            4: lambda: signed(pascal() / 10),
            5: lambda: signed(pascal() / 100),
            6: lambda: signed(HD402_UNAVAILABLE),  # too coarse for this range: reported as unavailable
            25: lambda: 0,  # error bits
        }
    )


def rle_leak(room: Room) -> Unit:
    """RLE LD: input register 0 status bits (b0 leak, b1 cable break, b2 contamination, b3 summary), 1 distance."""
    return Unit(
        input={
            0: lambda: 0b1001 if room.conditions.leak else 0,
            1: lambda: LEAK_AT_M if room.conditions.leak else 0,
            2: lambda: 0,  # metres
            3: lambda: 180 if room.conditions.leak else 12,  # leak current, uA
            4: lambda: CABLE_M,
            5: lambda: 768,  # leg resistance, ohm
            6: lambda: 769,
            7: lambda: 2800,  # milliohm per foot
            8: lambda: 304,
        },
        holding={
            15: lambda: 5,  # leak alarm delay, s
            16: lambda: 30,
        },
    )
