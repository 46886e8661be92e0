"""The sender's side of the wire, written from its description with json, zlib and hashlib alone.

It is the independent witness: nothing of `facility.wire` is used to make what the server must understand.
"""

import hashlib
import json
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any


def digest(kind: str, catalog: str, body: bytes) -> str:
    return hashlib.blake2b(f"{kind}\n{catalog}\n".encode() + body, digest_size=16).hexdigest()


def block(
    kind: str,
    items: list[Any],
    *,
    stream: str,
    seq: int,
    catalog: str = "",
    version: int = 1,
    codec: str = "zlib",
    sent_by: str = "",
) -> bytes:
    text = json.dumps(items, separators=(",", ":")).encode()
    body = zlib.compress(text) if codec == "zlib" else text
    header = {
        "v": version,
        "stream": stream,
        "seq": seq,
        "kind": kind,
        "codec": codec,
        "digest": digest(kind, catalog, body),
        "catalog": catalog,
        **({"sent_by": sent_by} if sent_by else {}),
    }
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def topic(site: str, agent: str, kind: str) -> str:
    return f"coldaisle/v1/{site}/{agent}/blocks/{kind}"


def series(
    device: str, metric: str, samples: list[tuple[int, Any]], *, subject: str = "", quality: list[int] | None = None
) -> dict[str, Any]:
    return {
        "device": device,
        "metric": metric,
        "subject": subject,
        "at": [at for at, _ in samples],
        "value": [value for _, value in samples],
        "quality": quality or [],
    }


def catalog(devices: dict[str, list[tuple[str, str]]], *, interval_s: float = 10.0, room: str = "") -> dict[str, Any]:
    """A catalog of devices with (metric, subject) points, each with one rule over room.temperature."""
    return {
        "agent_version": "9.9.9",
        "config_digest": "c0ffee",
        "devices": [
            {
                "id": device,
                "kind": "sensor",
                "name_en": device.title(),
                "name_zh": "传感器",
                "profile": "test/sensor",
                "room": room,
                "interval_s": interval_s,
                "points": [
                    {"metric": metric, "subject": subject, "interval_s": interval_s} for metric, subject in points
                ],
                "rules": ["room-hot"],
            }
            for device, points in devices.items()
        ],
        "rules": [
            {
                "id": "room-hot",
                "revision": "r1",
                "metric": "room.temperature",
                "title_en": "Room hot",
                "title_zh": "机房高温",
                "source": "GB 50174-2017",
                "levels": [{"id": "hi", "side": "high", "severity": "major", "limit": 28.0, "clear": 27.0}],
            }
        ],
    }


@dataclass
class Sender:
    """One opening of an agent's journal: a stream, and blocks numbered within it."""

    site: str
    agent: str
    stream: str = field(default_factory=lambda: str(uuid.uuid4()))
    seq: int = 0

    def next(self, kind: str, items: list[Any], *, catalog: str = "", **changes: Any) -> tuple[str, bytes, int]:
        """(topic, payload, sequence number) of the next block."""
        self.seq += 1
        payload = block(kind, items, stream=self.stream, seq=self.seq, catalog=catalog, **changes)
        return topic(self.site, self.agent, kind), payload, self.seq
