"""How a page is answered: language, zone, navigation and form token of the reader, and refusals as pages."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy.orm.exc import StaleDataError

from server.kit.context import Kit
from server.kit.csrf import csrf_token
from server.kit.i18n import match_language
from server.kit.principal import Permission, Principal
from server.kit.problems import Problem, Unauthenticated
from server.kit.requests import Caller, TheKit, UnitRoute, kit_of
from server.kit.scope import Scope
from server.web.assets import asset_url
from server.web.ui import Ui
from server.web.words import N_, PROBLEMS, STATUSES

LANGUAGE_COOKIE = "coldaisle_language"
LOGIN = "/login"
# Pages show what one person may see at one moment: no cache keeps them, so "back" after signing out shows nothing.
_HEADERS = {"Cache-Control": "no-store", "Vary": "Cookie"}


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of the navigation; shown to those who have the permission."""

    key: str
    path: str
    icon: str
    label: str
    permission: Permission


NAVIGATION: Sequence[Item] = (
    Item("overview", "/", "layout-dashboard", N_("Overview"), Permission.FLEET_READ),
    Item("alarms", "/alarms", "bell", N_("Alarms"), Permission.ALARMS_READ),
    Item("tickets", "/tickets", "ticket", N_("Tickets"), Permission.TICKETS_READ),
    Item("maintenance", "/maintenance", "calendar-event", N_("Maintenance"), Permission.MAINTENANCE_READ),
    Item("assets", "/assets", "shield-check", N_("Assets"), Permission.ASSETS_READ),
)

# What a page says after a change was made; the address carries only the key.
NOTICES = {
    "acknowledged": N_("The alarm is acknowledged."),
    "changed": N_("The ticket is changed."),
    "commented": N_("The comment is added."),
    "opened": N_("The ticket is open."),
    "saved": N_("Saved."),
    "finished": N_("The order is finished."),
    "skipped": N_("The order is left out."),
    "agent_retired": N_("The agent is retired."),
}


def language_of(request: Request) -> str:
    """The language of somebody who is not signed in: what they chose, else what their browser prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return match_language(chosen.replace("_", "-") if chosen else request.headers.get("accept-language"))


def safe_next(target: str | None) -> str:
    """Where to go after signing in: a path of ours, whatever was asked for."""
    if not target or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return "/"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or any(ord(character) < 32 for character in target):
        return "/"
    return "/" if parts.path in (LOGIN, "/logout") else target


def render(
    request: Request,
    kit: Kit,
    template: str,
    *,
    principal: Principal | None,
    zone: str | None = None,
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """A page as `principal` reads it; `zone` is the site's where the page is about one site."""
    language = principal.language if principal else language_of(request)
    zone = zone or (principal.zone if principal else "UTC")
    ui = Ui(language=language, zone=zone, now=kit.clock.now(), translations=kit.translations)
    notice = NOTICES.get(request.query_params.get("done", ""))
    text = kit.templates.render(
        template,
        language=language,
        zone=zone,
        ui=ui,
        asset=asset_url,
        principal=principal,
        csrf_token=csrf_token(principal, kit.signer) if principal else "",
        navigation=[item for item in NAVIGATION if principal and principal.may(item.permission)],
        may=Permission,
        notice=notice and ui.gettext(notice),
        here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        **context,
    )
    return HTMLResponse(text, status_code=status, headers=_HEADERS)


class View:
    """Renders for the signed-in caller of this request."""

    def __init__(self, request: Request, kit: Kit, principal: Principal) -> None:
        self.request = request
        self.kit = kit
        self.principal = principal

    @property
    def now(self) -> datetime:
        return self.kit.clock.now()

    @property
    def scope(self) -> Scope:
        return Scope.of(self.principal)

    def gettext(self, message: str) -> str:
        return self.kit.translations.gettext(self.principal.language, message)

    def ui(self, zone: str | None = None) -> Ui:
        """The wording helper for answers that are not templates."""
        return Ui(
            language=self.principal.language,
            zone=zone or self.principal.zone,
            now=self.now,
            translations=self.kit.translations,
        )

    def page(self, template: str, *, zone: str | None = None, status: int = 200, **context: Any) -> HTMLResponse:
        return render(self.request, self.kit, template, principal=self.principal, zone=zone, status=status, **context)

    def go(self, path: str, *, done: str | None = None) -> RedirectResponse:
        """After a change: see the page it changed (303), with a notice."""
        if done is not None:
            path += ("&" if "?" in path else "?") + f"done={done}"
        return RedirectResponse(path, status_code=303, headers=_HEADERS)


def _view(request: Request, kit: TheKit, caller: Caller) -> View:
    return View(request, kit, caller)


TheView = Annotated[View, Depends(_view)]


class PageRoute(UnitRoute):
    """A unit of work whose refusals are pages: who is not signed in goes to sign in and comes back."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await answer(request)
            except Unauthenticated:
                return to_sign_in(request)
            except Problem as problem:
                return refused(request, problem.status, problem.code, problem.detail, problem.headers)
            except (RequestValidationError, ValidationError) as error:
                said = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
                return refused(request, 422, "malformed", said)
            except StaleDataError:
                return refused(request, 412, "stale", "")

        return handle


def to_sign_in(request: Request) -> Response:
    """To the sign-in form and back to this page; a change that was under way comes back to where it was made."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = f"{LOGIN}?next={quote(here if request.method == 'GET' else '/', safe='')}"
    if request.headers.get("hx-request"):
        # A redirect would put the sign-in form into the middle of the page that refreshes itself.
        return Response(status_code=401, headers={"HX-Redirect": LOGIN, **_HEADERS})
    return RedirectResponse(target, status_code=303, headers=_HEADERS)


def refused(
    request: Request, status: int, code: str | None, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """A refusal in the reader's language; the English detail is shown to English readers only."""
    kit = kit_of(request)
    principal: Principal | None = getattr(request.state, "principal", None)
    page = render(
        request,
        kit,
        "error.html",
        principal=principal,
        status=status,
        number=status,
        title=STATUSES.get(status, STATUSES[500]),
        reason=PROBLEMS.get(code or ""),
        detail=detail,
        request_id=getattr(request.state, "request_id", ""),
    )
    page.headers.update(headers or {})
    return page
