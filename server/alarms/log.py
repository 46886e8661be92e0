"""Reading and writing the append-only log of alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from facility.alarms import AlarmEventKind
from facility.clock import to_ms
from facility.ids import new_id
from facility.severity import Severity
from server.alarms.lifecycle import Ack, Revision, began_at
from server.alarms.models import Alarm, AlarmEvent
from server.db.session import WriteSession

SCHEMA_VERSION = 1


class CentreKind(StrEnum):
    """Entries the centre itself makes beside the revisions `raised`, `updated` and `ended`."""

    ACKNOWLEDGED = "acknowledged"
    SUPERSEDED = "superseded"
    RETIRED = "retired"
    STILL_HELD = "still_held"
    MUTED = "muted"
    UNMUTED = "unmuted"


@dataclass(frozen=True, slots=True)
class AckNote:
    """The person and the words of an acknowledgement."""

    at: datetime
    by: str
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class History:
    """What the log says of one occurrence, ready to be folded."""

    revisions: dict[int, Revision]
    acks: list[Ack]
    last_ack: AckNote | None

    @property
    def began_at(self) -> datetime:
        return began_at(self.revisions.values())


def history_of(entries: Sequence[AlarmEvent]) -> History:
    """The entries of one occurrence in the order they were recorded."""
    revisions: dict[int, Revision] = {}
    acks: list[Ack] = []
    last: AckNote | None = None
    for entry in entries:
        body = entry.payload
        if entry.revision is not None:
            revisions[entry.revision] = Revision(
                revision=entry.revision,
                kind=AlarmEventKind(entry.kind),
                level=body["level"],
                severity=Severity(body["severity"]),
                at=entry.at,
                value=body["value"],
                limit=body["limit"],
                reason=body["reason"],
                rule_revision=body["rule_revision"],
                swings=body.get("swings", 0),
            )
        elif entry.kind == CentreKind.ACKNOWLEDGED:
            acks.append(Ack(body["revision"], Severity(body["severity"])))
            last = AckNote(entry.at, entry.actor, body["name"], body["note"])
    return History(revisions, acks, last)


def write_revision(session: WriteSession, row: Alarm, revision: Revision, *, source: str, now: datetime) -> None:
    _write(
        session,
        row,
        at=revision.at,
        now=now,
        actor=row.origin,
        source=source,
        kind=revision.kind.value,
        revision=revision.revision,
        key=str(revision.revision),
        payload={
            "level": revision.level,
            "severity": revision.severity.value,
            "value": revision.value,
            "limit": revision.limit,
            "reason": revision.reason,
            "rule_revision": revision.rule_revision,
            **({"swings": revision.swings} if revision.swings else {}),
        },
    )


def write_centre(
    session: WriteSession,
    row: Alarm,
    kind: CentreKind,
    payload: dict[str, Any],
    *,
    at: datetime,
    actor: str,
    source: str,
    now: datetime,
) -> None:
    """An entry without a revision; each is its own, however alike."""
    _write(
        session,
        row,
        at=at,
        now=now,
        actor=actor,
        source=source,
        kind=kind.value,
        revision=None,
        key=f"{kind.value}/{row.last_seq + 1}",
        payload=payload,
    )


def _write(
    session: WriteSession,
    row: Alarm,
    *,
    at: datetime,
    now: datetime,
    actor: str,
    source: str,
    kind: str,
    revision: int | None,
    key: str,
    payload: dict[str, Any],
) -> None:
    row.last_seq += 1
    session.add(
        AlarmEvent(
            id=new_id(to_ms(now)),
            customer_id=row.customer_id,
            site_id=row.site_id,
            alarm_id=row.id,
            seq=row.last_seq,
            revision=revision,
            at=at,
            recorded_at=now,
            actor=actor,
            source=source,
            kind=kind,
            schema_version=SCHEMA_VERSION,
            payload=payload,
            idempotency_key=f"{row.id}/{key}",
        )
    )
