"""What people call the device and the rule of an alarm, at the time it came."""

from dataclasses import dataclass

from facility.alarms import CENTRE
from server.alarms.centre_rules import CENTRE_RULES
from server.db.session import ReadSession
from server.fleet import repository as fleet_repository
from server.fleet import service as fleet
from server.kit.scope import Scope


@dataclass(frozen=True, slots=True)
class Names:
    """Texts for people; where nothing better is known they are the ids."""

    device_en: str
    device_zh: str
    rule_en: str
    rule_zh: str
    room: str


async def names_of(
    session: ReadSession, *, site_id: str, agent_id: str | None, origin: str, device: str, rule: str, revision: str
) -> Names:
    """Names from the catalog the agent sent (which is here before its alarms), or from the centre's own rules."""
    scope = Scope.system()
    row = await fleet_repository.find_device(session, scope, site_id, device)
    device_en = device_zh = device
    room = ""
    if row is not None:
        device_en = row.name_en or row.name_zh or device
        device_zh = row.name_zh or row.name_en or device
        room = row.room_row.name if row.room_row is not None else row.room
    if origin == CENTRE:
        own = CENTRE_RULES.get(rule)
        return Names(device_en, device_zh, own.title_en if own else rule, own.title_zh if own else rule, room)
    known = None
    if agent_id is not None:
        known = await fleet.rule(session, scope, agent_id, rule, revision)
        known = known or await fleet.rule(session, scope, agent_id, rule)
    if known is None:
        return Names(device_en, device_zh, rule, rule, room)
    return Names(device_en, device_zh, known.title_en or rule, known.title_zh or known.title_en or rule, room)
