"""What names mean: the plain ones are understood, and what only looks like a measurement is left alone."""

import pytest

from collectors.pointtable.words import guesses, kind_of, take_apart
from facility.profile import DeviceKind

CRAC = {
    "回风温度": "crac.return_air.temperature",
    "Return Air Temperature": "crac.return_air.temperature",
    "送风温度2": "crac.supply_air.temperature probe/2",
    "压缩机1高压压力": "crac.refrigerant.discharge.pressure compressor/1",
    "2#压缩机排气温度": "crac.compressor.temperature compressor/2",
    "室内风机转速": "crac.fan.speed",
    "室外风机转速": "crac.condenser.fan.speed",
    "冷冻水进水温度": "crac.water.inlet.temperature",
    "压缩机2运行时间": "crac.compressor.run_hours compressor/2",
    "送风温度设定值": "crac.supply_air.setpoint",
    "高温告警设定值": "crac.temperature.high_limit",
    "湿度上限告警值": "crac.humidity.high_limit",
    "滤网堵塞告警": "crac.filter.state",
    "1号压缩机高压锁定": "crac.compressor.high_pressure.state compressor/1",
    "地板溢水": "crac.leak.state",
    "回风温度传感器故障": "sensor.state",
    "机组运行状态": "crac.state",
    "A相电压": "crac.input.voltage phase/L1",
    "AB线电压": "crac.input.voltage line/L1-L2",
    # Named after a measurement, and none:
    "压缩机频率": None,
    "排气高温告警": None,
    "回风温度校准": None,
    "回风温度最高值": None,
    "额定制冷量": None,
    "直流母线电压": None,
    "电子膨胀阀开度": None,
    # Everyday names
    "风机过载": "crac.fan.alarm.state",
    "压缩机1故障": "crac.compressor.alarm.state compressor/1",
    "电加热故障": "crac.heater.alarm.state",
    "吸气过热度": "crac.refrigerant.superheat",
    "供水温度": "crac.water.inlet.temperature",
    "回水温度": "crac.water.outlet.temperature",
    "漏水": "crac.leak.state",
    "过滤网": "crac.filter.state",
    "机组状态": "crac.state",
    "公共报警": "crac.alarm.state",
    "冷凝水泵": "crac.pump.state",
    "累计电量": "power.energy",
}
UPS = {
    "A相输入电压": "ups.input.voltage phase/L1",
    "Input voltage L2": "ups.input.voltage phase/L2",
    "旁路频率": "ups.bypass.frequency",
    "C相负载率": "ups.output.load phase/L3",
    "电池剩余容量": "ups.battery.charge",
    "剩余时间": "ups.battery.runtime",
    "供电方式": "ups.output.source",
    "输出过载": "ups.overload.state",
    "市电异常": "ups.input.state",
    "电池未接": "ups.battery.state",
    "逆变器故障": "ups.inverter.state",
    "额定功率": "ups.rated.power",
    "电池额定电压": "ups.battery.voltage.nominal",
    "温度": "ups.temperature",
    "额定输出电压": None,
    "输入零地电压": None,
    "输出电压上限": None,
    "充电电流": None,
    "IGBT温度": None,
    "模块1故障": None,
    "UPS故障": "ups.state",
    "自检结果": "ups.battery.test",
}
ROOM = {
    "温度1": "room.temperature probe/1",
    "湿度": "room.humidity",
    "CO2浓度": "air.co2",
    "烟感": "smoke.state",
    "漏水位置": "leak.distance",
    "温度上限": None,
    "湿度补偿": None,
    # Temperatures of something else than air: a room's limits would judge them.
    "供水温度": None,
    "冷却水回水温度": None,
    "变压器A相绕组温度": None,
    "电缆接头温度": None,
    "CPU温度": None,
}
PDU = {
    "防雷器状态": "power.surge.state",
    "支路1电流": "power.current branch/1",
    "温度": None,
}
LEAK = {"感应绳长度": "leak.cable.length", "漏水": "leak.state"}
NAMES = [
    *((DeviceKind.CRAC, *each) for each in CRAC.items()),
    *((DeviceKind.UPS, *each) for each in UPS.items()),
    *((DeviceKind.ENVIRONMENT, *each) for each in ROOM.items()),
    *((DeviceKind.PDU, *each) for each in PDU.items()),
    *((DeviceKind.LEAK, *each) for each in LEAK.items()),
]


@pytest.mark.parametrize(("kind", "name", "wanted"), NAMES)
def test_names(kind: DeviceKind, name: str, wanted: str | None) -> None:
    parts = take_apart(name)
    found = guesses(parts, kind)
    assert (f"{found[0].name} {parts.subject}".strip() if found else None) == wanted


def test_what_a_device_is_follows_from_most_of_the_names() -> None:
    assert kind_of(list(CRAC)) is DeviceKind.CRAC
    assert kind_of(list(UPS)) is DeviceKind.UPS
    assert kind_of(["温度", "湿度"]) is DeviceKind.ENVIRONMENT
    assert kind_of(["甲"]) is DeviceKind.ENVIRONMENT
