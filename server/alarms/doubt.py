"""Whether an active alarm is still known, or only the last that was heard of it. Never stored: derived when shown.

No data ends no alarm, and says nothing of it either: whoever looks sees that the value is the last one, and since when.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from facility.alarms import CENTRE
from facility.reading import COMMUNICATION, tells_of_device
from server.alarms import repository
from server.alarms.models import Alarm
from server.db.session import ReadSession
from server.fleet import repository as fleet
from server.fleet.models import Agent, AgentStatus, Device

_LOST = "lost"


def unknown_since(
    alarm: Alarm, *, agent: Agent | None, device: Device | None, lost_parts: Sequence[Alarm] = ()
) -> datetime | None:
    """Since when nothing is heard of what an alarm is about; None while it is, or once it is over.

    lost_parts: alarms that a part of its device is lost. An alarm that says that a device is lost is known as long as
    its agent is heard, one that says so of a part as long as the device is.
    """
    if not alarm.active or alarm.origin == CENTRE or agent is None:
        return None
    if agent.status is not AgentStatus.ONLINE:
        return agent.last_seen_at or agent.status_since
    if tells_of_device(alarm.metric, alarm.subject):
        return None
    if device is not None and device.communication == _LOST:
        return device.communication_at or agent.status_since
    if alarm.metric == COMMUNICATION:
        return None
    return min((part.raised_at for part in lost_parts if _is_of(alarm.subject, part.subject)), default=None)


def _is_of(subject: str, part: str) -> bool:
    """A part without a number is what the device is there for, as the UPS behind its card."""
    return "/" not in part or subject == part or subject.startswith(f"{part}/")


async def unknown_among(session: ReadSession, rows: Sequence[Alarm]) -> dict[str, datetime]:
    """Since when these are unknown, by alarm; what is known is left out. Not scoped: these were found in scope."""
    doubtful = [row for row in rows if row.active and row.agent_id is not None]
    names = {(row.site_id, row.device) for row in doubtful}
    agents = {one.id: one for one in await fleet.agents_of_sites(session, {row.site_id for row in doubtful})}
    devices = await fleet.devices_named(session, names)
    parts = defaultdict(list)
    for part in await repository.lost_parts(session, names):
        parts[part.site_id, part.device].append(part)
    found = {
        row.id: unknown_since(
            row,
            agent=agents.get(row.agent_id or ""),
            device=devices.get((row.site_id, row.device)),
            lost_parts=parts[row.site_id, row.device],
        )
        for row in doubtful
    }
    return {alarm_id: since for alarm_id, since in found.items() if since is not None}
