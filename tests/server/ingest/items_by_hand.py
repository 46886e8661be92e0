"""Items of blocks as a sender would write them, about one thermometer at the moment the server's clock stands at."""

from typing import Any

from facility.clock import to_ms
from facility.ids import new_id
from tests.server.conftest import START
from tests.server.ingest.wire_by_hand import series

AT = to_ms(START)
TEMPERATURE = "room.temperature"


def reading(value: Any, at: int = AT, device: str = "th1", metric: str = TEMPERATURE) -> dict[str, Any]:
    return series(device, metric, [(at, value)])


def event(device: str = "th1", occurrence: str | None = None) -> dict[str, Any]:
    return {
        "event": {
            "occurrence": occurrence or new_id(AT),
            "revision": 1,
            "kind": "raised",
            "origin": "edge1",
            "device": device,
            "rule": "room-hot",
            "subject": "",
            "metric": TEMPERATURE,
            "level": "hi",
            "severity": "major",
            "at": AT,
            "value": 30.0,
            "limit": 28.0,
            "reason": "above",
            "rule_revision": "r1",
        }
    }


def health(at: int, **changes: Any) -> dict[str, Any]:
    names = ("unsent_blocks", "unsent_bytes", "oldest_unsent_s", "journal_bytes", "devices", "devices_lost")
    figures = dict.fromkeys((*names, "readings", "missed_slots"), 1)
    return {"at": at, "version": "1.2.3", "config_digest": "abc", "uptime_s": 5.0, **figures, **changes}
