"""From a point's name, as Chinese and English makers write it, to a canonical metric and a subject. Pure.

A guess is made only where a name says it plainly; everything else is kept as `unmapped`. Rows are tried in order, so
the longer wish stands before the shorter; a row counts only for its kinds of device, and only if the unit fits.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from facility.metrics import REGISTER, Metric
from facility.profile import DeviceKind

# kinds "" for all; pattern over the name in lower case without blanks and punctuation; metric
_NAMES: tuple[tuple[str, str, str], ...] = (
    # What is rated is no measurement.
    ("ups", r"电池\w*额定电压|battery\w*nominalvolt", "ups.battery.voltage.nominal"),
    ("ups", r"(电池)?额定容量|batterycapacity", "ups.battery.capacity"),
    ("ups", r"额定\w*视在功率|额定容量|rated\w*(apparent|kva|va)", "ups.rated.apparent_power"),
    ("ups", r"额定\w*功率|rated\w*power", "ups.rated.power"),
    ("", r"额定|标称|rated|nominal", ""),
    # Limits and set-points next: they carry the name of what they limit.
    ("crac", r"(高温|温度(过)?高|温度上限|hightemp).*(设定|设置|阈值|门限|[告报]警值|[告报]警点|上限值|limit|setpoint|threshold)", "crac.temperature.high_limit"),
    ("crac", r"(低温|温度(过)?低|温度下限|lowtemp).*(设定|设置|阈值|门限|[告报]警值|[告报]警点|下限值|limit|setpoint|threshold)", "crac.temperature.low_limit"),
    ("crac", r"(高湿|湿度(过)?高|湿度上限|highhumid).*(设定|设置|阈值|门限|[告报]警值|[告报]警点|上限值|limit|setpoint|threshold)", "crac.humidity.high_limit"),
    ("crac", r"(低湿|湿度(过)?低|湿度下限|lowhumid).*(设定|设置|阈值|门限|[告报]警值|[告报]警点|下限值|limit|setpoint|threshold)", "crac.humidity.low_limit"),
    ("crac", r"送风温度(设定|设置|目标)|supply(air)?temp\w*setpoint", "crac.supply_air.setpoint"),
    ("crac", r"温度(设定|设置|目标)|(设定|设置|目标)温度|temp\w*set(point)?", "crac.temperature.setpoint"),
    ("crac", r"湿度(设定|设置|目标)|(设定|设置|目标)湿度|humid\w*set(point)?", "crac.humidity.setpoint"),
    # Alarms of air conditioners
    ("crac", r"排气\w*(高温|温度过?高)|discharge\w*hightemp", ""),
    ("crac", r"高压(告警|报警|保护|故障|锁定)|(排气|压力)\w*过高|high(head)?pressure", "crac.compressor.high_pressure.state"),
    ("crac", r"低压(告警|报警|保护|故障|锁定)|吸气压力\w*过低|low(suction)?pressure", "crac.compressor.low_pressure.state"),
    ("crac", r"短周期|频繁启动|shortcycl", "crac.compressor.short_cycle.state"),
    ("crac", r"高温(告警|报警)|温度(过|超)?(高|上限)(告警|报警)?|hightemp", "crac.temperature.high.state"),
    ("crac", r"低温(告警|报警)|温度(过|超)?(低|下限)(告警|报警)?|lowtemp", "crac.temperature.low.state"),
    ("crac", r"高湿(告警|报警)|湿度(过|超)?(高|上限)(告警|报警)?|highhumid", "crac.humidity.high.state"),
    ("crac", r"低湿(告警|报警)|湿度(过|超)?(低|下限)(告警|报警)?|lowhumid", "crac.humidity.low.state"),
    ("crac", r"气流(丢失|故障|告警|报警|不足)|风量(丢失|不足)|(loss|lack)ofair|airflow(alarm|loss|fault|fail)", "crac.airflow.state"),
    ("crac", r"水流(丢失|故障|告警|报警|不足)|waterflow(alarm|loss|fault)", "crac.water.flow.state"),
    ("crac", r"过滤网|滤网\w*(告警|报警|堵|脏|更换)|filter(clog|dirty|alarm|change)", "crac.filter.state"),
    ("crac", r"加湿器?\w*(告警|报警|故障)|humidifier(fault|alarm|fail)", "crac.humidifier.state"),
    ("crac", r"冷凝器?\w*(告警|报警|故障)|condenser(fault|alarm)", "crac.condenser.state"),
    ("crac", r"漏水|水浸|溢水|地板水|leak|waterunderfloor", "crac.leak.state"),
    ("crac", r"电源(告警|报警|故障|异常)|缺相|相序|过压|欠压|powersupply(fault|alarm)|phase(loss|sequence)", "crac.input.state"),
    ("crac", r"传感器\w*(告警|报警|故障)|探头\w*(告警|报警|故障)|sensor(fault|fail|alarm)", "sensor.state"),
    # A limit, a correction, an extreme: none of them is the measurement whose name it carries.
    ("", r"设定|设置|阈值|门限|上限|下限|校准|修正|补偿|回差|偏差|死区|limit|setpoint|threshold|offset|deadband|hysteresis|calibrat", ""),
    ("", r"最大|最小|最高|最低|平均|峰值|历史|minimum|maximum|average|peak|highest|lowest|^(min|max)|(min|max)$", ""),
    ("ups crac", r"零地|零线|中性|neutral", ""),
    # Run hours and counters
    ("crac", r"压缩机\w*(运行|工作)?(时间|小时|时长)|compressor\w*(hour|runtime)", "crac.compressor.run_hours"),
    ("crac", r"压缩机\w*(启动|启停)次数|compressor\w*starts", "crac.compressor.starts"),
    ("crac", r"风机\w*(运行|工作)?(时间|小时|时长)|fan\w*(hour|runtime)", "crac.fan.run_hours"),
    ("crac", r"加湿器?\w*(运行|工作)?(时间|小时|时长)|humidifier\w*(hour|runtime)", "crac.humidifier.run_hours"),
    ("crac", r"(加热|电加热)器?\w*(运行|工作)?(时间|小时|时长)|heat\w*(hour|runtime)", "crac.heater.run_hours"),
    ("crac", r"过滤网\w*(运行|使用)?(时间|小时|时长)|filter\w*(hour|runtime)", "crac.filter.run_hours"),
    ("crac", r"(水泵|泵)\w*(运行|工作)?(时间|小时|时长)|pump\w*(hour|runtime)", "crac.pump.run_hours"),
    ("crac", r"(机组|空调|系统|累计)\w*(运行|工作)(时间|小时|时长)|unit\w*(hour|runtime)", "crac.unit.run_hours"),
    # Air
    ("crac", r"(送|出)风口?\w*温度|supply(air)?temp|outletairtemp|dischargeairtemp", "crac.supply_air.temperature"),
    ("crac", r"(送|出)风口?\w*湿度|supply(air)?(rh|humid)", "crac.supply_air.humidity"),
    ("crac", r"(回|进)风口?\w*温度|return(air)?temp", "crac.return_air.temperature"),
    ("crac", r"(回|进)风口?\w*湿度|return(air)?(rh|humid)", "crac.return_air.humidity"),
    ("crac", r"机柜(进风)?温度|冷通道\w*温度|rack(inlet)?temp", "crac.rack_inlet.temperature"),
    ("crac", r"远(端|程)\w*温度|remotetemp", "crac.remote.temperature"),
    ("", r"(室外|户外|outdoor)\w*(温度|temp)", "outdoor.temperature"),
    ("", r"(室外|户外|outdoor)\w*(湿度|humid)", "outdoor.humidity"),
    ("crac", r"控制温度|controltemp", "crac.control.temperature"),
    ("crac", r"控制湿度|controlhumid", "crac.control.humidity"),
    # Refrigerant and water
    ("crac", r"(吸气|蒸发|低压侧?|回气)压力|suctionpress|lowpressvalue", "crac.refrigerant.suction.pressure"),
    ("crac", r"(排气|冷凝|高压侧?)压力|dischargepress|condens\w*press", "crac.refrigerant.discharge.pressure"),
    ("crac", r"冷凝温度|condens\w*temp", "crac.refrigerant.condensing.temperature"),
    ("crac", r"(吸气|回气)温度|suctiontemp", "crac.refrigerant.suction.temperature"),
    ("crac", r"(压缩机|排气)\w*温度|compressortemp|dischargetemp", "crac.compressor.temperature"),
    ("crac", r"(进|入|供)水\w*温度|(inlet|entering|supply)watertemp", "crac.water.inlet.temperature"),
    ("crac", r"(出|回)水\w*温度|(outlet|leaving|return)watertemp", "crac.water.outlet.temperature"),
    ("crac", r"水流量|冷冻水流量|waterflow", "crac.water.flow"),
    ("crac", r"(水阀|冷冻水阀|比例阀|阀门|两通阀|三通阀)\w*开度|valve(position|open)", "crac.valve.position"),
    ("crac", r"过滤网压差|滤网压差|filter\w*(dp|pressuredrop|diff)", "crac.filter.pressure_drop"),
    ("crac", r"(静压|通道压差|静压差)|containment\w*press", "crac.containment.pressure"),
    # Outputs and states
    ("crac", r"(冷凝器?|室外|外)风机\w*(转速|输出|速度|开度)|(condens\w*|outdoor)fan(speed|output)", "crac.condenser.fan.speed"),
    ("crac", r"(风机|送风机|室内风机)\w*(转速|输出|速度|开度|百分比)|fanspeed|fanoutput", "crac.fan.speed"),
    ("crac", r"(风机|送风机)\w*(转数|转速)|fan(rpm|speed)", "crac.fan.rotation"),
    ("crac", r"风量|airflow", "crac.air.flow"),
    ("crac", r"(制冷|冷却)(输出|百分比|开度|能力|需求比)|cooling(output|capacity|demand)", "crac.cooling.output"),
    ("crac", r"制冷量|coolingpower", "crac.cooling.power"),
    ("crac", r"(加热|制热)(输出|百分比|开度)|heating(output|capacity)", "crac.heating.output"),
    ("crac", r"除湿(输出|百分比|开度)|dehumidif\w*output", "crac.dehumidifying.output"),
    ("crac", r"加湿(输出|百分比|开度|量)|humidif\w*output", "crac.humidifying.output"),
    ("crac", r"(自然|免费)冷却(输出|百分比)|freecooling(output|capacity)", "crac.free_cooling.output"),
    ("crac", r"(总|公共|综合|机组|系统)?(告警|报警)(状态|总|汇总)|(公共|综合|总)[告报]警|general(alarm|fault)|commonalarm|summaryalarm", "crac.alarm.state"),
    ("crac", r"压缩机\w*(告警|报警|故障|过载|过热)|compressor\w*(fault|alarm|fail|overload)", "crac.compressor.alarm.state"),
    ("crac", r"风机\w*(告警|报警|故障|过载|过热)|fan\w*(fault|alarm|fail|overload)", "crac.fan.alarm.state"),
    ("crac", r"加热\w*(告警|报警|故障|过载|过热)|heater\w*(fault|alarm|fail|overload)", "crac.heater.alarm.state"),
    ("crac", r"(水泵|泵)\w*(告警|报警|故障|过载|过热)|pump\w*(fault|alarm|fail|overload)", ""),
    ("crac", r"(水泵|冷凝泵)(运行|工作)?(状态|启停|开关)?$|^(condensate)?pump(running)?(status|state|run|on)?$", "crac.pump.state"),
    ("crac", r"过热度|superheat", "crac.refrigerant.superheat"),
    ("crac", r"电能|电度|用电量|累计电量|energy|kwh", "power.energy"),
    ("crac", r"压缩机(运行|工作)?(状态|启停|开关)?$|compressor(running)?(status|state|run|on)?$", "crac.compressor.state"),
    ("crac", r"^(室内|送)?风机(运行|工作)?(状态|启停|开关)?$|^(indoor|supply)?fan(running)?(status|state|run|on)?$", "crac.fan.state"),
    ("crac", r"除湿(运行|工作)?(状态|模式|启停)?$|dehumidif(y|ying|ication)(status|state|on)?$", "crac.dehumidifying.state"),
    ("crac", r"加湿器?(运行|工作)?(状态|模式|启停)?$|^humidif(y|ying|ier|ication)(status|state|on)?$", "crac.humidifying.state"),
    ("crac", r"(加热|电加热|制热)器?(运行|工作)?(状态|模式|启停)?$|heat(er|ing)(status|state|on)?$", "crac.heating.state"),
    ("crac", r"制冷(运行|工作)?(状态|模式|启停)?$|^cooling(status|state|on)?$", "crac.cooling.state"),
    ("crac", r"^(空调|机组)状态$", "crac.state"),
    ("crac", r"(空调|机组|系统|设备|主机)?(运行|工作|开关机|开机|开关)(状态|模式)?$|(unit|system|run|operating)(status|state|mode)$", "crac.state"),
    # Supply of the air conditioner
    ("crac", r"压缩机\w*电流|compressor\w*current", "crac.compressor.current"),
    ("crac", r"^(输入|供电|电源|市电)?(线|相)?电压$|^(input|supply|mains)?(line)?voltage$", "crac.input.voltage"),
    ("crac", r"^(输入|电源|供电|市电|电网)频率$|^频率$|^(input|supply|mains)?frequency$", "crac.input.frequency"),
    ("crac", r"(有功)?功率$|(整机|机组|空调|输入|总)\w*功率|power(consumption)?$", "crac.power"),
    # UPS: battery
    ("ups", r"电池\w*(剩余)?(容量|电量)(百分比)?$|剩余容量|battery\w*(charge|level|soc|capacity)|^soc$|capacityremain", "ups.battery.charge"),
    ("ups", r"(电池)?(后备|剩余|续航|备用|放电剩余)(放电)?时间|backuptime|(battery)?(runtime|timeremain|autonomy)\w*", "ups.battery.runtime"),
    ("ups", r"(电池|蓄电池)\w*电压|battery\w*volt", "ups.battery.voltage"),
    ("ups", r"(电池|蓄电池)组?电流|batterycurrent", "ups.battery.current"),
    ("ups", r"(电池|蓄电池)\w*温度|battery\w*temp", "ups.battery.temperature"),
    ("ups", r"(电池)?内阻|battery\w*resist", "ups.battery.resistance"),
    ("ups", r"电池\w*(自检|测试)(结果|状态)?$|batterytest", "ups.battery.test"),
    ("ups", r"电池\w*(更换|维护)|replacebattery|batteryreplace", "ups.battery.replace"),
    ("ups", r"(充放电|充电|放电)(状态|模式)|battery(mode|charg\w*)(status|state)?$", "ups.battery.charging"),
    ("ups", r"(电池|蓄电池)\w*(状态|低|欠压|告警|故障|断开|未接|接反|异常)|battery(state|status|low|fault|disconnect\w*|alarm)", "ups.battery.state"),
    # UPS: states
    ("ups", r"供电(方式|状态|模式)|输出(方式|状态|来源|模式)|(output|power)(source|mode|supply)", "ups.output.source"),
    ("ups", r"(ups)?(运行|工作)(状态|模式)|(operating|work|ups)mode", "ups.mode"),
    ("ups", r"旁路(状态|异常|告警|故障|超限|不可用)|bypass(state|status|fault|abnormal|unavail\w*|alarm)", "ups.bypass.state"),
    ("ups", r"(市电|主路|输入)(状态|异常|停电|掉电|失电|告警|故障)|(mains|input|utility)(state|status|fail\w*|abnormal|alarm)", "ups.input.state"),
    ("ups", r"过载|过负荷|overload", "ups.overload.state"),
    ("ups", r"整流器?\w*(状态|告警|故障|异常|过温)|rectifier\w*(state|status|fault|alarm)", "ups.rectifier.state"),
    ("ups", r"逆变器?\w*(状态|告警|故障|异常|过温)|inverter\w*(state|status|fault|alarm)", "ups.inverter.state"),
    ("ups", r"充电器\w*(状态|告警|故障|异常)|charger\w*(state|status|fault|alarm)", "ups.charger.state"),
    ("ups", r"风(机|扇)\w*(状态|告警|故障|异常)|fan\w*(state|status|fault|alarm|fail)", "ups.fan.state"),
    ("ups", r"(过温|超温|温度过高|高温)\w*|over(temp|heat)\w*", "ups.temperature.state"),
    ("ups", r"epo|紧急(关机|停机|断电)", "ups.epo.state"),
    ("ups", r"^自检(结果|状态)$|^selftest(result|status|state)?$", "ups.battery.test"),
    ("ups", r"^ups(告警|报警|故障)$|^ups(fault|alarm)$", "ups.state"),
    ("ups", r"(ups)?(总|综合|公共)(告警|报警|故障)|(general|common|summary)(alarm|fault)", "ups.state"),
    # UPS: numbers
    ("ups", r"旁路\w*电压|bypass\w*volt", "ups.bypass.voltage"),
    ("ups", r"旁路\w*电流|bypass\w*current", "ups.bypass.current"),
    ("ups", r"旁路\w*频率|bypass\w*freq", "ups.bypass.frequency"),
    ("ups", r"旁路\w*功率$|bypass\w*power", "ups.bypass.power"),
    ("ups", r"输出\w*线电压|output\w*linevolt", "ups.output.voltage.line"),
    ("ups", r"输出\w*电压|output\w*volt", "ups.output.voltage"),
    ("ups", r"输出\w*电流|output\w*current", "ups.output.current"),
    ("ups", r"输出\w*频率|output\w*freq", "ups.output.frequency"),
    ("ups", r"输出\w*功率因[数素]|output\w*(powerfactor|pf)", "ups.output.power_factor"),
    ("ups", r"输出\w*视在功率|output\w*apparent\w*", "ups.output.apparent_power"),
    ("ups", r"输出\w*(有功)?功率$|output\w*(active)?power$", "ups.output.power"),
    ("ups", r"输出\w*(电能|电量|电度)|output\w*energy", "ups.output.energy"),
    ("ups", r"(输出)?负载(率|百分比)?|(output)?load(percent\w*|ratio|rate)?$", "ups.output.load"),
    ("ups", r"(输入|市电|主路)\w*线电压|(input|mains)\w*linevolt", "ups.input.voltage.line"),
    ("ups", r"(输入|市电|主路)\w*电压|(input|mains|utility)\w*volt", "ups.input.voltage"),
    ("ups", r"(输入|市电|主路)\w*电流|(input|mains)\w*current", "ups.input.current"),
    ("ups", r"(输入|市电|主路)\w*频率|(input|mains|utility)\w*freq", "ups.input.frequency"),
    ("ups", r"(输入|市电|主路)\w*功率因[数素]|(input|mains)\w*(powerfactor|pf)", "ups.input.power_factor"),
    ("ups", r"(输入|市电|主路)\w*视在功率|(input|mains)\w*apparent\w*", "ups.input.apparent_power"),
    ("ups", r"(输入|市电|主路)\w*(有功)?功率$|(input|mains)\w*(active)?power$", "ups.input.power"),
    ("ups", r"效率|efficiency", "ups.efficiency"),
    ("ups", r"(环境|室内)温度|ambienttemp", "ups.ambient.temperature"),
    ("ups", r"(环境|室内)湿度|ambienthumid", "ups.ambient.humidity"),
    ("ups", r"^(机内|机器|内部|ups|散热器|机柜)?温度$|^(internal|ups|inner|heatsink)?temp(erature)?$", "ups.temperature"),
    # Environment, leak detection
    # What is no air: a room's limits would judge it.
    ("environment leak", r"(供|回|进|出|冷冻|冷却)水\w*温度|冷媒|变压器|绕组|电缆|接头|母排|触头|电池|主板|芯片|cpu|water\w*temp|winding|busbar|battery", ""),
    ("leak", r"(感应绳|感应线|线缆|电缆|绳|缆)长度?$|cablelength", "leak.cable.length"),
    ("", r"漏水(位置|定位|距离)|leak(distance|location|position)", "leak.distance"),
    ("", r"漏水|水浸|泄漏|leak", "leak.state"),
    ("", r"烟(感|雾|温)|smoke", "smoke.state"),
    ("", r"门禁|门磁|门状态|柜门|door", "door.state"),
    ("", r"红外|人体|motion", "motion.state"),
    ("", r"干接点|drycontact|digitalinput", "contact.state"),
    ("environment leak", r"露点|dewpoint", "room.dew_point"),
    ("environment leak", r"温度|temp(erature)?", "room.temperature"),
    ("environment leak", r"湿度|humidity|^rh", "room.humidity"),
    ("environment", r"(压差|差压|静压)|differentialpress", "room.pressure.differential"),
    ("environment", r"大气压|气压|barometric", "air.pressure.barometric"),
    ("environment", r"风速|airvelocity", "air.velocity"),
    ("environment", r"二氧化碳|co2", "air.co2"),
    ("environment", r"噪声|噪音|sound|noise", "room.sound_level"),
    # Power distribution
    ("pdu ats meter", r"防雷|浪涌|电涌|surge|\bspd", "power.surge.state"),
    ("pdu ats meter", r"(当前|工作)?(电源|供电)(来源|选择|状态)|(selected|active|current)source", "ats.source"),
    ("pdu meter ats", r"(开关|断路器|空开)(状态|位置)?|breaker", "breaker.state"),
    ("pdu", r"(插座|输出位|outlet)\w*(状态|state|status)", "outlet.state"),
    ("pdu ats meter", r"(零线|中性线|n线)电流|neutralcurrent", "power.current.neutral"),
    ("pdu ats meter", r"(漏|地线|接地|剩余)电流|(ground|residual)current", "power.current.ground"),
    ("pdu ats meter", r"线电压|linevolt", "power.voltage.line"),
    ("pdu ats meter", r"电压(谐波|畸变)|voltage(thd|distort)", "power.voltage.distortion"),
    ("pdu ats meter", r"电压|volt", "power.voltage"),
    ("pdu ats meter", r"电流|current|amp", "power.current"),
    ("pdu ats meter", r"频率|freq", "power.frequency"),
    ("pdu ats meter", r"功率因[数素]|powerfactor|^pf$", "power.factor"),
    ("pdu ats meter", r"视在功率|apparent", "power.apparent"),
    ("pdu ats meter", r"无功功率|reactive", "power.reactive"),
    ("pdu ats meter", r"(反向|输出)\w*(电能|电度)|exportenergy|energyexport", "power.energy.export"),
    ("pdu ats meter", r"电能|电度|用电量|energy|kwh", "power.energy"),
    ("pdu ats meter", r"(有功)?功率|(active)?power", "power.active"),
    ("pdu ats meter", r"负载率?|load", "power.load"),
    ("", r"通(信|讯)(状态|故障|中断|告警)|communication(state|status|fail\w*|fault|lost)", "device.communication"),
)  # fmt: skip
# Names of the air somewhere near a device, as a whole: which air it is depends on the device. An air conditioner for a
# room measures it where it draws it in.
_NEAR = (
    ("crac", r"(室内|机房|房间|环境|室内环境)(空气)?温度值?|(room|indoor|ambient)(air)?temp(erature)?", "crac.return_air.temperature"),
    ("crac", r"(室内|机房|房间|环境|室内环境)(空气)?(相对)?湿度值?|(room|indoor|ambient)(air)?(relative)?(rh|humidity)", "crac.return_air.humidity"),
    ("pdu ats meter", r"(室内|机房|房间|环境|室内环境)(空气)?温度值?|(room|indoor|ambient)(air)?temp(erature)?", "room.temperature"),
    ("pdu ats meter", r"(室内|机房|房间|环境|室内环境)(空气)?(相对)?湿度值?|(room|indoor|ambient)(air)?(relative)?(rh|humidity)", "room.humidity"),
)  # fmt: skip
_ROWS = tuple((frozenset(kinds.split()), re.compile(pattern), metric) for kinds, pattern, metric in _NAMES)
ALARM = re.compile(
    r"告警|报警|故障|异常|过高|过低|过载|过温|超限|欠压|过压|过流|短路|断线|失败|缺相|丢失|保护|锁定|堵塞|脏堵"
    r"|错误|未接|接反|断开|[高低]压$"
    r"|alarm|fault|fail|abnormal|warning|\bover|trip|lost|lockout"
)
_PARTS = (
    (r"压缩机|compressor|\bcomp", "compressor"),
    (r"冷凝风机|condenserfan", "condenser-fan"),
    (r"风机|风扇|\bfan", "fan"),
    (r"加热|heater|heating", "heater"),
    (r"加湿|humidifier", "humidifier"),
    (r"水泵|\bpump", "pump"),
    (r"电池组|电池|battery|\bbatt", "battery"),
    (r"模块|module", "module"),
    (r"支路|分路|回路|branch|circuit", "branch"),
    (r"插座|outlet", "outlet"),
    (r"过滤网|filter", "filter"),
    (r"水阀|阀|valve", "valve"),
    (r"干接点|输入点|drycontact|\bdi", "contact"),
)
_PHASE_PATTERNS = (
    (re.compile(r"([abc])-?([abc])(?= ?(线电压|电压|相间))|(?<![a-z0-9])u([abc])([abc])(?![a-z0-9])|(?<![a-z0-9])l([123]) ?-? ?l([123])(?![0-9])"), "line"),
    (re.compile(r"(?<![a-z])([abcrstuvw]) ?相|相 ?([abcrst])(?![a-z])|(?<![a-z])phase ?([abcrst123])(?![a-z0-9])|(?<![a-z0-9])l([123])(?![0-9a-z])"), "phase"),
    (re.compile(r"(?<![a-z])[uip]([abc])(?![a-z])|(?<=电压|电流|功率) ?([abc])$"), "phase"),
)  # fmt: skip
_LETTER = {
    **dict(zip("abc", "123", strict=True)),
    **dict(zip("rst", "123", strict=True)),
    **dict(zip("uvw", "123", strict=True)),
}
# CO2, PM2.5, RS485: digits that are part of a word
_NUMBERED = re.compile(r"(?:#|(?<![a-z])no ?|第)?(?<![0-9])(?<!co)(?<!pm)(?<!rs)([0-9]{1,3})(?![0-9]) ?(?:#|号|路|组)?")


@dataclass(frozen=True, slots=True)
class Name:
    """A point's name taken apart: core without blanks, phase and number; subject what they say."""

    core: str
    subject: str
    alarm: bool


