"""The faults one can drill, and what each of them breaks. Pure: from the active faults to what is broken.

The names are a contract with scripts; never rename one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from simulator.inventory import TH_PLACES
from simulator.room import CRACS, Conditions


class FaultName(StrEnum):
    """What can break, by the name a drill is called with."""

    MAINS_FAILURE = "mains-failure"
    CRAC_FAILURE = "crac-failure"
    BOTH_CRACS = "both-cracs"
    HOT_AISLE = "hot-aisle"
    HUMIDITY_HIGH = "humidity-high"
    PRESSURE_LOSS = "pressure-loss"
    WATER_LEAK = "water-leak"
    DOOR_OPEN = "door-open"
    SENSOR_LOST = "sensor-lost"
    DEVICE_DEAD = "device-dead"
    LINK_CUT = "link-cut"
    SITE_DARK = "site-dark"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the catalogue: words for people, what should follow, and which devices it may strike."""

    name: FaultName
    title_en: str
    title_zh: str
    expect_en: str
    expect_zh: str
    device: str | None = None  # struck when the caller names none
    devices: tuple[str, ...] | None = ()  # allowed ones; None allows every device, () takes no device


@dataclass(frozen=True, slots=True)
class Active:
    """One fault in force. `since` is RFC 3339 UTC."""

    name: FaultName
    device: str | None
    since: str


@dataclass(frozen=True, slots=True)
class Effects:
    """Everything the active faults break together."""

    conditions: Conditions
    silent: frozenset[str]  # devices that answer nothing
    link_cut: bool
    site_dark: bool  # the caller turns this into silence once the batteries are flat


_SENSORS = tuple(f"th-{unit:02d}" for unit in range(1, len(TH_PLACES) + 1))

CATALOGUE: tuple[Fault, ...] = (
    Fault(
        FaultName.MAINS_FAILURE,
        "Mains failure",
        "市电中断",
        "Both UPS go on battery at once; the charge falls, low battery after about a quarter of an hour.",
        "两台UPS立即转电池供电, 电量下降, 约一刻钟后电池电量低。",
    ),
    Fault(
        FaultName.CRAC_FAILURE,
        "A precision air conditioner fails",
        "一台精密空调故障",
        "The unit reports its failure at once; its cold aisle climbs above 27 C within minutes.",
        "该空调立即上报故障, 所在冷通道数分钟内升温超过27℃。",
        device="crac-1",
        devices=CRACS,
    ),
    Fault(
        FaultName.BOTH_CRACS,
        "CRAC 1 and CRAC 2 fail together",
        "1号与2号精密空调同时故障",
        "Both report failure at once; the remaining unit is overrun and the aisles climb above 32 C.",
        "两台空调立即上报故障, 剩余一台过载, 冷通道升温超过32℃。",
    ),
    Fault(
        FaultName.HOT_AISLE,
        "Hot aisle cannot exhaust",
        "热通道排风受阻",
        "The hot-aisle sensors jump by several kelvin and climb on; the cold aisles follow slightly.",
        "热通道传感器温度骤升并持续上升, 冷通道略有升高。",
    ),
    Fault(
        FaultName.HUMIDITY_HIGH,
        "Humidifier stuck on",
        "加湿器失控",
        "Cold aisle A exceeds 60 %RH at once, the rest of the room follows; CRAC 1 reports its humidifier.",
        "冷通道A湿度立即超过60%RH, 全室随后升高; 1号空调上报加湿器故障。",
    ),
    Fault(
        FaultName.PRESSURE_LOSS,
        "Room over-pressure lost",
        "机房正压丧失",
        "The pressure against the corridor falls below 5 Pa within seconds.",
        "机房对走廊压差数秒内低于5Pa。",
    ),
    Fault(
        FaultName.WATER_LEAK,
        "Water under the raised floor",
        "架空地板下漏水",
        "The leak controller reports water and its distance along the rope at once.",
        "漏水控制器立即上报漏水及位置。",
    ),
    Fault(
        FaultName.DOOR_OPEN,
        "Machine room door left open",
        "机房门未关",
        "The door contact reports open at once; the over-pressure falls.",
        "门磁立即上报开门, 机房压差下降。",
    ),
    Fault(
        FaultName.SENSOR_LOST,
        "A temperature and humidity sensor falls silent",
        "一个温湿度传感器失联",
        "That unit behind the gateway answers no more; the other eleven go on.",
        "网关下该从站不再应答, 其余十一个正常。",
        device="th-03",
        devices=_SENSORS,
    ),
    Fault(
        FaultName.DEVICE_DEAD,
        "A device falls silent",
        "一台设备失联",
        "The device answers nothing; an alarm for the lost device, none from its last values.",
        "设备无任何应答, 应产生设备失联告警。",
        device="crac-1",
        devices=None,
    ),
    Fault(
        FaultName.LINK_CUT,
        "Link to the centre cut",
        "到中心的链路中断",
        "The agent goes on judging and keeps its blocks; the centre reports the agent lost.",
        "边缘代理继续判断并缓存数据, 中心上报代理失联。",
    ),
    Fault(
        FaultName.SITE_DARK,
        "The whole site goes dark",
        "全站失电",
        "Mains fails; shortly after every device falls silent and the link is cut.",
        "市电中断, 随后所有设备失联且链路中断。",
    ),
    Fault(
        FaultName.CLEAR,
        "Repair everything",
        "全部恢复",
        "Every fault ends; the room recovers at the pace of physics.",
        "所有故障解除, 机房按物理规律恢复。",
    ),
)

