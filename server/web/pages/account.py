"""What people change about themselves."""

from typing import Annotated
from zoneinfo import available_timezones

from fastapi import APIRouter, Form
from fastapi.responses import Response
from pydantic import SecretStr

from server.customers import repository as customers
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.requests import Now, Read, Write
from server.kit.versioned import etag
from server.notify import repository as notify
from server.notify import service as notify_service
from server.notify.recipients import Wanted, wanted_of
from server.people import repository as people
from server.people import service
from server.people.schemas import MeChange
from server.web.filters import choice
from server.web.view import PageRoute, TheView, safe_next

router = APIRouter(route_class=PageRoute)


@router.get("/account")
async def account(view: TheView, session: Read) -> Response:
    user = await people.get_user(session, view.principal.id)
    sites = None
    if not view.scope.unlimited:
        found, _ = await customers.list_sites(
            session, view.scope, PageRequest(limit=MAX_LIMIT), customer=None, active=None
        )
        sites = [site.name for site in found]
    setting = await notify.setting(session, view.principal.id)
    return view.page(
        "account.html",
        user=user,
        sites=sites,
        zones=sorted(available_timezones()),
        wanted=wanted_of(view.principal.roles, setting.wanted if setting else None),
        wanted_choices=list(Wanted),
    )


@router.post("/account")
async def change_account(
    view: TheView,
    session: Write,
    now: Now,
    version: Annotated[int, Form()],
    name: Annotated[str, Form(max_length=200)],
    email: Annotated[str, Form(max_length=200)] = "",
    phone: Annotated[str, Form(max_length=50)] = "",
    language: Annotated[str, Form(max_length=16)] = "en",
    zone: Annotated[str, Form(max_length=64)] = "UTC",
) -> Response:
    body = MeChange(name=name, email=email, phone=phone, language=language, zone=zone)
    await service.change_user(
        session, view.principal, view.principal.id, body, password_hash=None, if_match=etag(version), now=now
    )
    return view.go("/account", done="saved")


@router.post("/account/language")
async def change_language(
    view: TheView,
    session: Write,
    now: Now,
    language: Annotated[str, Form(max_length=16)],
    back: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """The switch on every page; whatever else was changed meanwhile stands."""
    body = MeChange(language=language)
    await service.change_user(
        session, view.principal, view.principal.id, body, password_hash=None, if_match="*", now=now
    )
    return view.go(safe_next(back))


@router.post("/account/notify")
async def change_notify(
    view: TheView,
    session: Write,
    now: Now,
    wanted: Annotated[str, Form(max_length=16)] = "",
    notify_url: Annotated[str, Form(max_length=1000)] = "",
    remove: Annotated[str, Form(max_length=8)] = "",
) -> Response:
    """An empty address leaves the channel as it is: it is never shown, so the form cannot repeat it."""
    level = choice(Wanted, wanted)
    if level is not None:
        await notify_service.set_wanted(session, view.scope, level, now=now)
    address = notify_url.strip()
    if address or remove:
        body = MeChange(notify_url=SecretStr("" if remove else address))
        await service.change_user(
            session, view.principal, view.principal.id, body, password_hash=None, if_match="*", now=now
        )
    return view.go("/account", done="saved")
