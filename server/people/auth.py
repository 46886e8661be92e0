"""Recognising the caller of a request: a bearer token, or the cookie of a browser session."""

from datetime import datetime, timedelta

from fastapi import Request

from server.kit.context import Kit
from server.kit.principal import Principal, PrincipalKind, Role
from server.kit.problems import Unauthenticated
from server.kit.secrets import digest
from server.people import repository
from server.people.models import ApiToken, User

COOKIE = "coldaisle_session"
# `last_used_at` is for people who look for unused tokens; writing it at every request would make every read a write.
TOUCH_EVERY = timedelta(minutes=5)


def _limit(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _narrower(own: frozenset[str] | None, wanted: frozenset[str] | None) -> frozenset[str] | None:
    if own is None or wanted is None:
        return own if wanted is None else wanted
    return own & wanted


def principal_of_user(user: User, *, session: str | None = None) -> Principal:
    """The user as a principal; `session` is the digest of a browser session."""
    return Principal(
        id=user.id,
        name=user.name,
        kind=PrincipalKind.USER,
        roles=frozenset(Role(role) for role in user.roles),
        customers=_limit(user.customers),
        sites=_limit(user.sites),
        language=user.language,
        zone=user.zone,
        session=session,
    )


def principal_of_token(token: ApiToken) -> Principal:
    """A token acts as its owner, within its own roles and scope."""
    owner = principal_of_user(token.user)
    roles = owner.roles if token.roles is None else owner.roles & {Role(role) for role in token.roles}
    return Principal(
        id=owner.id,
        name=f"{owner.name} ({token.name})",
        kind=PrincipalKind.TOKEN,
        roles=frozenset(roles),
        customers=_narrower(owner.customers, _limit(token.customers)),
        sites=_narrower(owner.sites, _limit(token.sites)),
        language=owner.language,
        zone=owner.zone,
    )


class RequestAuthenticator:
    """Looks at `Authorization` first, then at the cookie. A wrong bearer is an error, a dead cookie is nobody."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def __call__(self, request: Request) -> Principal | None:
        now = self._kit.clock.now()
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("only `Authorization: Bearer TOKEN` is understood", code="bad_scheme")
            return await self._by_token(token.strip(), now)
        cookie = request.cookies.get(COOKIE)
        return None if cookie is None else await self._by_cookie(cookie, now)

    async def _by_token(self, token: str, now: datetime) -> Principal:
        async with self._kit.db.read() as session:
            row = await repository.live_token(session, digest(token), now)
        if row is None:
            raise Unauthenticated(
                "the token is unknown, expired or revoked", code="bad_token", headers={"WWW-Authenticate": "Bearer"}
            )
        if row.last_used_at is None or now - row.last_used_at >= TOUCH_EVERY:
            async with self._kit.db.write() as session:
                await repository.touch_token(session, row.id, now)
        return principal_of_token(row)

    async def _by_cookie(self, cookie: str, now: datetime) -> Principal | None:
        async with self._kit.db.read() as session:
            row = await repository.live_session(session, digest(cookie), now)
        return None if row is None else principal_of_user(row.user, session=row.id)
