"""Alarm events and notices for tests of local notification."""

from typing import Any

from agent.notify.policy import Notice, What
from facility.alarms import AlarmEvent, AlarmEventKind
from facility.ids import new_id
from facility.severity import Severity

AT = 1_800_000_000_000


def event(kind: AlarmEventKind = AlarmEventKind.RAISED, **changes: Any) -> AlarmEvent:
    values: dict[str, Any] = {
        "occurrence": new_id(AT), "revision": 1, "kind": kind, "origin": "edge-1", "device": "ups-1",
        "rule": "ups-on-battery", "subject": "", "metric": "ups.output.source", "level": "state",
        "severity": Severity.MAJOR, "at": AT, "value": "battery", "limit": "battery", "reason": "state_matched",
        "rule_revision": "r1",
    }  # fmt: skip
    return AlarmEvent(**{**values, **changes})


def notice(number: int = 1, **changes: Any) -> Notice:
    values: dict[str, Any] = {
        "id": number, "channel": "oncall", "what": What.RAISED, "occurrence": f"o{number}", "device": "ups-1",
        "rule": "ups-on-battery", "subject": "", "metric": "ups.output.source", "severity": Severity.MAJOR,
        "value": "battery", "limit": "battery", "reason": "state_matched", "at": AT, "noted_at": AT,
    }  # fmt: skip
    return Notice(**{**values, **changes})