def normal(name: str) -> str:
    """Lower case, full-width forms made ordinary, no blanks or punctuation."""
    return re.sub(r"[\s_/()\[\]{}:,.。、·'\"#-]+", "", unicodedata.normalize("NFKC", name).lower())


@lru_cache(maxsize=4096)
def take_apart(name: str) -> Name:
    """The name without its phase and number, which become the subject: `2#压缩机运行` is compressor/2."""
    text = unicodedata.normalize("NFKC", name).lower()
    text = re.sub(r"[\s_()\[\]:,.。、·]+", " ", text).strip()
    alarm = ALARM.search(text) is not None
    for pattern, kind in _PHASE_PATTERNS:
        found = pattern.search(text)
        if found is None:
            continue
        letters = [_LETTER.get(group, group) for group in found.groups() if group in _LETTER or group in tuple("123")]
        core = normal(text[: found.start()] + text[found.end() :]) or normal(text)
        if kind == "line" and len(letters) == 2 and letters[0] != letters[1]:
            return Name(core, f"line/L{letters[0]}-L{letters[1]}", alarm)
        if kind == "phase":
            return Name(core, f"phase/L{letters[0]}", alarm)
    found = _NUMBERED.search(text)
    if found is None:
        return Name(normal(text), "", alarm)
    core = normal(text[: found.start()] + text[found.end() :])
    part = next((word for pattern, word in _PARTS if re.search(pattern, core)), "probe")
    return Name(core, f"{part}/{int(found[1])}", alarm)


