"""Making and changing users and tokens. Functions: password hashes are made before, outside the transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from facility.clock import to_ms
from facility.ids import new_id
from server.db.session import WriteSession
from server.kit.audit import audit, difference
from server.kit.principal import Principal, Role
from server.kit.problems import BadRequest, Conflict, Forbidden
from server.kit.secrets import digest, new_token
from server.kit.versioned import check_version
from server.people import repository
from server.people.models import ApiToken, User
from server.people.schemas import MeChange, TokenIn, UserChange, UserIn

# Never in the audit log; that they changed is.
_SECRET = frozenset({"password_hash", "notify_url"})


def _check_limits(roles: list[str], customers: list[str] | None, sites: list[str] | None) -> None:
    if sites is not None and customers is None:
        raise BadRequest("a limit to sites needs the limit to their customers too", code="sites_without_customers")
    if Role.CUSTOMER in roles and customers is None:
        raise BadRequest(
            "role customer needs a limit to customers: it would see everybody's", code="customer_unlimited"
        )


def _for_audit(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "(secret)" if name in _SECRET and value else value for name, value in values.items()}


async def create_user(
    session: WriteSession, actor: Principal, body: UserIn, *, password_hash: str | None, now: datetime
) -> User:
    """A new user. Without a password it can sign in by no form, only its tokens work."""
    roles = [str(role) for role in body.roles]
    _check_limits(roles, body.customers, body.sites)
    if await repository.user_by_login(session, body.login) is not None:
        raise Conflict(f"login {body.login!r} is taken", code="login_taken")
    values: dict[str, Any] = body.model_dump(exclude={"password", "notify_url", "roles"}) | {"roles": roles}
    values["notify_url"] = (body.notify_url.get_secret_value() or None) if body.notify_url else None
    user = User(
        id=new_id(to_ms(now)), password_hash=password_hash, active=True, created_at=now, updated_at=now, **values
    )
    session.add(user)
    await session.flush()
    audit(
        session,
        now=now,
        actor=actor,
        action="people.user.created",
        entity="user",
        entity_id=user.id,
        new=_for_audit(values),
    )
    return user


async def change_user(
    session: WriteSession,
    actor: Principal,
    user_id: str,
    body: UserChange | MeChange,
    *,
    password_hash: str | None,
    if_match: str,
    now: datetime,
) -> User:
    """Change a user. A new password, new rights or being made inactive ends the user's sessions."""
    user = await repository.get_user(session, user_id)
    check_version(user, if_match)
    wanted = body.model_dump(exclude={"password", "notify_url"}, exclude_unset=True, mode="json")
    wanted = {name: value for name, value in wanted.items() if value is not None or name in ("customers", "sites")}
    if body.notify_url is not None:
        wanted["notify_url"] = body.notify_url.get_secret_value() or None
    if password_hash is not None:
        wanted["password_hash"] = password_hash
    merged = {name: wanted.get(name, getattr(user, name)) for name in ("roles", "customers", "sites")}
    _check_limits(**merged)
    old, new = difference({name: getattr(user, name) for name in wanted}, wanted)
    if not new:
        return user
    for name, value in new.items():
        setattr(user, name, value)
    user.updated_at = now
    await session.flush()
    if new.keys() & {"password_hash", "roles", "customers", "sites", "active"}:
        await repository.end_sessions_of(session, user.id)
    audit(
        session,
        now=now,
        actor=actor,
        action="people.user.changed",
        entity="user",
        entity_id=user.id,
        old=_for_audit(old),
        new=_for_audit(new),
    )
    return user


async def create_token(
    session: WriteSession, actor: Principal, owner: User, body: TokenIn, *, now: datetime
) -> tuple[ApiToken, str]:
    """A new token and its secret, which is shown once. It can never do more than its owner."""
    if body.roles is not None and not set(body.roles) <= {Role(role) for role in owner.roles}:
        raise Forbidden("a token cannot have a role that its owner has not", code="role")
    _check_limits([], body.customers if owner.customers is None else owner.customers, body.sites)
    secret = new_token()
    values = body.model_dump(exclude={"days"}, mode="json")
    token = ApiToken(
        id=new_id(to_ms(now)),
        user_id=owner.id,
        digest=digest(secret),
        created_at=now,
        expires_at=None if body.days is None else now + timedelta(days=body.days),
        **values,
    )
    session.add(token)
    await session.flush()
    audit(session, now=now, actor=actor, action="people.token.created", entity="token", entity_id=token.id, new=values)
    return token, secret


async def revoke_token(
    session: WriteSession, actor: Principal, token_id: str, *, owner: str | None, now: datetime
) -> ApiToken:
    """Revoking twice is as good as once."""
    token = await repository.get_token(session, token_id, owner=owner)
    if token.revoked_at is None:
        token.revoked_at = now
        audit(session, now=now, actor=actor, action="people.token.revoked", entity="token", entity_id=token.id)
    return token
