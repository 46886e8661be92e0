"""What the API takes and shows of people. Passwords, tokens and notify URLs only go in."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr

from server.kit.principal import Permission, PrincipalKind, Role
from server.kit.schemas import Body, Language, Name, Shown, Slug, Zone
from server.people.passwords import MAX_LENGTH, MIN_LENGTH

Password = Annotated[SecretStr, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
NotifyUrl = Annotated[SecretStr, Field(max_length=1000)]
Limit = Annotated[list[str] | None, Field(max_length=500, description="ids; null means no limit")]


class SignIn(Body):
    login: str = Field(max_length=63)
    password: SecretStr = Field(max_length=MAX_LENGTH)


class Me(Shown):
    id: str
    name: str
    kind: PrincipalKind
    roles: list[Role]
    permissions: list[Permission]
    customers: list[str] | None
    sites: list[str] | None
    language: str
    zone: str
    csrf_token: str = Field(description="send it as X-CSRF-Token with every change made by cookie; else empty")


class UserIn(Body):
    login: Slug
    name: Name
    password: Password | None = None
    roles: list[Role] = Field(min_length=1)
    customers: Limit = None
    sites: Limit = None
    email: str = Field(default="", max_length=200)
    phone: str = Field(default="", max_length=50)
    language: Language = "en"
    zone: Zone = "Asia/Shanghai"
    notify_url: NotifyUrl | None = None


class UserChange(Body):
    """`customers` and `sites` may be set to null, which lifts the limit; an empty `notify_url` removes it."""

    name: Name | None = None
    password: Password | None = None
    roles: list[Role] | None = Field(default=None, min_length=1)
    customers: Limit = None
    sites: Limit = None
    email: str | None = Field(default=None, max_length=200)
    phone: str | None = Field(default=None, max_length=50)
    language: Language | None = None
    zone: Zone | None = None
    notify_url: NotifyUrl | None = None
    active: bool | None = None


class MeChange(Body):
    """What people change about themselves."""

    name: Name | None = None
    email: str | None = Field(default=None, max_length=200)
    phone: str | None = Field(default=None, max_length=50)
    language: Language | None = None
    zone: Zone | None = None
    notify_url: NotifyUrl | None = None


class UserOut(Shown):
    id: str
    login: str
    name: str
    email: str
    phone: str
    roles: list[Role]
    customers: list[str] | None
    sites: list[str] | None
    language: str
    zone: str
    notify_url_set: bool
    active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class TokenIn(Body):
    """`roles`, `customers` and `sites` narrow what the owner may; null means as the owner."""

    name: str = Field(min_length=1, max_length=100)
    roles: list[Role] | None = Field(default=None, min_length=1)
    customers: Limit = None
    sites: Limit = None
    days: int | None = Field(default=365, ge=1, le=3650, description="days until it expires; null: never")


class TokenOut(Shown):
    id: str
    user_id: str
    name: str
    roles: list[Role] | None
    customers: list[str] | None
    sites: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenMade(TokenOut):
    token: str = Field(description="shown this once, never again")
