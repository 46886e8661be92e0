"""The alarms the centre raises about itself and about silence. Their ids are as stable as those of the rule library."""

from collections.abc import Mapping
from dataclasses import dataclass

from facility.severity import Severity
from rules.parts import Flap


@dataclass(frozen=True, slots=True)
class CentreRule:
    id: str
    severity: Severity
    title_en: str
    title_zh: str


@dataclass(frozen=True, slots=True)
class FlappingRule(CentreRule):
    """Of something that may come and go by itself, and stands once it does so too often."""

    flap: Flap


# Silence is told after three minutes: three times within an hour is one bad link, not three losses.
AGENT_LOST = FlappingRule(
    "agent-lost",
    Severity.MAJOR,
    "agent communication lost",
    "采集代理通信中断",
    Flap.model_validate({"changes": 3, "within": "1h", "hold": "30m"}),
)
BLOCK_QUARANTINED = CentreRule(
    "block-quarantined", Severity.MINOR, "data refused and kept in quarantine", "数据被拒收并隔离"
)
READINGS_DROPPED = CentreRule("readings-dropped", Severity.MINOR, "readings lost at the agent", "采集代理丢失数据")
SITE_DARK = CentreRule(
    "site-dark", Severity.CRITICAL, "site dark: silent while on battery", "站点失联：电池供电后无信号"
)
NOTIFY_CHANNEL_FAILED = CentreRule(
    "notify-channel-failed", Severity.MINOR, "notification channel failed", "通知渠道发送失败"
)

BROKER_LOST = CentreRule(
    "broker-lost",
    Severity.CRITICAL,
    "broker connection lost: no agent can be heard",
    "与消息代理的连接中断：收不到任何采集代理的数据",
)

CENTRE_RULES: Mapping[str, CentreRule] = {
    rule.id: rule
    for rule in (AGENT_LOST, BROKER_LOST, BLOCK_QUARANTINED, READINGS_DROPPED, SITE_DARK, NOTIFY_CHANNEL_FAILED)
}
