"""What people call the device and the rule of an alarm, at the time it came."""

from collections.abc import Mapping
from dataclasses import dataclass

from facility.alarms import CENTRE
from rules.derived import ROOM, SITE
from server.alarms.centre_rules import CENTRE_RULES
from server.customers import repository as customers
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
    session: ReadSession,
    *,
    site_id: str,
    agent_id: str | None,
    origin: str,
    device: str,
    rule: str,
    subject: str,
    revision: str,
    titles: Mapping[str, tuple[str, str]],
) -> Names:
    """Names from the catalog the agent sent (which is here before its alarms), or of the centre's own rules.

    titles: (English, Chinese) of the rules judged at the centre, by id.
    """
    scope = Scope.system()
    device_en, device_zh, room = await _place(session, site_id, device, subject)
    if origin == CENTRE:
        own = CENTRE_RULES.get(rule)
        title = (own.title_en, own.title_zh) if own is not None else titles.get(rule, (rule, rule))
        return Names(device_en, device_zh, *title, room)
    known = None
    if agent_id is not None:
        known = await fleet.rule(session, scope, agent_id, rule, revision)
        known = known or await fleet.rule(session, scope, agent_id, rule)
    if known is None:
        return Names(device_en, device_zh, rule, rule, room)
    return Names(device_en, device_zh, known.title_en or rule, known.title_zh or known.title_en or rule, room)


async def _place(session: ReadSession, site_id: str, device: str, subject: str) -> tuple[str, str, str]:
    """Names of the device in English and Chinese, and of its room; of a room or the site where one of those stands."""
    scope = Scope.system()
    row = await fleet_repository.find_device(session, scope, site_id, device)
    if row is not None:
        room = row.room_row.name if row.room_row is not None else row.room
        return row.name_en or row.name_zh or device, row.name_zh or row.name_en or device, room
    if subject == ROOM:
        found = await customers.room_by_code(session, scope, site_id, device)
        name = found.name if found is not None else device
        return name, name, name
    if (device, subject) == (SITE, SITE):
        name = (await customers.get_site(session, scope, site_id)).name
        return name, name, ""
    return device, device, ""
