"""Brings a row of `alarms` in line with its log."""

from server.alarms.lifecycle import AlarmState, Marks, Transition, fold
from server.alarms.log import History
from server.alarms.models import Alarm

_SEEN = (AlarmState.ACKED, AlarmState.NORMAL)


def refold(row: Alarm, history: History) -> Transition:
    """Set every column that follows from the log and the marks; returns why the state is what it is."""
    marks = Marks(row.succeeded_at, row.orphaned_at, row.retired_at, row.seen_at)
    folded = fold(history.revisions.values(), acks=history.acks, marks=marks)
    row.revision = folded.revision
    row.level = folded.level
    row.severity = folded.severity
    row.worst_severity = folded.worst
    row.value = folded.value
    row.limit_value = folded.limit
    row.rule_revision = folded.rule_revision
    row.raised_at = folded.raised_at
    row.updated_at = folded.updated_at
    row.active = folded.active
    row.ended_at = folded.ended_at
    row.end_reason = folded.end_reason
    row.state = folded.state
    # An acknowledgement that ended because it got worse stays in the log alone.
    ack = history.last_ack if folded.state in _SEEN else None
    row.acked_at = ack.at if ack else None
    row.acked_by = ack.by if ack else None
    row.acked_name = ack.name if ack else None
    row.ack_note = ack.note if ack else None
    return folded.why
