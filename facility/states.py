"""State sets: the words a state metric may hold, each with a fixed integer code, a zh/en label and a tone.

Codes are stored in history and exported to Prometheus: a code is never reused and never changes its word.
Code 0 is `unknown` everywhere: the device said something no profile knows (the raw value is kept beside it).
"""

from dataclasses import dataclass
from enum import StrEnum

UNKNOWN = "unknown"


class Tone(StrEnum):
    """How a state looks to a person: it colours a cell, it judges nothing (rules do)."""

    GOOD = "good"
    NEUTRAL = "neutral"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class State:
    code: int
    word: str
    en: str
    zh: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class StateSet:
    """The states of one family, by word and by code."""

    name: str
    states: tuple[State, ...]

    def by_word(self, word: str) -> State:
        """KeyError when the word is not of this set."""
        for state in self.states:
            if state.word == word:
                return state
        raise KeyError(f"{word!r} is no state of {self.name}: {', '.join(self.words)}")

    def by_code(self, code: int) -> State:
        """The state of a stored code; an unknown code reads as `unknown`."""
        for state in self.states:
            if state.code == code:
                return state
        return self.states[0]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(state.word for state in self.states)


_G, _N, _W, _B = Tone.GOOD, Tone.NEUTRAL, Tone.WARNING, Tone.BAD
_Row = tuple[int, str, str, str, Tone]


def _set(name: str, *rows: _Row) -> StateSet:
    return StateSet(name, (State(0, UNKNOWN, "Unknown", "未知", Tone.WARNING), *(State(*row) for row in rows)))


