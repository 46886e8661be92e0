"""The words of a message, in Simplified Chinese and English. Pure.

They are here and not in the catalogs of the web pages, because a message is written where no template engine is.
"""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from facility.severity import LABELS_EN, LABELS_ZH, Severity
from facility.wording import shown
from server.notify.handover import Mark
from server.notify.notices import Notice, NoticeKind

ZH = "zh_CN"

_HEADS: Mapping[NoticeKind, tuple[str, str]] = {
    NoticeKind.TICKET_OPENED: ("new ticket", "新工单"),
    NoticeKind.TICKET_WORSENED: ("ticket got worse", "工单升级"),
    NoticeKind.TICKET_REOPENED: ("ticket reopened", "工单重开"),
    NoticeKind.TICKET_ASSIGNED: ("ticket assigned to you", "工单已派给您"),
    NoticeKind.TICKET_AUTO_RESOLVED: ("recovered, ticket resolved", "告警已恢复,工单自动解决"),
    NoticeKind.ALARM_CAME: ("alarm", "告警"),
    NoticeKind.ALARM_WAS_OVER: ("alarm while cut off, over by now", "离线期间的告警,现已恢复"),
    NoticeKind.ROLL_UP: ("more messages", "更多通知"),
}
_FLAPPING = ("keeps coming and going, stands until calm", "反复告警,平稳前保持")
_FIELDS: Mapping[str, tuple[str, str]] = {
    "device": ("Device", "设备"),
    "room": ("Room", "机房"),
    "value": ("Value", "当前值"),
    "limit": ("Limit", "阈值"),
    "since": ("Since", "开始时间"),
    "ticket": ("Ticket", "工单"),
}


def title_of(notice: Notice, language: str) -> str:
    zh = language == ZH
    label = (LABELS_ZH if zh else LABELS_EN)[notice.severity]
    head = (_FLAPPING if notice.flapping else _HEADS[notice.kind])[1 if zh else 0]
    what = notice.title_zh if zh else notice.title_en
    return f"[{label}] {head}: {what}" if not zh else f"【{label}】{head}:{what}"


def body_of(notice: Notice, *, language: str, zone: str, public_url: str | None) -> str:
    """One fact a line; a fact that is not known is left out."""
    facts = {
        "device": notice.device,
        "room": notice.room,
        "value": shown(notice.metric, notice.value, zh=language == ZH) if notice.value is not None else "",
        "limit": shown(notice.metric, notice.limit, zh=language == ZH) if notice.limit is not None else "",
        "since": _local(notice.since, zone) if notice.since is not None else "",
        "ticket": notice.number or "",
    }
    position, colon = (1, ":") if language == ZH else (0, ": ")
    lines = [f"{_FIELDS[name][position]}{colon}{text}" for name, text in facts.items() if text]
    if public_url:
        lines.append(public_url.rstrip("/") + notice.path)
    return "\n".join(lines)


def roll_up(counts: Mapping[Severity, int], *, language: str, public_url: str | None) -> tuple[str, str]:
    """Title and body of the one message that stands for many."""
    zh = language == ZH
    total = sum(counts.values())
    labels = LABELS_ZH if zh else LABELS_EN
    title = f"另有 {total} 条通知" if zh else f"{total} more messages"
    lines = [f"{labels[severity]}: {counts[severity]}" for severity in Severity if counts.get(severity)]
    if public_url:
        lines.append(public_url.rstrip("/") + "/alarms")
    return title, "\n".join(lines)


def told_on_site(mark: Mark, *, language: str, zone: str) -> str:
    """One line: the agent told it already."""
    at = _local(mark.at, zone)
    if language == ZH:
        return f"现场采集代理已于 {at} 通过渠道 {mark.channel} 通知"
    return f"Already told on site at {at} by channel {mark.channel}"


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone}"