@lru_cache(maxsize=64)
def _labels(kind: DeviceKind) -> dict[str, Metric]:
    """The register's own names, for the kind: a table that uses them is understood without a guess."""
    prefixes = {
        DeviceKind.UPS: ("ups.", "device."),
        DeviceKind.CRAC: ("crac.", "device."),
        DeviceKind.ENVIRONMENT: ("room.", "air.", "leak.", "smoke.", "door.", "device."),
        DeviceKind.LEAK: ("leak.", "room.", "device."),
    }.get(kind, ("power.", "breaker.", "outlet.", "ats.", "device."))
    found: dict[str, Metric] = {}
    for entry in REGISTER.values():
        if entry.name.startswith(prefixes):
            found.setdefault(normal(entry.zh), entry)
            found.setdefault(normal(entry.en), entry)
    return found


def guesses(name: Name, kind: DeviceKind) -> list[Metric]:
    """Metrics the name may mean, the surest first; the caller takes the first that fits unit and states."""
    found: list[Metric] = []
    own = _labels(kind).get(name.core)
    if own is not None:
        found.append(own)
    for kinds, pattern, metric in _ROWS:
        if (not kinds or kind.value in kinds) and pattern.search(name.core):
            if not metric:
                break  # known for what it is, and the register has no word for it
            if REGISTER[metric] not in found:
                found.append(REGISTER[metric])
    return found


