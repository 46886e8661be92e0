"""REST of notifications: what was told to whom, and what one wants to be told oneself."""

from typing import Annotated

from fastapi import APIRouter, Query

from server.db.session import ReadSession
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission, Principal
from server.kit.requests import Caller, Now, Read, UnitRoute, Write, require
from server.kit.scope import Scope
from server.notify import repository, service
from server.notify.recipients import NotificationState, wanted_of
from server.notify.schemas import NotificationOut, SettingIn, SettingOut
from server.people import repository as people

router = APIRouter(route_class=UnitRoute, tags=["notifications"])

Seen = Annotated[Scope, require(Permission.NOTIFY_READ)]
Id = Annotated[str | None, Query(max_length=63)]


@router.get("/notifications")
async def list_notifications(
    session: Read,
    scope: Seen,
    page: Paging,
    user: Id = None,
    state: NotificationState | None = None,
    ticket: Id = None,
    site: Id = None,
) -> Page[NotificationOut]:
    found = await repository.list_notifications(session, scope, page, user=user, state=state, ticket=ticket, site=site)
    return page_of(found, NotificationOut.of)


@router.get("/me/notify")
async def get_setting(session: Read, caller: Caller) -> SettingOut:
    return await _shown(session, caller)


@router.put("/me/notify")
async def set_setting(body: SettingIn, session: Write, caller: Caller, now: Now) -> SettingOut:
    await service.set_wanted(session, Scope.of(caller), body.wanted, now=now)
    return await _shown(session, caller)


async def _shown(session: ReadSession, caller: Principal) -> SettingOut:
    row = await repository.setting(session, caller.id)
    own = None if row is None else row.wanted
    user = await people.get_user(session, caller.id)
    return SettingOut(wanted=wanted_of(caller.roles, own), set=own, channel=bool(user.notify_url))
