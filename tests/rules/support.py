"""Short ways to write rules, readings and timelines in these tests. Times are whole seconds from 0."""

from collections.abc import Sequence
from typing import Any

from facility.alarms import AlarmEvent
from facility.reading import PointKey, Quality, QualityReason, Reading
from rules.durations import write_duration
from rules.engine import DeviceFacts, Engine
from rules.model import Rule, RuleSet
from rules.testing import Case, Device, events_of

TEMPERATURE, DOOR, COMMUNICATION = "room.temperature", "door.state", "device.communication"


def rule(**parts: Any) -> Rule:
    """A rule on room.temperature unless said otherwise; `for_` stands for `for`."""
    parts = {key.rstrip("_"): value for key, value in parts.items()}
    content = {"id": "r", "title": {"en": "Test rule", "zh": "测试规则"}, "metric": TEMPERATURE, "source": "a test"}
    return Rule.model_validate(content | parts)


def high(limit: float = 27.0, **parts: Any) -> Rule:
    """A rule with one hi level, minor."""
    return rule(levels={"hi": {"limit": limit, "severity": "minor"}}, **parts)


def brief(event: AlarmEvent) -> str:
    """`1m30s raised hi minor limit_exceeded`."""
    return f"{write_duration(event.at)} {event.kind} {event.level} {event.severity} {event.reason}"


def story(
    rules: Rule | Sequence[Rule], series: dict[str, str] | str, *, step: str = "10s", until: str | None = None,
    device: Device | None = None,
) -> list[str]:  # fmt: skip
    """What a device goes through, event by event."""
    chosen = (rules,) if isinstance(rules, Rule) else tuple(rules)
    named = {chosen[0].metric: series} if isinstance(series, str) else series
    content: dict[str, Any] = {"name": "story", "series": named, "step": step, "device": device or Device()}
    if until is not None:
        content["until"] = until
    return [brief(event) for event in events_of(RuleSet(chosen), Case.model_validate(content))]


def facts(*metrics: str, device: str = "d1", **parts: Any) -> DeviceFacts:
    return DeviceFacts(
        id=device,
        kind="sensor",
        points=tuple(PointKey(device, metric) for metric in metrics or (TEMPERATURE,)),
        **parts,
    )


def born_at(at_ms: int) -> str:
    """The id of what began in that millisecond: the same each time, and one that an engine takes up again."""
    time = f"{at_ms:012x}"
    return f"{time[:8]}-{time[8:]}-7000-8000-000000000000"


def engine(rules: Rule | Sequence[Rule], *devices: DeviceFacts, started: float = 0, origin: str = "agent-1") -> Engine:
    """An engine whose occurrence ids are the millisecond they began in."""
    chosen = (rules,) if isinstance(rules, Rule) else tuple(rules)
    return Engine(RuleSet(chosen), devices or (facts(),), origin=origin, new_id=born_at, started_ms=int(started * 1000))


def good(at: float, value: float | str, metric: str = TEMPERATURE, *, device: str = "d1", subject: str = "") -> Reading:
    return Reading(device, metric, subject, value, int(at * 1000))


def bad(at: float, metric: str = TEMPERATURE, *, quality: Quality = Quality.BAD, value: float | None = None) -> Reading:
    return Reading("d1", metric, "", value, int(at * 1000), quality=quality, reason=QualityReason.TIMEOUT)