_BY_NAME = {fault.name: fault for fault in CATALOGUE}


class UnknownFault(LookupError):
    """No such fault; the message names the nearest and every other."""


class WrongDevice(ValueError):
    """The fault cannot strike that device; the message says which it can."""


def find(name: str) -> Fault:
    """The fault of that name, or `UnknownFault` with a suggestion."""
    try:
        return _BY_NAME[FaultName(name)]
    except ValueError:
        names = [fault.name.value for fault in CATALOGUE]
        raise UnknownFault(
            f"there is no fault {name!r}.{_hint(name, names)} Known faults: {', '.join(names)}."
        ) from None


def _hint(typed: str, names: Sequence[str]) -> str:
    beginning = [name for name in names if typed and name.startswith(typed)]
    near = beginning or difflib.get_close_matches(typed, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def choose_device(fault: Fault, device: str | None, known: Iterable[str]) -> str | None:
    """The device the fault strikes: the named one if allowed, else the catalogue's own."""
    if device is None:
        return fault.device
    allowed = tuple(known) if fault.devices is None else fault.devices
    if device not in allowed:
        may = f"It may strike: {', '.join(allowed)}." if allowed else "It takes no device."
        raise WrongDevice(f"fault {fault.name.value!r} cannot strike device {device!r}.{_hint(device, allowed)} {may}")
    return device


def effects(active: Iterable[Active]) -> Effects:
    """What all the active faults break together."""
    faults = list(active)
    names = {fault.name for fault in faults}
    failed = {fault.device for fault in faults if fault.name is FaultName.CRAC_FAILURE and fault.device}
    if FaultName.BOTH_CRACS in names:
        failed |= {"crac-1", "crac-2"}
    silencing = (FaultName.SENSOR_LOST, FaultName.DEVICE_DEAD)
    return Effects(
        conditions=Conditions(
            mains=not names & {FaultName.MAINS_FAILURE, FaultName.SITE_DARK},
            failed_cracs=frozenset(failed),
            hot_aisle=FaultName.HOT_AISLE in names,
            humidifier_stuck=FaultName.HUMIDITY_HIGH in names,
            pressure_lost=FaultName.PRESSURE_LOSS in names,
            leak=FaultName.WATER_LEAK in names,
            door_open=FaultName.DOOR_OPEN in names,
        ),
        silent=frozenset(fault.device for fault in faults if fault.name in silencing and fault.device),
        link_cut=FaultName.LINK_CUT in names,
        site_dark=FaultName.SITE_DARK in names,
    )
