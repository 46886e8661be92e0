"""What the centre itself changed of an alarm, for people who read its log."""

from datetime import datetime
from typing import Any

from facility.alarms import CENTRE, EndReason
from server.alarms.log import CentreKind, write_centre
from server.alarms.models import Alarm
from server.alarms.watching import AlarmSnapshot
from server.db.session import WriteSession

# An end that a mark brought and not the agent's own word; another mark may take it back.
MARKED = {EndReason.SUPERSEDED: CentreKind.SUPERSEDED, EndReason.DEVICE_RETIRED: CentreKind.RETIRED}


def log_changes(session: WriteSession, row: Alarm, before: AlarmSnapshot | None, now: datetime) -> None:
    """Note mutes, ends by a mark, and their being taken back. `before` is None for an occurrence that is new here."""
    was_muted = None if before is None else before.muted_because
    if row.muted_because != was_muted:
        kind = CentreKind.MUTED if row.muted_because else CentreKind.UNMUTED
        _note(session, row, kind, {"because": row.muted_because or was_muted}, now)
    marked = None if row.end_reason is None or not _by_mark(row) else MARKED[row.end_reason]
    if marked is not None and (before is None or before.active):
        _note(session, row, marked, {}, now)
    elif before is not None and before.end_reason in MARKED and row.active:
        _note(session, row, CentreKind.STILL_HELD, {}, now)


def _by_mark(row: Alarm) -> bool:
    return row.end_reason is EndReason.SUPERSEDED or (
        row.end_reason is EndReason.DEVICE_RETIRED and row.ended_at == row.retired_at
    )


def _note(session: WriteSession, row: Alarm, kind: CentreKind, payload: dict[str, Any], now: datetime) -> None:
    write_centre(session, row, kind, payload, at=now, actor=CENTRE, source=CENTRE, now=now)
