"""What stands behind a register in words: `0:停机 1:运行`, `Bit0 高压告警; Bit1 低压告警`. Pure."""

import re
import unicodedata

# A label ends where the next entry, a separator or the cell ends.
_KEY = re.compile(
    r"(?:(?<=^)|(?<=[\s,;、/|。(]))(0[xX][0-9A-Fa-f]{1,4}|[0-9]{1,5})"
    r"[ \t]*(?:[:=→]|-(?![0-9])|—+|表示|为|\.(?![0-9]))[ \t]*"
)
_BIT = re.compile(
    r"(?:(?:BIT|Bit|bit|第|位)[ \t]*|(?<![A-Za-z0-9])[BDbd])([0-9]{1,2})[ \t]*[位号]?"
    r"[ \t]*(?:[:=.、→]|-+|—+)?[ \t]*"
)
_END = re.compile(r"[,;、。|\n]|$")
_TRIM = " \t\r\n,;、。|/()[]\"'“”"


def _ready(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def states_in(text: str) -> dict[int, str]:
    """Number to word of an enumeration; empty where there is none. `0x0001` counts as a number."""
    found: dict[int, str] = {}
    shown = _ready(text)
    keys = list(_KEY.finditer(shown))
    for at, key in enumerate(keys):
        stop = keys[at + 1].start() if at + 1 < len(keys) else len(shown)
        label = _label(shown[key.end() : stop])
        if label:
            found.setdefault(int(key[1], 0 if key[1][:2] in ("0x", "0X") else 10), label)
    return found


def bits_in(text: str) -> dict[int, str]:
    """Bit number to what it means, of `Bit0:高温 Bit1:低温`; empty where no bits are listed."""
    found: dict[int, str] = {}
    shown = _ready(text)
    keys = list(_BIT.finditer(shown))
    for at, key in enumerate(keys):
        stop = keys[at + 1].start() if at + 1 < len(keys) else len(shown)
        label = shown[key.end() : stop].strip(_TRIM)
        if label and int(key[1]) <= 15:
            found.setdefault(int(key[1]), label)
    return found


def _label(text: str) -> str:
    end = _END.search(text.lstrip(_TRIM))
    text = text.lstrip(_TRIM)
    return (text[: end.start()] if end else text).strip(_TRIM)


# Word of a state set by what tables say, the surer words first. A set is searched only for words it has.
_SAID: tuple[tuple[str, str], ...] = (
    (r"维修旁路|维护旁路|maintenance ?bypass", "maintenance_bypass"),
    (r"断线|断缆|开路|cable ?(break|fault)|broken", "cable_break"),
    (r"污染|contaminat", "contamination"),
    (r"跳闸|脱扣|trip", "tripped"),
    (r"电池(供电|逆变|放电|模式)|on ?battery|^battery|^电池$", "battery"),
    (r"旁路|bypass", "bypass"),
    (r"eco|节能|经济", "eco"),
    (r"均充|boost|equali[sz]", "boost"),
    (r"浮充|float", "float"),
    (r"休眠|hibernat|睡眠|sleep", "hibernating"),
    (r"休眠|睡眠|sleep", "sleeping"),
    (r"放电|discharg", "discharging"),
    (r"充电|charging", "charging"),
    (r"静置|空闲|idle|resting", "idle"),
    (r"自检|测试|test", "test"),
    (r"启动延时|延时|delay", "delay"),
    (r"启动中|starting", "starting"),
    (r"维护|维修|检修|maintenance", "maintenance"),
    (r"告警停机|故障停机|alarm ?shut", "shutdown"),
    (r"待机|备用|standby|热备", "standby"),
    (r"无(告警|报警|故障|漏水|烟|人)|未(告警|报警|触发|漏水)|正常|恢复|消除|干燥", "@good"),
    (r"no ?(alarm|fault|leak|smoke|motion)|normal|^ok$|good|clear|^dry", "@good"),
    (r"漏水|泄漏|浸水|水浸|leak|wet", "leak"),
    (r"烟|smoke", "smoke"),
    (r"有人|motion", "motion"),
    (r"市电(供电|逆变|正常)|逆变(供电|输出)?|主路|inverter|mains|online|在线|utility", "@mains"),
    (r"严重|紧急|critical", "critical"),
    (r"预警|一般告警|轻微|warning|warn", "warning"),
    (r"故障|fault|fail|异常|abnormal|告警|报警|alarm|动作|触发|active|低压|高压|过载|过温", "@bad"),
    (r"停电|失电|掉电|无电|断电|absent|power ?(off|fail)|缺相", "absent"),
    (r"有电|来电|present", "present"),
    (r"未关|打开|开启|开门|门开|^开$|open", "@open"),
    (r"关门|门关|合闸|闭合|^关$|closed?", "@closed"),
    (r"分闸|断开|分$", "@open"),
    (r"关机|停机|停止|关闭|未运行|未开启|未启动|^停$|stop|^off|not ?running|shut ?down|close", "off"),
    (r"运行|开机|启动|工作|run|^on\b|start|work|开启|打开", "on"),
    (r"无输出|none|no ?output", "none"),
    (r"更换|replace", "replace"),
)  # fmt: skip
_GROUPS = {
    "@good": ("normal", "dry", "clear", "still", "ok", "passed", "closed", "present", "redundant"),
    "@bad": ("alarm", "fault", "abnormal", "leak", "smoke", "lost", "replace", "failed", "open", "motion", "absent"),
    "@mains": ("normal", "online"),
    "@open": ("open", "on"),
    "@closed": ("closed", "off"),
}
_PATTERNS = tuple((re.compile(pattern), word) for pattern, word in _SAID)


def state_word(label: str, allowed: tuple[str, ...]) -> str | None:
    """The state of a set that a label means, None where none of them surely does."""
    text = _ready(label).lower().strip()
    if text in allowed:
        return text
    if text in ("开", "关") and "tripped" in allowed:
        return None  # of a breaker 开 is said for "on" and for "open"
    for pattern, word in _PATTERNS:
        if pattern.search(text):
            for each in _GROUPS.get(word, (word,)):
                if each in allowed:
                    return each
    return None
