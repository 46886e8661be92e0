"""Signing in and out by form."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from server.kit.problems import Problem, TooManyRequests, Unauthenticated
from server.kit.requests import Caller, SignInRoute, TheKit, provide
from server.people.auth import COOKIE
from server.people.passwords import MAX_LENGTH
from server.people.signin import SignInService
from server.web.view import LANGUAGE_COOKIE, LOGIN, PageRoute, language_of, refused, render, safe_next
from server.web.words import N_

_WRONG = N_("The name or the password is wrong.")
_WAIT = N_("Too many wrong attempts. Wait a minute and try again.")
_YEAR = 365 * 86400

SignIn = Annotated[SignInService, provide(SignInService)]


class _SignInPageRoute(SignInRoute, PageRoute):
    """Looks at no session, and refuses with a page."""


router = APIRouter(route_class=PageRoute)
sign_in_router = APIRouter(route_class=_SignInPageRoute)


@sign_in_router.get(LOGIN)
async def sign_in_form(
    request: Request,
    kit: TheKit,
    target: Annotated[str, Query(alias="next", max_length=2000)] = "/",
    language: Annotated[str | None, Query(max_length=16)] = None,
) -> Response:
    if language is not None:
        again = RedirectResponse(f"{LOGIN}?next={quote(safe_next(target), safe='')}", 303)
        again.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR, samesite="lax", secure=kit.config.secure_cookies)
        return again
    return render(request, kit, "login.html", principal=None, next=safe_next(target), login="", error=None)


@sign_in_router.post(LOGIN)
async def sign_in(
    request: Request,
    kit: TheKit,
    service: SignIn,
    login: Annotated[str, Form(max_length=63)],
    password: Annotated[str, Form(max_length=MAX_LENGTH)],
    target: Annotated[str, Form(alias="next", max_length=2000)] = "/",
) -> Response:
    try:
        signed = await service.sign_in(
            login=login,
            password=password,
            address=request.client.host if request.client else "",
            user_agent=request.headers.get("user-agent", ""),
            old=request.cookies.get(COOKIE),
        )
    except (Unauthenticated, TooManyRequests) as problem:
        return _again(request, kit, problem, login=login, target=target)
    answer = RedirectResponse(safe_next(target), status_code=303, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        COOKIE,
        signed.token,
        max_age=int(kit.config.session_lifetime.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=kit.config.secure_cookies,
        path="/",
    )
    return answer


def _again(request: Request, kit: TheKit, problem: Problem, *, login: str, target: str) -> Response:
    message = _WAIT if isinstance(problem, TooManyRequests) else _WRONG
    page = render(
        request,
        kit,
        "login.html",
        principal=None,
        status=problem.status,
        next=safe_next(target),
        login=login,
        error=kit.translations.gettext(language_of(request), message),
    )
    page.headers.update(problem.headers)
    return page


@router.post("/logout")
async def sign_out(request: Request, caller: Caller, service: SignIn) -> Response:
    if caller.session is None:
        return refused(request, 400, "no_session", "a token has no session to end")
    await service.sign_out(caller.session)
    answer = RedirectResponse(LOGIN, status_code=303, headers={"Cache-Control": "no-store"})
    answer.delete_cookie(COOKIE, path="/")
    return answer