STATES: dict[str, StateSet] = {
    states.name: states
    for states in (
        _set("health", (1, "normal", "Normal", "正常", _G), (2, "warning", "Warning", "预警", _W),
             (3, "alarm", "Alarm", "告警", _B), (4, "critical", "Critical", "严重告警", _B),
             (5, "off", "Off", "关闭", _N), (6, "absent", "Not present", "未安装", _N)),
        _set("on_off", (1, "off", "Off", "关闭", _N), (2, "on", "On", "开启", _G), (3, "standby", "Standby", "待机", _N),
             (4, "fault", "Fault", "故障", _B)),
        _set("output_source", (1, "normal", "Mains (inverter)", "市电逆变", _G), (2, "battery", "Battery", "电池供电", _B),
             (3, "bypass", "Bypass", "旁路供电", _W), (4, "none", "No output", "无输出", _B),
             (5, "booster", "Boost", "升压", _W), (6, "reducer", "Trim", "降压", _W), (7, "other", "Other", "其他", _W),
             (8, "eco", "ECO mode", "ECO 节能", _N), (9, "maintenance_bypass", "Maintenance bypass", "维修旁路", _W),
             (10, "test", "Self-test", "自检", _N), (11, "sleeping", "Sleeping", "休眠", _N),
             (12, "mains", "Mains (inverter or bypass)", "市电（逆变或旁路）", _G)),
        _set("ups_mode", (1, "online", "Online", "在线", _G), (2, "battery", "On battery", "电池", _B),
             (3, "bypass", "Bypass", "旁路", _W), (4, "off", "Off", "关机", _B), (5, "standby", "Standby", "待机", _N),
             (6, "eco", "ECO", "节能", _N), (7, "starting", "Starting", "启动中", _N), (8, "test", "Test", "自检", _N),
             (9, "fault", "Fault", "故障", _B)),
        _set("battery", (1, "normal", "Normal", "正常", _G), (2, "low", "Low", "电量低", _B),
             (3, "depleted", "Depleted", "电量耗尽", _B), (4, "fault", "Fault", "故障", _B),
             (5, "disconnected", "Disconnected", "未连接", _B), (6, "weak", "Weak", "性能下降", _W)),
        _set("charging", (1, "idle", "Idle", "静置", _N), (2, "float", "Float charge", "浮充", _G),
             (3, "boost", "Boost charge", "均充", _N), (4, "charging", "Charging", "充电", _N),
             (5, "discharging", "Discharging", "放电", _B), (6, "hibernating", "Hibernating", "休眠", _N),
             (7, "off", "Charger off", "充电器关闭", _W)),
        _set("replace", (1, "ok", "Not needed", "无需更换", _G), (2, "replace", "Replace", "需要更换", _B)),
        _set("test", (1, "passed", "Passed", "通过", _G), (2, "failed", "Failed", "未通过", _B),
             (3, "running", "Running", "进行中", _N), (4, "none", "Never run", "未进行", _N),
             (5, "aborted", "Aborted", "中止", _W), (6, "warning", "Passed with warning", "有警告", _W),
             (7, "refused", "Refused", "被拒绝", _W)),
        _set("supply", (1, "normal", "Normal", "正常", _G), (2, "abnormal", "Abnormal", "异常", _B),
             (3, "absent", "Absent", "无电", _B)),
        _set("transfer_cause", (1, "none", "No transfer", "未切换", _G), (2, "over_voltage", "Over-voltage", "过压", _W),
             (3, "under_voltage", "Under-voltage", "欠压", _W), (4, "blackout", "Blackout", "停电", _W),
             (5, "sag", "Sag", "电压暂降", _W), (6, "spike", "Spike", "电压尖峰", _W), (7, "test", "Self-test", "自检", _N),
             (8, "rate_of_change", "Fast voltage change", "电压突变", _W), (9, "frequency", "Frequency", "频率异常", _W),
             (10, "voltage", "Voltage out of tolerance", "电压超限", _W)),
        _set("presence", (1, "present", "Present", "有电", _G), (2, "absent", "Absent", "停电", _B)),
        _set("leak", (1, "dry", "Dry", "无漏水", _G), (2, "leak", "Leak", "漏水", _B),
             (3, "cable_break", "Cable break", "感应绳断线", _W), (4, "contamination", "Contamination", "感应绳污染", _W)),
        _set("door", (1, "closed", "Closed", "关闭", _G), (2, "open", "Open", "打开", _W)),
        _set("smoke", (1, "clear", "Clear", "正常", _G), (2, "smoke", "Smoke", "烟雾报警", _B), (3, "fault", "Fault", "探测器故障", _W)),
        _set("motion", (1, "still", "No motion", "无人", _G), (2, "motion", "Motion", "有人", _W)),
        _set("contact", (1, "normal", "Normal", "正常", _G), (2, "alarm", "Alarm", "告警", _B)),
        _set("position", (1, "open", "Open", "断开", _N), (2, "closed", "Closed", "闭合", _N)),
        _set("communication", (1, "ok", "Connected", "通信正常", _G), (2, "lost", "Lost", "通信中断", _B)),
        _set("crac_mode", (1, "off", "Off", "关机", _W), (2, "on", "Running", "运行", _G), (3, "standby", "Standby", "待机", _N),
             (4, "idle", "Idle", "空闲", _N), (5, "maintenance", "Maintenance", "维护", _W), (6, "fault", "Fault", "故障", _B),
             (7, "delay", "Start delay", "启动延时", _N), (8, "shutdown", "Shut down by alarm", "告警停机", _B)),
        _set("breaker", (1, "closed", "Closed", "合闸", _G), (2, "open", "Open", "分闸", _W), (3, "tripped", "Tripped", "跳闸", _B)),
        _set("ats_source", (1, "a", "Source A", "A 路", _G), (2, "b", "Source B", "B 路", _G), (3, "none", "None", "无电源", _B)),
        _set("auto_mode", (1, "automatic", "Automatic", "自动", _G), (2, "manual", "Manual", "手动", _W), (3, "off", "Off", "关闭", _W),
             (4, "fault", "Not automatic by a fault", "异常退出自动", _B)),
        _set("generator", (1, "ready", "Ready", "就绪", _G), (2, "off", "Off", "关闭", _W), (3, "starting", "Starting", "启动中", _N),
             (4, "idle", "Idling", "怠速", _N), (5, "running", "Running", "运行", _W), (6, "stopping", "Stopping", "停机中", _N),
             (7, "emergency_stop", "Emergency stop", "紧急停机", _B), (8, "not_automatic", "Not in automatic", "非自动状态", _W),
             (9, "shutdown", "Shut down by a fault", "故障停机", _B), (10, "lost", "No communication", "通信中断", _B)),
        _set("lock", (1, "locked", "Locked", "锁闭", _G), (2, "unlocked", "Unlocked", "未锁", _W)),
        _set("redundancy", (1, "redundant", "Redundant", "冗余正常", _G), (2, "lost", "Redundancy lost", "冗余丢失", _B)),
        _set("service", (1, "ok", "Not due", "未到期", _G), (2, "due", "Due", "已到期", _W)),
    )
}  # fmt: skip
