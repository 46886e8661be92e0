"""REST of sign-in, oneself, users and tokens."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from server.kit.csrf import csrf_token
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission, Principal
from server.kit.problems import BadRequest
from server.kit.requests import (
    Caller,
    Now,
    Read,
    SignInRoute,
    TheKit,
    TheUnit,
    UnitRoute,
    Write,
    provide,
    require_unlimited,
)
from server.kit.scope import Scope
from server.kit.versioned import IfMatch, set_etag
from server.people import repository, service
from server.people.auth import COOKIE, principal_of_user
from server.people.models import User
from server.people.passwords import Passwords
from server.people.schemas import (
    Me,
    MeChange,
    SignIn,
    TokenIn,
    TokenMade,
    TokenOut,
    UserChange,
    UserIn,
    UserOut,
)
from server.people.signin import SignInService

router = APIRouter(route_class=UnitRoute, tags=["people"])

sign_in_router = APIRouter(route_class=SignInRoute, tags=["people"])

Manages = Annotated[Scope, require_unlimited(Permission.PEOPLE_MANAGE)]
Hashing = Annotated[Passwords, provide(Passwords)]


def show_user(user: User) -> UserOut:
    return UserOut.model_validate(
        {name: getattr(user, name) for name in UserOut.model_fields if name != "notify_url_set"}
        | {"notify_url_set": user.notify_url is not None}
    )


def show_me(principal: Principal, kit: TheKit) -> Me:
    return Me(
        id=principal.id,
        name=principal.name,
        kind=principal.kind,
        roles=sorted(principal.roles),
        permissions=[permission for permission in Permission if principal.may(permission)],
        customers=None if principal.customers is None else sorted(principal.customers),
        sites=None if principal.sites is None else sorted(principal.sites),
        language=principal.language,
        zone=principal.zone,
        csrf_token=csrf_token(principal, kit.signer),
    )


@sign_in_router.post("/session", status_code=201)
async def sign_in(
    body: SignIn,
    request: Request,
    response: Response,
    kit: TheKit,
    signin: Annotated[SignInService, provide(SignInService)],
) -> Me:
    signed = await signin.sign_in(
        login=body.login,
        password=body.password.get_secret_value(),
        address=request.client.host if request.client else "",
        user_agent=request.headers.get("user-agent", ""),
        old=request.cookies.get(COOKIE),
    )
    response.set_cookie(
        COOKIE,
        signed.token,
        max_age=int(kit.config.session_lifetime.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=kit.config.secure_cookies,
        path="/",
    )
    return show_me(principal_of_user(signed.user, session=signed.session), kit)


@router.delete("/session", status_code=204)
async def sign_out(
    response: Response, caller: Caller, signin: Annotated[SignInService, provide(SignInService)]
) -> None:
    if caller.session is None:
        raise BadRequest("a token has no session to end: revoke it instead", code="no_session")
    await signin.sign_out(caller.session)
    response.delete_cookie(COOKIE, path="/")


@router.get("/me")
async def get_me(caller: Caller, kit: TheKit) -> Me:
    return show_me(caller, kit)


@router.get("/me/profile")
async def get_profile(caller: Caller, response: Response, session: Read) -> UserOut:
    user = await repository.get_user(session, caller.id)
    set_etag(response, user)
    return show_user(user)


@router.patch("/me/profile")
async def change_profile(
    body: MeChange, caller: Caller, response: Response, session: Write, if_match: IfMatch, now: Now
) -> UserOut:
    user = await service.change_user(session, caller, caller.id, body, password_hash=None, if_match=if_match, now=now)
    set_etag(response, user)
    return show_user(user)


@router.get("/users")
async def list_users(session: Read, scope: Manages, page: Paging) -> Page[UserOut]:
    return page_of(await repository.list_users(session, page), show_user)


@router.post("/users", status_code=201)
async def create_user(
    body: UserIn, response: Response, unit: TheUnit, scope: Manages, passwords: Hashing, now: Now
) -> UserOut:
    password_hash = await passwords.hash(body.password.get_secret_value()) if body.password else None
    session = await unit.write()
    user = await service.create_user(session, scope.principal, body, password_hash=password_hash, now=now)
    set_etag(response, user)
    return show_user(user)


@router.get("/users/{user_id}")
async def get_user(user_id: str, response: Response, session: Read, scope: Manages) -> UserOut:
    user = await repository.get_user(session, user_id)
    set_etag(response, user)
    return show_user(user)


@router.patch("/users/{user_id}")
async def change_user(
    user_id: str,
    body: UserChange,
    response: Response,
    unit: TheUnit,
    scope: Manages,
    passwords: Hashing,
    if_match: IfMatch,
    now: Now,
) -> UserOut:
    password_hash = await passwords.hash(body.password.get_secret_value()) if body.password else None
    session = await unit.write()
    user = await service.change_user(
        session, scope.principal, user_id, body, password_hash=password_hash, if_match=if_match, now=now
    )
    set_etag(response, user)
    return show_user(user)


def _owner(caller: Principal) -> str | None:
    """Everybody sees their own tokens, those who manage people see all."""
    return None if caller.may(Permission.PEOPLE_MANAGE) and Scope.of(caller).unlimited else caller.id


@router.get("/tokens")
async def list_tokens(session: Read, caller: Caller, page: Paging) -> Page[TokenOut]:
    found = await repository.list_tokens(session, page, owner=_owner(caller))
    return page_of(found, TokenOut.model_validate)


@router.post("/tokens", status_code=201)
async def create_token(body: TokenIn, kit: TheKit, caller: Caller, now: Now) -> TokenMade:
    if caller.session is None:
        raise BadRequest("tokens are made by a signed-in person, not by another token", code="token_by_token")
    # Not the request's own session: with an Idempotency-Key that would store the answer, and in it the secret.
    async with kit.db.write() as session:
        owner = await repository.get_user(session, caller.id)
        token, secret = await service.create_token(session, caller, owner, body, now=now)
    return TokenMade(**TokenOut.model_validate(token).model_dump(), token=secret)


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(token_id: str, session: Write, caller: Caller, now: Now) -> None:
    await service.revoke_token(session, caller, token_id, owner=_owner(caller), now=now)
