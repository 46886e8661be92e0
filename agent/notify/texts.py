"""The words of a local message, in Simplified Chinese and English. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from agent.notify.policy import Notice, What
from facility.alarms import EndReason
from facility.clock import from_ms
from facility.severity import LABELS_EN, LABELS_ZH, Severity
from facility.wording import shown

_HEADS: Mapping[What, tuple[str, str]] = {
    What.RAISED: ("alarm", "告警"),
    What.WORSENED: ("alarm got worse", "告警升级"),
    What.FLAPPING: ("alarm keeps coming and going, stands until calm", "反复告警,平稳前保持"),
    What.ENDED: ("alarm ended", "告警结束"),
}
_ENDS: Mapping[str, tuple[str, str]] = {
    EndReason.RECOVERED: ("recovered", "已恢复"),
    EndReason.RULE_REMOVED: ("the rule was removed", "规则已删除"),
    EndReason.RULE_CHANGED: ("the rule was changed", "规则已修改"),
    EndReason.DEVICE_RETIRED: ("the device was retired", "设备已退役"),
}
_FIELDS: Mapping[str, tuple[str, str]] = {
    "site": ("Site", "站点"),
    "device": ("Device", "设备"),
    "subject": ("Part", "部位"),
    "room": ("Room", "机房"),
    "value": ("Value", "当前值"),
    "limit": ("Limit", "阈值"),
    "at": ("Time", "时间"),
    "end": ("Why", "原因"),
}


@dataclass(frozen=True, slots=True)
class Named:
    """What people call the device, its room and the rule, in one language; the ids where nothing better is known."""

    device: str
    rule: str
    room: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a channel is spoken to. cut_since: when the centre last took anything, None when there is no centre."""

    zh: bool
    zone: str
    site: str
    cut_since: datetime | None


def message(notice: Notice, named: Named, manner: Manner) -> tuple[str, str]:
    """Title and body of one notice: one fact a line, what is not known left out."""
    zh = manner.zh
    head, label = _HEADS[notice.what][zh], (LABELS_ZH if zh else LABELS_EN)[notice.severity]
    title = (
        f"【{label}】{head}:{named.device}:{named.rule}" if zh else f"[{label}] {head}: {named.device}: {named.rule}"
    )
    ended = notice.what is What.ENDED
    facts = {
        "site": manner.site,
        "device": notice.device,
        "subject": notice.subject,
        "room": named.room,
        "value": shown(notice.metric, notice.value, zh=zh) if notice.value is not None else "",
        "limit": shown(notice.metric, notice.limit, zh=zh) if notice.limit is not None and not ended else "",
        "at": _local(from_ms(notice.at), manner.zone),
        "end": _ENDS.get(notice.reason, ("", ""))[zh] if ended else "",
    }
    colon = ":" if zh else ": "
    lines = [f"{_FIELDS[name][zh]}{colon}{text}" for name, text in facts.items() if text]
    return title, "\n".join([*lines, *_why_from_here(manner)])


def summary(notices: Sequence[Notice], manner: Manner) -> tuple[str, str]:
    """Title and body of the one message that stands for many: how many of each severity and kind."""
    zh = manner.zh
    total = len(notices)
    title = f"{manner.site}:另有 {total} 条告警消息" if zh else f"{manner.site}: {total} more alarm messages"
    counts = Counter((notice.severity, notice.what) for notice in notices)
    labels, colon = (LABELS_ZH if zh else LABELS_EN), ":" if zh else ": "
    lines = [
        f"{labels[severity]}, {_HEADS[what][zh]}{colon}{counts[severity, what]}"
        for severity in Severity
        for what in What
        if counts[severity, what]
    ]
    return title, "\n".join([*lines, *_why_from_here(manner)])


def _why_from_here(manner: Manner) -> list[str]:
    if manner.cut_since is None:
        return []
    since = _local(manner.cut_since, manner.zone)
    if manner.zh:
        return [f"自 {since} 起与中心失去联系,由现场采集代理直接发送"]
    return [f"Sent by the agent on site: no contact with the centre since {since}"]


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone}"
