"""What the two UPS say by themselves: the traps their cards send when mains fails and returns.

ups-1 speaks PowerNet (318.0.N), ups-2 the UPS-MIB (RFC 1628 section 4): upsTrapOnBattery again each minute, and alarm
entries added and removed, of which "on battery" is only ever removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.oid_table import Oid, Syntax, Value, parse_oid
from simulator.room import Room, Ups

AGAIN_S = 60.0
_UPS = "1.3.6.1.2.1.33"
_POWERNET = "1.3.6.1.4.1.318"
# Rows of the alarm table and the well-known alarms in them.
_ON_BATTERY, _INPUT_BAD = (101, 2), (102, 6)

VarBind = tuple[Oid, Syntax, Value]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One trap: snmpTrapOID and its values."""

    oid: Oid
    values: tuple[VarBind, ...] = ()


class UpsVoice:
    """One UPS that tells what changed since it was last listened to."""

    def __init__(self, room: Room, name: str) -> None:
        self._room = room
        self._name = name
        self._on_battery = False
        self._said_at = 0.0

    def listen(self) -> list[Spoken]:
        """The traps due now, in order."""
        ups = self._room.upses[self._name]
        before, self._on_battery = self._on_battery, ups.on_battery
        began, ended = ups.on_battery and not before, before and not ups.on_battery
        again = ups.on_battery and ups.seconds_on_battery - self._said_at >= AGAIN_S
        if began or again:
            self._said_at = ups.seconds_on_battery
        return self._powernet(began, ended) if self._name == "ups-1" else self._rfc1628(ups, began, ended, again)

    def _powernet(self, began: bool, ended: bool) -> list[Spoken]:
        words = {5: "UPS: on battery power, utility power failed.", 9: "UPS: utility power has been restored."}
        number = 5 if began else 9 if ended else 0
        if not number:
            return []
        text = (parse_oid(f"{_POWERNET}.2.3.3.0"), Syntax.TEXT, words[number])
        return [Spoken(parse_oid(f"{_POWERNET}.0.{number}"), (text,))]

    def _rfc1628(self, ups: Ups, began: bool, ended: bool, again: bool) -> list[Spoken]:
        spoken: list[Spoken] = []
        if began or again:
            spoken.append(
                Spoken(
                    parse_oid(f"{_UPS}.2.1"),
                    (
                        (parse_oid(f"{_UPS}.1.2.3.0"), Syntax.INTEGER, round(ups.runtime_minutes)),
                        (parse_oid(f"{_UPS}.1.2.2.0"), Syntax.INTEGER, round(ups.seconds_on_battery)),
                        (parse_oid(f"{_UPS}.1.9.7.0"), Syntax.INTEGER, 5),
                    ),
                )
            )
        if began:
            spoken.append(_entry(3, *_INPUT_BAD))
        if ended:
            spoken += [_entry(4, *_ON_BATTERY), _entry(4, *_INPUT_BAD)]
        return spoken


def _entry(trap: int, row: int, alarm: int) -> Spoken:
    """upsTrapAlarmEntryAdded (3) or Removed (4) of a row of the alarm table."""
    return Spoken(
        parse_oid(f"{_UPS}.2.{trap}"),
        (
            (parse_oid(f"{_UPS}.1.6.2.1.1.{row}"), Syntax.INTEGER, row),
            (parse_oid(f"{_UPS}.1.6.2.1.2.{row}"), Syntax.OID, parse_oid(f"{_UPS}.1.6.3.{alarm}")),
        ),
    )
