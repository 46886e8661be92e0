"""All queries of people. Users belong to the installation, not to a site: who may see them is the endpoint's word."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from server.db.session import ReadSession, WriteSession
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.problems import NotFound
from server.people.models import ApiToken, LoginFailures, LoginSession, User

USERS = Order("users.login", User.login, User.id)
TOKENS = Order("tokens.created", ApiToken.created_at, ApiToken.id, descending=True)


async def get_user(session: ReadSession, user_id: str) -> User:
    row = await session.get(User, user_id)
    if row is None:
        raise NotFound("user", user_id)
    return row


async def user_by_login(session: ReadSession, login: str) -> User | None:
    return await session.scalar(sa.select(User).where(User.login == login.lower()))


async def list_users(session: ReadSession, page: PageRequest) -> tuple[Sequence[User], str | None]:
    return await fetch_page(session, sa.select(User), order=USERS, page=page)


async def active_users(session: ReadSession) -> Sequence[User]:
    """Everybody who may be told something, oldest first."""
    return (await session.scalars(sa.select(User).where(User.active).order_by(User.id))).all()


async def live_session(session: ReadSession, digest: str, now: datetime) -> LoginSession | None:
    query = (
        sa.select(LoginSession)
        .join(LoginSession.user)
        .where(LoginSession.id == digest, LoginSession.expires_at > now, User.active)
        .options(joinedload(LoginSession.user))
    )
    return await session.scalar(query)


async def live_token(session: ReadSession, digest: str, now: datetime) -> ApiToken | None:
    query = (
        sa.select(ApiToken)
        .join(ApiToken.user)
        .where(
            ApiToken.digest == digest,
            ApiToken.revoked_at.is_(None),
            sa.or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now),
            User.active,
        )
        .options(joinedload(ApiToken.user))
    )
    return await session.scalar(query)


async def touch_token(session: WriteSession, token_id: str, now: datetime) -> None:
    await session.execute(sa.update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now))


async def get_token(session: ReadSession, token_id: str, *, owner: str | None) -> ApiToken:
    """A token; with `owner`, only if it is theirs."""
    row = await session.get(ApiToken, token_id)
    if row is None or (owner is not None and row.user_id != owner):
        raise NotFound("token", token_id)
    return row


async def list_tokens(
    session: ReadSession, page: PageRequest, *, owner: str | None
) -> tuple[Sequence[ApiToken], str | None]:
    query = sa.select(ApiToken)
    if owner is not None:
        query = query.where(ApiToken.user_id == owner)
    return await fetch_page(session, query, order=TOKENS, page=page)


async def end_session(session: WriteSession, digest: str) -> None:
    await session.execute(sa.delete(LoginSession).where(LoginSession.id == digest))


async def end_sessions_of(session: WriteSession, user_id: str) -> None:
    await session.execute(sa.delete(LoginSession).where(LoginSession.user_id == user_id))


async def forget_expired(session: WriteSession, *, now: datetime, failures_before: datetime) -> None:
    await session.execute(sa.delete(LoginSession).where(LoginSession.expires_at <= now))
    await session.execute(sa.delete(LoginFailures).where(LoginFailures.last_at < failures_before))


async def get_failures(session: ReadSession, key: str) -> LoginFailures | None:
    return await session.get(LoginFailures, key)


async def forget_failures(session: WriteSession, key: str) -> None:
    await session.execute(sa.delete(LoginFailures).where(LoginFailures.key == key))
