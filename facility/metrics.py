"""The metric register: every canonical metric once. Profiles map vendor points to it; everything else speaks only it.

Renaming a metric is a breaking change of history, rules and dashboards. A point no metric fits ships as
`unmapped.<vendor>.<name>`. Numbers are stored in the base unit of their quantity (`facility.units`); `display` is
what people read. States are stored and exported as the integer codes of `facility.states`.
"""

import difflib
import re
from dataclasses import dataclass
from typing import TypedDict, Unpack

from facility.states import STATES, StateSet
from facility.units import BASE_UNIT, PROMETHEUS_SUFFIX, Quantity, Unit

UNMAPPED = re.compile(r"unmapped\.[a-z0-9_-]+\.[a-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the register.

    minimum and maximum bound what is physically possible (base unit): outside is `out_of_range`, never an alarm.
    slew is the fastest believable change in base units a second, None where steps are normal.
    counter marks a value that only grows until it wraps or is reset.
    """

    name: str
    quantity: Quantity
    en: str
    zh: str
    display: Unit
    decimals: int = 1
    minimum: float | None = None
    maximum: float | None = None
    slew: float | None = None
    states: StateSet | None = None
    counter: bool = False

    @property
    def unit(self) -> Unit:
        """The base unit values of this metric are kept in."""
        return BASE_UNIT[self.quantity]

    @property
    def prometheus_name(self) -> str:
        """E.g. `coldaisle_room_temperature_celsius`; counters end in `_total`, states carry codes."""
        name = "coldaisle_" + self.name.replace(".", "_").replace("-", "_")
        suffix = "" if self.states else PROMETHEUS_SUFFIX[self.unit]
        if suffix and not name.endswith(f"_{suffix}"):
            name += f"_{suffix}"
        return name + "_total" if self.counter else name


class UnknownMetricError(KeyError):
    """A name the register does not hold; says which names are near."""

    def __init__(self, name: str) -> None:
        near = difflib.get_close_matches(name, REGISTER, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        super().__init__(f"unknown metric {name!r}{hint}")

    def __str__(self) -> str:
        return str(self.args[0])


class _Range(TypedDict, total=False):
    minimum: float
    maximum: float
    slew: float


# Ranges: what the sensor technology or the plant can show at all, wide enough that a real emergency is never refused.
_AIR: _Range = {
    "minimum": -40.0,
    "maximum": 100.0,
    "slew": 2.0,
}  # XY-MD02, HWg and AKCP probes are rated -40..+125 degrees
_RH: _Range = {"minimum": 0.0, "maximum": 100.0, "slew": 10.0}
_WATER: _Range = {"minimum": -40.0, "maximum": 120.0, "slew": 2.0}
_PCT: _Range = {"minimum": 0.0, "maximum": 100.0}
_MAINS_V: _Range = {"minimum": 0.0, "maximum": 1000.0}  # low voltage by IEC 60038 ends at 1000 V
_AMPS: _Range = {"minimum": 0.0, "maximum": 10_000.0}
_HZ: _Range = {"minimum": 0.0, "maximum": 1000.0}
_POS: _Range = {"minimum": 0.0}
_UNITS: _Range = {"minimum": 0.0, "maximum": 10_000.0}  # of one system: packs, rectifiers, entries of an alarm table

# What no point of a machine room can show, where the register names no narrower limit: it is there for the largest raw
# values, which cards send for "not available". Power: 10,000 A at the 1,000 V where low voltage ends
# (IEC 60038), in three phases; energy: that for a hundred years. Seconds: those from 1970 to 2100, more than a life of
# run hours. Counts: one a minute for that long. Flow: ten times the largest air handler of a catalogue (100,000 m3/h).
# Charge: a string of 10,000 cells of 100 Ah in parallel. Resistance: what an insulation tester shows.
_LARGEST: dict[Quantity, float] = {
    Quantity.POWER: 2e7,
    Quantity.APPARENT_POWER: 2e7,
    Quantity.REACTIVE_POWER: 2e7,
    Quantity.ENERGY: 2e13,
    Quantity.DURATION: 4_102_444_800.0,
    Quantity.COUNT: 7e7,
    Quantity.AIRFLOW: 1e6,
    Quantity.CHARGE: 1e6,
    Quantity.RESISTANCE: 1e9,
}


def _number(
    name: str,
    quantity: Quantity,
    en: str,
    zh: str,
    *,
    display: Unit | None = None,
    decimals: int = 1,
    counter: bool = False,
    **limits: Unpack[_Range],
) -> Metric:
    largest = _LARGEST.get(quantity)
    if largest is not None:
        limits = {"minimum": -largest, "maximum": largest, **limits}
    return Metric(
        name=name,
        quantity=quantity,
        en=en,
        zh=zh,
        display=display or BASE_UNIT[quantity],
        decimals=decimals,
        counter=counter,
        **limits,
    )


def _state(name: str, en: str, zh: str, states: str) -> Metric:
    return Metric(name=name, quantity=Quantity.STATE, en=en, zh=zh, display=Unit.NONE, states=STATES[states])


_Q = Quantity
_ALL: tuple[Metric, ...] = (
    # Room
    _number("room.temperature", _Q.TEMPERATURE, "Temperature", "温度", **_AIR),
    _number("room.temperature.average", _Q.TEMPERATURE, "Average temperature", "平均温度", **_AIR),
    _number("room.cooling.able_units", _Q.COUNT, "Air conditioners able to cool", "可用空调台数", decimals=0, minimum=0.0, maximum=1000.0),
    _number("room.cooling.spare_units", _Q.COUNT, "Air conditioners to spare", "冗余空调台数", decimals=0, minimum=-1000.0, maximum=1000.0),
    _number("site.ups.on_battery", _Q.COUNT, "UPS on battery", "电池供电的UPS台数", decimals=0, minimum=0.0, maximum=1000.0),
    _number("room.humidity", _Q.RATIO, "Relative humidity", "相对湿度", **_RH),
    _number("room.dew_point", _Q.TEMPERATURE, "Dew point", "露点温度", minimum=-80.0, maximum=60.0),
    _number("room.heat_index", _Q.TEMPERATURE, "Heat index", "体感温度", minimum=-60.0, maximum=120.0),
    _number("room.absolute_humidity", _Q.ABSOLUTE_HUMIDITY, "Absolute humidity", "绝对湿度", minimum=0.0, maximum=600.0),
    _number("room.pressure.differential", _Q.PRESSURE, "Differential pressure", "静压差", minimum=-10_000.0, maximum=10_000.0),
    _number("air.pressure.barometric", _Q.PRESSURE, "Barometric pressure", "气压", display=Unit.HECTOPASCAL,
            minimum=50_000.0, maximum=115_000.0, slew=500.0),
    _number("air.velocity", _Q.SPEED, "Air velocity", "风速", decimals=2, minimum=0.0, maximum=50.0),
    _number("air.flow", _Q.AIRFLOW, "Air flow", "风量", decimals=0, **_POS),
    _number("air.co2", _Q.CONCENTRATION, "CO₂ concentration", "二氧化碳浓度", decimals=0, minimum=0.0, maximum=50_000.0),
    _number("air.voc", _Q.CONCENTRATION, "Volatile organic compounds", "挥发性有机物浓度", decimals=3, minimum=0.0, maximum=1000.0),
    _number("room.sound_level", _Q.SOUND, "Sound level", "噪声", minimum=0.0, maximum=160.0),
    _number("outdoor.temperature", _Q.TEMPERATURE, "Outdoor temperature", "室外温度", minimum=-60.0, maximum=70.0),
    _number("outdoor.humidity", _Q.RATIO, "Outdoor humidity", "室外湿度", **_RH),
    _state("leak.state", "Water leak", "漏水检测", "leak"),
    _number("leak.distance", _Q.LENGTH, "Leak distance", "漏水定位", minimum=0.0, maximum=5_000.0),
    _number("leak.cable.current", _Q.CURRENT, "Leak cable current", "漏水感应绳电流", decimals=6, minimum=0.0, maximum=1.0),
    _number("leak.cable.length", _Q.LENGTH, "Leak cable length", "漏水感应绳长度", minimum=0.0, maximum=5_000.0),
    _number("leak.cable.resistance", _Q.RESISTANCE, "Leak cable leg resistance", "漏水感应绳电阻", **_POS),
    _state("door.state", "Door", "门禁", "door"),
    _state("door.lock.state", "Door lock", "门锁", "lock"),
    _state("smoke.state", "Smoke detector", "烟感", "smoke"),
    _state("motion.state", "Motion detector", "红外探测", "motion"),
    _state("power.state", "Power presence", "市电检测", "presence"),
    _state("contact.state", "Dry contact", "干接点", "contact"),
    _state("contact.position", "Contact position", "接点位置", "position"),
    _state("output.relay.state", "Relay output", "继电器输出", "on_off"),
    _state("sensor.state", "Sensor state", "传感器状态", "health"),
    # Any device
    _state("device.state", "Device state", "设备状态", "health"),
    _state("device.power.state", "Power supply state", "电源状态", "health"),
    _number("device.temperature", _Q.TEMPERATURE, "Device temperature", "设备温度", minimum=-40.0, maximum=150.0),
    _number("device.supply.voltage", _Q.VOLTAGE, "Supply voltage of the device", "设备供电电压", decimals=2, minimum=0.0, maximum=1000.0),
    _number("device.supply.current", _Q.CURRENT, "Supply current of the device", "设备供电电流", decimals=3, minimum=0.0, maximum=100.0),
    _number("device.battery.charge", _Q.RATIO, "Device battery", "设备电池电量", decimals=0, **_PCT),
    _state("device.temperature.state", "Device temperature alarm", "设备温度告警", "health"),
    _number("device.fan.rotation", _Q.ROTATION, "Device fan speed", "设备风机转数", decimals=0, minimum=0.0, maximum=100_000.0),
    _state("device.fan.state", "Device fan", "设备风机", "health"),
    _state("device.bus.state", "Device bus", "设备总线", "health"),
    _state("device.clock.state", "Device clock", "设备时钟", "health"),
    _state("device.communication", "Communication", "通信状态", "communication"),
    _number("device.uptime", _Q.DURATION, "Uptime", "运行时长", decimals=0, **_POS),
    _number("device.alarms.active", _Q.COUNT, "Active device alarms", "设备活动告警数", decimals=0, **_UNITS),
    _state("device.service.state", "Service due", "维护到期", "service"),
    _number("device.service.progress", _Q.RATIO, "Part of the service interval used", "维护周期进度", decimals=0, **_PCT),
    # UPS
    _state("ups.output.source", "Output source", "供电方式", "output_source"),
    _state("ups.state", "UPS state", "UPS 状态", "health"),
    _state("ups.mode", "Operating mode", "运行模式", "ups_mode"),
    _state("ups.mode.setting", "Operating mode set", "设定运行模式", "ups_mode"),
    _state("ups.overload.state", "Overload", "过载", "health"),
    _state("ups.temperature.state", "UPS temperature alarm", "UPS 温度告警", "health"),
    _state("ups.fan.state", "UPS fan", "UPS 风机", "health"),
    _state("ups.charger.state", "Charger", "充电器状态", "health"),
    _state("ups.rectifier.state", "Rectifier", "整流器状态", "health"),
    _state("ups.inverter.state", "Inverter", "逆变器状态", "health"),
    _state("ups.redundancy.state", "UPS redundancy", "UPS 冗余状态", "redundancy"),
    _state("ups.epo.state", "Emergency power off", "紧急关机（EPO）", "contact"),
    _state("ups.shutdown.state", "Shutdown pending", "即将关机", "health"),
    _number("ups.fan.run_hours", _Q.DURATION, "UPS fan run hours", "UPS 风机运行时间", display=Unit.HOUR, decimals=0,
            counter=True, **_POS),
    _number("ups.output.load", _Q.RATIO, "Output load", "负载率", minimum=0.0, maximum=300.0),
    _number("ups.output.voltage", _Q.VOLTAGE, "Output voltage", "输出电压", **_MAINS_V),
    _number("ups.output.voltage.line", _Q.VOLTAGE, "Output line voltage", "输出线电压", **_MAINS_V),
    _number("ups.output.current", _Q.CURRENT, "Output current", "输出电流", **_AMPS),
    _number("ups.output.frequency", _Q.FREQUENCY, "Output frequency", "输出频率", **_HZ),
    _number("ups.output.voltage.setpoint", _Q.VOLTAGE, "Output voltage set-point", "输出电压设定", **_MAINS_V),
    _number("ups.output.frequency.setpoint", _Q.FREQUENCY, "Output frequency set-point", "输出频率设定", **_HZ),
    _number("ups.output.power", _Q.POWER, "Output active power", "输出有功功率", display=Unit.KILOWATT, decimals=2, **_POS),
    _number("ups.output.apparent_power", _Q.APPARENT_POWER, "Output apparent power", "输出视在功率",
            display=Unit.KILOVOLTAMPERE, decimals=2, **_POS),
    _number("ups.output.power_factor", _Q.COUNT, "Output power factor", "输出功率因数", decimals=2, minimum=-1.0, maximum=1.0),
    _number("ups.output.energy", _Q.ENERGY, "Output energy", "输出电能", display=Unit.KILOWATTHOUR, counter=True, **_POS),
    _number("ups.efficiency", _Q.RATIO, "Efficiency", "效率", **_PCT),
    _number("ups.input.voltage", _Q.VOLTAGE, "Input voltage", "输入电压", **_MAINS_V),
    _number("ups.input.voltage.line", _Q.VOLTAGE, "Input line voltage", "输入线电压", **_MAINS_V),
    _number("ups.input.voltage.minimum", _Q.VOLTAGE, "Lowest input voltage", "输入电压最小值", **_MAINS_V),
    _number("ups.input.voltage.maximum", _Q.VOLTAGE, "Highest input voltage", "输入电压最大值", **_MAINS_V),
    _number("ups.input.current", _Q.CURRENT, "Input current", "输入电流", **_AMPS),
    _number("ups.input.frequency", _Q.FREQUENCY, "Input frequency", "输入频率", **_HZ),
    _number("ups.input.power", _Q.POWER, "Input power", "输入功率", display=Unit.KILOWATT, decimals=2, **_POS),
    _number("ups.input.apparent_power", _Q.APPARENT_POWER, "Input apparent power", "输入视在功率",
            display=Unit.KILOVOLTAMPERE, decimals=2, **_POS),
    _number("ups.input.power_factor", _Q.COUNT, "Input power factor", "输入功率因数", decimals=2, minimum=-1.0, maximum=1.0),
    _number("ups.input.line_bads", _Q.COUNT, "Mains failures counted", "市电异常次数", decimals=0, counter=True, **_POS),
    _state("ups.input.state", "Mains state", "市电状态", "supply"),
    _state("ups.input.transfer_cause", "Cause of the last transfer", "上次切换原因", "transfer_cause"),
    _number("ups.bypass.voltage", _Q.VOLTAGE, "Bypass voltage", "旁路电压", **_MAINS_V),
    _number("ups.bypass.current", _Q.CURRENT, "Bypass current", "旁路电流", **_AMPS),
    _number("ups.bypass.frequency", _Q.FREQUENCY, "Bypass frequency", "旁路频率", **_HZ),
    _number("ups.bypass.power", _Q.POWER, "Bypass power", "旁路功率", display=Unit.KILOWATT, decimals=2, **_POS),
    _state("ups.bypass.state", "Bypass state", "旁路状态", "supply"),
    _number("ups.temperature", _Q.TEMPERATURE, "UPS internal temperature", "UPS 内部温度", minimum=-40.0, maximum=150.0),
    _number("ups.ambient.temperature", _Q.TEMPERATURE, "UPS ambient temperature", "UPS 环境温度", **_AIR),
    _number("ups.ambient.humidity", _Q.RATIO, "UPS ambient humidity", "UPS 环境湿度", **_RH),
    _number("ups.rated.apparent_power", _Q.APPARENT_POWER, "Rated apparent power", "额定视在功率",
            display=Unit.KILOVOLTAMPERE, **_POS),
    _number("ups.rated.power", _Q.POWER, "Rated power", "额定有功功率", display=Unit.KILOWATT, **_POS),
    # Battery
    _number("ups.battery.charge", _Q.RATIO, "Battery charge", "电池剩余容量", **_PCT),
    _number("ups.battery.runtime", _Q.DURATION, "Battery runtime left", "电池后备时间", display=Unit.MINUTE, decimals=0,
            minimum=0.0, maximum=10_000_000.0),
    _number("ups.battery.time_on", _Q.DURATION, "Time on battery", "电池供电时长", decimals=0, **_POS),
    _number("ups.battery.voltage", _Q.VOLTAGE, "Battery voltage", "电池电压", minimum=-1500.0, maximum=1500.0),
    _number("ups.battery.voltage.nominal", _Q.VOLTAGE, "Nominal battery voltage", "电池额定电压", **_MAINS_V),
    _number("ups.battery.current", _Q.CURRENT, "Battery current", "电池电流", minimum=-10_000.0, maximum=10_000.0),
    _number("ups.battery.temperature", _Q.TEMPERATURE, "Battery temperature", "电池温度", minimum=-40.0, maximum=120.0),
    _number("ups.battery.capacity", _Q.CHARGE, "Battery capacity", "电池额定容量", **_POS),
    _number("ups.battery.capacity.left", _Q.CHARGE, "Battery capacity left", "电池剩余安时", **_POS),
    _number("ups.battery.capacity.used", _Q.CHARGE, "Battery capacity used", "电池已用安时", **_POS),
    _number("ups.battery.health", _Q.RATIO, "Battery health", "电池健康度", decimals=0, minimum=0.0, maximum=150.0),
    _number("ups.battery.voltage.deviation", _Q.VOLTAGE, "Deviation of the battery's mid-point", "电池中点电压偏差", decimals=2,
            minimum=-1000.0, maximum=1000.0),
    _number("ups.battery.test.voltage", _Q.VOLTAGE, "Battery voltage at the last test", "上次自检电池电压", **_MAINS_V),
    _number("ups.battery.test.current", _Q.CURRENT, "Battery current at the last test", "上次自检电池电流", minimum=-10_000.0,
            maximum=10_000.0),
    _number("ups.battery.resistance", _Q.RESISTANCE, "Battery internal resistance", "电池内阻", decimals=4, **_POS),
    _number("ups.battery.packs", _Q.COUNT, "Battery packs", "电池组数", decimals=0, **_UNITS),
    _number("ups.battery.packs.bad", _Q.COUNT, "Bad battery packs", "故障电池组数", decimals=0, **_UNITS),
    _state("ups.battery.state", "Battery state", "电池状态", "battery"),
    _state("ups.battery.charging", "Battery charging", "电池充放电", "charging"),
    _state("ups.battery.replace", "Battery replacement", "电池更换", "replace"),
    _state("ups.battery.test", "Battery self-test", "电池自检", "test"),
    _number("ups.battery.replaced.timestamp", _Q.DURATION, "Battery last replaced", "电池上次更换时间", decimals=0, **_POS),
    _number("ups.battery.replace_due.timestamp", _Q.DURATION, "Battery replacement due", "电池建议更换时间", decimals=0, **_POS),
    # Direct-current power systems: rectifiers, batteries, loads
    _number("dc.voltage", _Q.VOLTAGE, "DC system voltage", "直流系统电压", decimals=2, minimum=-1000.0, maximum=1000.0),
    _number("dc.current", _Q.CURRENT, "DC load current", "直流负载电流", **_AMPS),
    _number("dc.power", _Q.POWER, "DC load power", "直流负载功率", display=Unit.KILOWATT, decimals=2, **_POS),
    _number("dc.load", _Q.RATIO, "DC load", "直流负载率", minimum=0.0, maximum=300.0),
    _number("dc.rated.current", _Q.CURRENT, "Installed current", "直流装机电流", **_AMPS),
    _number("dc.rated.power", _Q.POWER, "Installed power", "直流装机功率", display=Unit.KILOWATT, decimals=2, **_POS),
    _state("dc.state", "DC system", "直流系统状态", "health"),
    _state("dc.mode", "DC control mode", "直流监控方式", "auto_mode"),
    _state("dc.fuse.state", "DC fuse", "直流熔断器", "health"),
    _state("dc.contactor.state", "Disconnect contactor", "下电接触器", "breaker"),
    _number("dc.contactor.voltage", _Q.VOLTAGE, "Disconnect voltage", "下电电压", decimals=2, minimum=0.0, maximum=1000.0),
    _number("rectifier.voltage", _Q.VOLTAGE, "Rectifier output voltage", "整流模块输出电压", decimals=2, minimum=0.0, maximum=1000.0),
    _number("rectifier.voltage.setpoint", _Q.VOLTAGE, "Rectifier voltage set-point", "整流模块电压设定", decimals=2, minimum=0.0, maximum=1000.0),
    _number("rectifier.current", _Q.CURRENT, "Rectifier output current", "整流模块输出电流", **_AMPS),
    _number("rectifier.load", _Q.RATIO, "Rectifier load", "整流模块负载率", minimum=0.0, maximum=300.0),
    _number("rectifier.input.voltage", _Q.VOLTAGE, "Rectifier input voltage", "整流模块输入电压", **_MAINS_V),
    _number("rectifier.input.current", _Q.CURRENT, "Rectifier input current", "整流模块输入电流", **_AMPS),
    _number("rectifier.temperature", _Q.TEMPERATURE, "Rectifier temperature", "整流模块温度", minimum=-40.0, maximum=150.0),
    _number("rectifier.units", _Q.COUNT, "Rectifier modules installed", "已装整流模块数", decimals=0, **_UNITS),
    _number("rectifier.units.active", _Q.COUNT, "Rectifier modules at work", "工作的整流模块数", decimals=0, **_UNITS),
    _state("rectifier.state", "Rectifier module", "整流模块状态", "health"),
    # Precision air conditioners and in-row cooling
    _number("crac.supply_air.temperature", _Q.TEMPERATURE, "Supply air temperature", "送风温度", **_AIR),
    _number("crac.air.temperature_rise", _Q.TEMPERATURE_DIFFERENCE, "Return minus supply air temperature", "回送风温差", minimum=-50.0, maximum=50.0),
    _number("crac.supply_air.humidity", _Q.RATIO, "Supply air humidity", "送风湿度", **_RH),
    _number("crac.return_air.temperature", _Q.TEMPERATURE, "Return air temperature", "回风温度", **_AIR),
    _number("crac.return_air.humidity", _Q.RATIO, "Return air humidity", "回风湿度", **_RH),
    _number("crac.rack_inlet.temperature", _Q.TEMPERATURE, "Rack inlet temperature", "机柜进风温度", **_AIR),
    _number("crac.remote.temperature", _Q.TEMPERATURE, "Remote sensor temperature", "远端传感器温度", **_AIR),
    _number("crac.control.temperature", _Q.TEMPERATURE, "Controlling temperature", "控制温度", **_AIR),
    _number("crac.control.humidity", _Q.RATIO, "Controlling humidity", "控制湿度", **_RH),
    _number("crac.compressor.temperature", _Q.TEMPERATURE, "Compressor temperature", "压缩机温度", minimum=-60.0, maximum=200.0),
    _number("crac.supply_air.setpoint", _Q.TEMPERATURE, "Supply air set-point", "送风温度设定", **_AIR),
    _number("crac.temperature.setpoint", _Q.TEMPERATURE, "Temperature set-point", "温度设定", **_AIR),
    _number("crac.humidity.setpoint", _Q.RATIO, "Humidity set-point", "湿度设定", **_PCT),
    _number("crac.temperature.deadband", _Q.TEMPERATURE_DIFFERENCE, "Temperature dead band", "温度死区", minimum=0.0, maximum=50.0),
    _number("crac.temperature.high_limit", _Q.TEMPERATURE, "High temperature limit", "高温告警设定", **_AIR),
    _number("crac.temperature.low_limit", _Q.TEMPERATURE, "Low temperature limit", "低温告警设定", **_AIR),
    _number("crac.humidity.high_limit", _Q.RATIO, "High humidity limit", "高湿告警设定", **_PCT),
    _number("crac.humidity.low_limit", _Q.RATIO, "Low humidity limit", "低湿告警设定", **_PCT),
    _number("crac.cooling.output", _Q.RATIO, "Cooling output", "制冷输出", minimum=0.0, maximum=200.0),
    _number("crac.cooling.power", _Q.POWER, "Cooling power", "制冷量", display=Unit.KILOWATT, **_POS),
    _number("crac.cooling.demand", _Q.POWER, "Cooling demand", "制冷需求", display=Unit.KILOWATT, **_POS),
    _number("crac.cooling.demand.ratio", _Q.RATIO, "Cooling demand", "制冷需求比", minimum=0.0, maximum=200.0),
    _number("crac.heating.output", _Q.RATIO, "Heating output", "加热输出", minimum=0.0, maximum=200.0),
    _number("crac.humidifying.output", _Q.RATIO, "Humidifying output", "加湿输出", minimum=0.0, maximum=200.0),
    _number("crac.dehumidifying.output", _Q.RATIO, "Dehumidifying output", "除湿输出", minimum=0.0, maximum=200.0),
    _number("crac.free_cooling.output", _Q.RATIO, "Free cooling output", "自然冷却输出", minimum=0.0, maximum=200.0),
    _number("crac.fan.speed", _Q.RATIO, "Fan speed", "风机转速", minimum=0.0, maximum=150.0),
    _number("crac.fan.rotation", _Q.ROTATION, "Fan rotation", "风机转数", decimals=0, minimum=0.0, maximum=20_000.0),
    _number("crac.air.flow", _Q.AIRFLOW, "Air flow", "风量", decimals=0, **_POS),
    _number("crac.valve.position", _Q.RATIO, "Water valve position", "水阀开度", **_PCT),
    _number("crac.water.inlet.temperature", _Q.TEMPERATURE, "Entering water temperature", "进水温度", **_WATER),
    _number("crac.water.outlet.temperature", _Q.TEMPERATURE, "Leaving water temperature", "出水温度", **_WATER),
    _number("crac.water.pressure", _Q.PRESSURE, "Water pressure", "水压", display=Unit.BAR, minimum=-100_000.0, maximum=10_000_000.0),
    _number("crac.pump.speed", _Q.RATIO, "Pump speed", "水泵转速", minimum=0.0, maximum=150.0),
    _number("crac.water.flow", _Q.AIRFLOW, "Water flow", "水流量", display=Unit.CUBIC_METRE_PER_HOUR, decimals=2, **_POS),
    _number("crac.refrigerant.suction.pressure", _Q.PRESSURE, "Suction pressure", "吸气压力", display=Unit.BAR,
            minimum=-100_000.0, maximum=10_000_000.0),
    _number("crac.refrigerant.discharge.pressure", _Q.PRESSURE, "Discharge pressure", "排气压力", display=Unit.BAR,
            minimum=-100_000.0, maximum=10_000_000.0),
    _number("crac.refrigerant.condensing.temperature", _Q.TEMPERATURE, "Condensing temperature", "冷凝温度", minimum=-60.0, maximum=150.0),
    _number("crac.refrigerant.suction.temperature", _Q.TEMPERATURE, "Suction temperature", "吸气温度", minimum=-60.0, maximum=150.0),
    _number("crac.refrigerant.superheat", _Q.TEMPERATURE_DIFFERENCE, "Superheat", "过热度", minimum=-50.0, maximum=100.0),
    _number("crac.refrigerant.evaporating.temperature", _Q.TEMPERATURE, "Evaporating temperature", "蒸发温度", minimum=-60.0, maximum=100.0),
    _number("crac.refrigerant.discharge.temperature", _Q.TEMPERATURE, "Discharge temperature", "排气温度", minimum=-60.0, maximum=200.0),
    _number("crac.compressor.speed", _Q.ROTATION, "Compressor speed", "压缩机转速", decimals=0, minimum=0.0, maximum=20_000.0),
    _number("crac.filter.pressure_drop", _Q.PRESSURE, "Filter pressure drop", "过滤网压差", minimum=0.0, maximum=10_000.0),
    _number("crac.containment.pressure", _Q.PRESSURE, "Containment pressure", "通道压差", decimals=2, minimum=-1000.0, maximum=1000.0),
    _number("crac.fan.run_hours", _Q.DURATION, "Fan run hours", "风机运行时间", display=Unit.HOUR, decimals=0, counter=True, **_POS),
    _number("crac.compressor.run_hours", _Q.DURATION, "Compressor run hours", "压缩机运行时间", display=Unit.HOUR, decimals=0,
            counter=True, **_POS),
    _number("crac.humidifier.run_hours", _Q.DURATION, "Humidifier run hours", "加湿器运行时间", display=Unit.HOUR, decimals=0,
            counter=True, **_POS),
    _number("crac.heater.run_hours", _Q.DURATION, "Heater run hours", "加热器运行时间", display=Unit.HOUR, decimals=0,
            counter=True, **_POS),
    _number("crac.filter.run_hours", _Q.DURATION, "Filter run hours", "过滤网使用时间", display=Unit.HOUR, decimals=0,
            counter=True, **_POS),
    _number("crac.pump.run_hours", _Q.DURATION, "Pump run hours", "水泵运行时间", display=Unit.HOUR, decimals=0, counter=True, **_POS),
    _number("crac.compressor.current", _Q.CURRENT, "Compressor current", "压缩机电流", **_AMPS),
    _number("crac.compressor.starts", _Q.COUNT, "Compressor starts", "压缩机启动次数", decimals=0, counter=True, **_POS),
    _number("crac.input.voltage", _Q.VOLTAGE, "Supply voltage", "空调输入电压", **_MAINS_V),
    _number("crac.input.frequency", _Q.FREQUENCY, "Supply frequency", "空调输入频率", **_HZ),
    _number("crac.power", _Q.POWER, "Power consumption", "空调功率", display=Unit.KILOWATT, decimals=2, **_POS),
    _state("crac.state", "Unit state", "空调运行状态", "crac_mode"),
    _state("crac.alarm.state", "Unit alarm", "空调告警", "health"),
    _state("crac.fan.state", "Fan", "风机", "on_off"),
    _state("crac.fan.alarm.state", "Fan alarm", "风机告警", "health"),
    _state("crac.power.source", "Active power source", "空调当前电源", "ats_source"),
    _state("crac.compressor.state", "Compressor", "压缩机", "on_off"),
    _state("crac.compressor.alarm.state", "Compressor alarm", "压缩机告警", "health"),
    _state("crac.cooling.state", "Cooling", "制冷", "on_off"),
    _state("crac.heating.state", "Heating", "加热", "on_off"),
    _state("crac.heater.alarm.state", "Heater alarm", "加热器告警", "health"),
    _state("crac.humidifying.state", "Humidifying", "加湿", "on_off"),
    _state("crac.dehumidifying.state", "Dehumidifying", "除湿", "on_off"),
    _state("crac.free_cooling.state", "Free cooling", "自然冷却", "on_off"),
    _number("crac.unit.run_hours", _Q.DURATION, "Unit run hours", "机组运行时间", display=Unit.HOUR, decimals=0,
            counter=True, **_POS),
    _number("crac.condenser.fan.speed", _Q.RATIO, "Condenser fan speed", "冷凝风机转速", minimum=0.0, maximum=150.0),
    _state("crac.airflow.state", "Air flow alarm", "气流丢失告警", "health"),
    _state("crac.containment.flow.state", "Containment air balance", "通道送风平衡", "health"),
    _state("crac.pump.state", "Pump", "水泵", "on_off"),
    _state("crac.compressor.high_pressure.state", "Compressor high pressure", "压缩机高压告警", "health"),
    _state("crac.compressor.low_pressure.state", "Compressor low pressure", "压缩机低压告警", "health"),
    _state("crac.compressor.short_cycle.state", "Compressor short cycle", "压缩机频繁启动告警", "health"),
    _state("crac.temperature.high.state", "High temperature alarm", "空调高温告警", "health"),
    _state("crac.temperature.low.state", "Low temperature alarm", "空调低温告警", "health"),
    _state("crac.humidity.high.state", "High humidity alarm", "空调高湿告警", "health"),
    _state("crac.humidity.low.state", "Low humidity alarm", "空调低湿告警", "health"),
    _state("crac.water.flow.state", "Water flow alarm", "水流丢失告警", "health"),
    _state("crac.condenser.state", "Condenser", "冷凝器", "health"),
    _state("crac.input.state", "Supply state", "空调供电状态", "supply"),
    _state("crac.filter.state", "Filter", "过滤网", "health"),
    _state("crac.humidifier.state", "Humidifier", "加湿器", "health"),
    _state("crac.leak.state", "Unit water leak", "空调漏水", "leak"),
    # Power distribution
    _number("power.voltage", _Q.VOLTAGE, "Voltage", "电压", **_MAINS_V),
    _number("power.current", _Q.CURRENT, "Current", "电流", **_AMPS),
    _number("power.current.available", _Q.CURRENT, "Current left before alarm", "告警前可用电流", **_AMPS),
    _number("power.current.neutral", _Q.CURRENT, "Neutral current", "中性线电流", **_AMPS),
    _number("power.current.ground", _Q.CURRENT, "Ground current", "接地电流", **_AMPS),
    _number("power.voltage.line", _Q.VOLTAGE, "Line voltage", "线电压", **_MAINS_V),
    _number("power.voltage.distortion", _Q.RATIO, "Voltage harmonic distortion", "电压谐波畸变率", **_PCT),
    _number("power.frequency", _Q.FREQUENCY, "Frequency", "频率", **_HZ),
    _number("power.active", _Q.POWER, "Active power", "有功功率", display=Unit.KILOWATT, decimals=2),
    _number("power.apparent", _Q.APPARENT_POWER, "Apparent power", "视在功率", display=Unit.KILOVOLTAMPERE, decimals=2),
    _number("power.reactive", _Q.REACTIVE_POWER, "Reactive power", "无功功率"),
    _number("power.factor", _Q.COUNT, "Power factor", "功率因数", decimals=2, minimum=-1.0, maximum=1.0),
    _number("power.energy", _Q.ENERGY, "Energy", "电能", display=Unit.KILOWATTHOUR, counter=True, **_POS),
    _number("power.energy.export", _Q.ENERGY, "Energy exported", "反向电能", display=Unit.KILOWATTHOUR, counter=True, **_POS),
    _number("power.balance", _Q.RATIO, "Phase imbalance", "相不平衡度", minimum=0.0, maximum=300.0),
    _number("power.current.distortion", _Q.RATIO, "Current harmonic distortion", "电流谐波畸变率", minimum=0.0, maximum=1000.0),
    _number("power.load", _Q.RATIO, "Load", "负载率", minimum=0.0, maximum=300.0),
    # Distribution states: what the device itself says of its thresholds
    _state("power.line.state", "Line", "线路状态", "health"),
    _state("power.load.state", "Load alarm", "负载告警", "health"),
    _state("power.current.state", "Current alarm", "电流告警", "health"),
    _state("power.voltage.state", "Voltage alarm", "电压告警", "health"),
    _state("power.frequency.state", "Frequency alarm", "频率告警", "health"),
    _state("power.active.state", "Active power alarm", "有功功率告警", "health"),
    _state("power.apparent.state", "Apparent power alarm", "视在功率告警", "health"),
    _state("power.factor.state", "Power factor alarm", "功率因数告警", "health"),
    _state("power.balance.state", "Phase imbalance alarm", "相不平衡告警", "health"),
    _state("power.surge.state", "Surge protector", "浪涌保护器", "health"),
    _state("power.epo.state", "Emergency power off", "紧急断电（EPO）", "health"),
    _state("power.transformer.temperature.state", "Transformer temperature", "变压器温度告警", "health"),
    _state("outlet.state", "Outlet", "插座状态", "on_off"),
    _state("breaker.state", "Breaker", "开关状态", "breaker"),
    _state("ats.source", "Selected source", "ATS 当前电源", "ats_source"),
    _state("ats.redundancy", "Source redundancy", "ATS 冗余状态", "redundancy"),
    _state("ats.source.state", "Source supply", "ATS 输入电源", "supply"),
    _state("ats.switch.state", "Transfer switch", "ATS 切换开关", "health"),
    _state("ats.sync.state", "Sources in phase", "ATS 两路同相", "health"),
    _state("ats.mode", "ATS mode", "ATS 运行模式", "auto_mode"),
    _state("ats.test.state", "Transfer test", "ATS 切换测试", "test"),
    _state("generator.state", "Generator", "发电机状态", "generator"),
    _state("generator.mode", "Generator mode switch", "发电机模式开关", "auto_mode"),
    _state("generator.start.state", "Engine start signal", "发电机启动信号", "on_off"),
    _state("generator.oil.state", "Generator oil level", "发电机油位", "health"),
    _state("generator.coolant.state", "Generator coolant level", "发电机冷却液位", "health"),
    _number("generator.battery.voltage", _Q.VOLTAGE, "Generator battery voltage", "发电机启动电池电压", minimum=0.0, maximum=100.0),
)  # fmt: skip

REGISTER: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def metric(name: str) -> Metric:
    """The register's entry; an `unmapped.<vendor>.<name>` point gets a bare number's. UnknownMetricError otherwise."""
    entry = REGISTER.get(name)
    if entry is not None:
        return entry
    if UNMAPPED.fullmatch(name):
        return Metric(name=name, quantity=Quantity.COUNT, en=name, zh=name, display=Unit.NONE, decimals=2)
    raise UnknownMetricError(name)