def doubtful(name: Name, kind: DeviceKind) -> Metric | None:
    """What a name means most likely on a device of this kind, where it says it not plainly."""
    for kinds, pattern, metric in _NEAR:
        if kind.value in kinds.split() and re.fullmatch(pattern, name.core):
            return REGISTER[metric]
    return None


_KIND_WORDS = {
    DeviceKind.CRAC: r"回风|送风|压缩机|制冷|加湿|空调|冷凝|crac|compressor|returnair|supplyair|cooling",
    DeviceKind.UPS: r"旁路|逆变|整流|后备|电池|ups|bypass|inverter|battery|rectifier",
    DeviceKind.PDU: r"支路|分路|插座|列头柜|pdu|outlet|branch",
    DeviceKind.METER: r"电能|电度|无功|功率因|meter|energy|reactive",
    DeviceKind.LEAK: r"漏水|水浸|感应绳|leak",
    DeviceKind.ATS: r"\bats\b|静态切换|sts|双电源",
    DeviceKind.ENVIRONMENT: r"温湿度|露点|烟感|门磁|红外|温度|湿度|temperature|humidity",
}


def kind_of(names: list[str]) -> DeviceKind:
    """What most of the names speak of; environment where nothing is sure. The order above breaks ties."""
    texts = [normal(name) for name in names]
    counts = {kind: sum(1 for text in texts if re.search(words, text)) for kind, words in _KIND_WORDS.items()}
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] else DeviceKind.ENVIRONMENT
