"""The alarms the centre raises about itself and about silence. Their ids are as stable as those of the rule library."""

from collections.abc import Mapping
from dataclasses import dataclass

from facility.severity import Severity


@dataclass(frozen=True, slots=True)
class CentreRule:
    id: str
    severity: Severity
    title_en: str
    title_zh: str


AGENT_LOST = CentreRule("agent-lost", Severity.MAJOR, "agent communication lost", "采集代理通信中断")
NOTIFY_CHANNEL_FAILED = CentreRule(
    "notify-channel-failed", Severity.MINOR, "notification channel failed", "通知渠道发送失败"
)

CENTRE_RULES: Mapping[str, CentreRule] = {rule.id: rule for rule in (AGENT_LOST, NOTIFY_CHANNEL_FAILED)}
