"""What alarms and tickets must be after everything has arrived: a plain model, told the same events as the server.

It knows nothing of arrival: an occurrence is its newest revision, a key's ticket is one for all occurrences that were
ever bad enough. The server must come to the same whatever order, repetition and death the events met on their way.
"""

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from server.db.session import async_url

# Mildest first. From the second on an alarm opens a ticket (the centre's default).
SEVERITIES = ("info", "minor", "major", "critical")
END_REASONS = ("recovered", "recovered", "recovered", "rule_changed", "device_retired")


@dataclass
class Occurrence:
    """One alarm as its newest event says."""

    id: str
    revision: int
    severity: int
    worst: int
    end_reason: str | None = None


@dataclass
class AlarmModel:
    """Makes lives of alarms, one key a device, and remembers what they come to."""

    origin: str
    dice: random.Random
    keys: dict[str, list[Occurrence]] = field(default_factory=dict)

    def next_event(self, device: str, at: int) -> dict[str, Any]:
        """The next alarm item of a device: raised, worse or better, or ended."""
        lives = self.keys.setdefault(device, [])
        if not lives or lives[-1].end_reason is not None:
            severity = self.dice.choice((0, 1, 1, 2, 3))
            # Time-ordered as an agent's are: the younger occurrence has the greater id.
            key = str(uuid.UUID(int=(at << 80) | 7 << 76 | 2 << 62 | self.dice.getrandbits(62)))
            lives.append(Occurrence(key, 1, severity, severity))
            return self._item(device, lives[-1], "raised", at, "above_limit")
        life = lives[-1]
        life.revision += 1
        if self.dice.random() < 0.5:
            life.severity = self.dice.randrange(len(SEVERITIES))
            life.worst = max(life.worst, life.severity)
            return self._item(device, life, "updated", at, "escalated")
        life.end_reason = self.dice.choice(END_REASONS)
        return self._item(device, life, "ended", at, life.end_reason)

    def _item(self, device: str, life: Occurrence, kind: str, at: int, reason: str) -> dict[str, Any]:
        event = {
            "occurrence": life.id, "revision": life.revision, "kind": kind, "origin": self.origin, "device": device,
            "rule": "room-hot", "subject": "", "metric": "room.temperature", "level": "hi",
            "severity": SEVERITIES[life.severity], "at": at, "value": 28.5, "limit": 28.0, "reason": reason,
            "rule_revision": "r1",
        }  # fmt: skip
        return {"event": event, "snapshot": None, "at": 0}

    def alarms(self) -> dict[str, tuple[str, int, str, str, bool, str | None]]:
        """Occurrence -> (device, revision, severity, worst severity, active, end reason)."""
        return {
            life.id: (
                device, life.revision, SEVERITIES[life.severity], SEVERITIES[life.worst], life.end_reason is None,
                life.end_reason,
            )
            for device, lives in self.keys.items()
            for life in lives
        }  # fmt: skip

    def tickets(self) -> dict[str, tuple[int, str, frozenset[str]]]:
        """Device -> (how many tickets, severity, occurrences it names). The run is shorter than any hold."""
        found = {}
        for device, lives in self.keys.items():
            bad = [life for life in lives if life.worst >= 1]
            if bad:
                found[device] = (1, SEVERITIES[max(life.worst for life in bad)], frozenset(life.id for life in bad))
        return found


async def kept_alarms(url: str) -> dict[str, tuple[str, int, str, str, bool, str | None]]:
    """What the server's database says of the alarms, in the model's shape; read past the server's code."""
    columns = "id, device, revision, severity, worst_severity, active, end_reason"
    rows = await _rows(url, f"SELECT {columns} FROM alarms WHERE rule = 'room-hot'")
    return {row[0]: (row[1], row[2], row[3], row[4], bool(row[5]), row[6]) for row in rows}


async def kept_tickets(url: str) -> dict[str, tuple[int, str, frozenset[str]]]:
    """The same for tickets."""
    joined = "SELECT t.device, t.id, t.severity, a.alarm_id FROM tickets t JOIN ticket_alarms a ON a.ticket_id = t.id"
    named: dict[str, set[str]] = {}
    numbers: dict[str, set[str]] = {}
    severity: dict[str, str] = {}
    for device, ticket, level, alarm in await _rows(url, f"{joined} WHERE t.rule = 'room-hot'"):
        named.setdefault(device, set()).add(alarm)
        numbers.setdefault(device, set()).add(ticket)
        severity[device] = level
    return {device: (len(numbers[device]), severity[device], frozenset(named[device])) for device in named}


async def _rows(url: str, statement: str) -> list[Any]:
    engine = create_async_engine(async_url(url))
    try:
        async with engine.connect() as link:
            return list((await link.execute(sa.text(statement))).all())
    finally:
        await engine.dispose()
