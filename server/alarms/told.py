"""What an agent told people by itself while it was cut off, so that the centre does not tell the same people again.

A mark may come before the alarm it is about: blocks arrive in any order.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from facility.clock import from_ms, to_ms
from facility.ids import is_slug, new_id
from facility.items import EARLIEST_MS, Told
from facility.wire import RejectedItem, RejectReason
from server.alarms.incoming import MOST_AHEAD, NO_OCCURRENCE, is_occurrence
from server.alarms.models import Alarm, AlarmTold
from server.db.session import ReadSession, WriteSession

# An agent repeats a mark for at most seven days; nobody is told of an alarm a month old.
KEEP = timedelta(days=30)
# An agent holds at most 500 notices told, of at most 20 channels.
MOST_MARKS = 1000
_TARGET = re.compile(r"[0-9a-f]{32}")


def fault_of(mark: Told, *, now: datetime) -> str | None:
    """Why a mark cannot be taken; None when it can."""
    if not is_occurrence(mark.occurrence):
        return NO_OCCURRENCE
    if not is_slug(mark.channel) or _TARGET.fullmatch(mark.target) is None:
        return "a channel is an id and a target 32 hex digits"
    if not EARLIEST_MS <= mark.at <= to_ms(now + MOST_AHEAD):
        return f"{mark.at} is before 2020 or over {MOST_AHEAD.days} day ahead"
    return None


async def note(
    session: WriteSession,
    marks: Sequence[Told],
    *,
    customer_id: str,
    site_id: str,
    origin: str,
    position: int,
    now: datetime,
) -> list[RejectedItem]:
    """Record marks of an agent, each once; returns those refused, under their item's position."""
    refused: list[RejectedItem] = []
    for i, mark in enumerate(marks):
        fault = fault_of(mark, now=now) if i < MOST_MARKS else f"more than {MOST_MARKS} marks"
        if fault is not None:
            refused.append(RejectedItem(f"[{position}].told[{i}]", RejectReason.BAD_ITEM, fault))
            if i >= MOST_MARKS:
                break
            continue
        query = sa.select(AlarmTold).where(
            AlarmTold.site_id == site_id,
            AlarmTold.origin == origin,
            AlarmTold.occurrence == mark.occurrence,
            AlarmTold.channel == mark.channel,
        )
        row = await session.scalar(query)
        if row is None:
            row = AlarmTold(
                id=new_id(to_ms(now)),
                customer_id=customer_id,
                site_id=site_id,
                origin=origin,
                occurrence=mark.occurrence,
                channel=mark.channel,
                target=mark.target,
                severity=mark.severity,
                at=from_ms(mark.at),
                recorded_at=now,
            )
            session.add(row)
            await session.flush()
        elif mark.severity.worse_than(row.severity):
            row.severity, row.at, row.target = mark.severity, from_ms(mark.at), mark.target
    return refused


async def told_of(session: ReadSession, alarm_id: str) -> Sequence[AlarmTold]:
    """What the agent of an alarm told of it, by channel. A mark of another agent or site counts for nothing."""
    query = sa.select(AlarmTold).join(
        Alarm,
        sa.and_(Alarm.id == AlarmTold.occurrence, Alarm.site_id == AlarmTold.site_id, Alarm.origin == AlarmTold.origin),
    )
    return (await session.scalars(query.where(Alarm.id == alarm_id).order_by(AlarmTold.channel))).all()


async def prune(session: WriteSession, now: datetime) -> None:
    """Job."""
    await session.execute(sa.delete(AlarmTold).where(AlarmTold.recorded_at < now - KEEP))
