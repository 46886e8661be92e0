"""The server's settings: a YAML file, over it the environment, over that the command line.

Secrets stand in no file: a setting that ends in `_from` names where one is, as `env:NAME` or `file:PATH`. The database
URL alone may hold a password, because that is how databases are addressed; it is never printed with it.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from sqlalchemy.exc import ArgumentError

from facility.config import ConfigErrors, ConfigProblem, Document, parse_yaml, read_yaml, validate
from server.db.session import async_url

ENVIRONMENT_PREFIX = "COLDAISLE_SERVER_"
SECRET_KEY_FILE = "secret.key"


class Role(StrEnum):
    """Which parts of the server this process runs."""

    ALL = "all"
    WEB = "web"
    INGEST = "ingest"
    JOBS = "jobs"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _reference(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind not in ("env", "file") or not name:
        raise ValueError("names where the secret is: env:NAME or file:PATH")
    return text


SecretRef = Annotated[str, AfterValidator(_reference)]


def resolve_secret(reference: str) -> str:
    """The secret behind `env:NAME` or `file:PATH`; raises ValueError that names the reference, never the secret."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name)
        if value is None:
            raise ValueError(f"the environment has no {name} (wanted by {reference})")
        return value
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{name} cannot be read (wanted by {reference}): {error.strerror}") from error


class HttpConfig(_Model):
    """Where pages and API are served. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str | None = Field(default=None, description="what links in messages begin with")
    secure_cookies: bool | None = Field(default=None, description="default: when public_url is https")
    max_body_bytes: int = Field(default=26 * 1024 * 1024, ge=1024)
    trusted_proxies: tuple[str, ...] = Field(default=(), description="addresses whose X-Forwarded-* are believed")


class MqttConfig(_Model):
    """The broker that agents publish to. No `host` means this server takes nothing in over MQTT."""

    host: str | None = None
    port: int = Field(default=1883, ge=1, le=65535)
    username: str | None = None
    password_from: SecretRef | None = None
    tls: bool = False
    ca_file: Path | None = None
    client_id: str = "coldaisle-server"
    shared_group: str | None = Field(default=None, description="the group of several ingest workers")
    auto_enrol: bool = Field(default=False, description="make sites and agents that send and are not known here")


class RetentionConfig(_Model):
    """How long readings are kept, per tier, and events of agents (traps, restarts, clock steps)."""

    raw: timedelta = timedelta(days=90)
    five_minutes: timedelta = timedelta(days=730)
    hours: timedelta = timedelta(days=3650)
    # A year, and the month it takes to compare it with the one before.
    events: timedelta = Field(default=timedelta(days=400), ge=timedelta(days=1))


class AgentLostConfig(_Model):
    """After what silence a lost agent is a major alarm, and a critical one where no agent of its site is heard."""

    major_after: timedelta = Field(default=timedelta(minutes=15), gt=timedelta(0))
    critical_after: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))


class AlarmsConfig(_Model):
    """rules: files and folders of rules laid over the library; those `where: centre` are judged here."""

    rules: tuple[Path, ...] = ()
    agent_lost: AgentLostConfig = AgentLostConfig()


class ServerConfig(_Model):
    """All settings of the centre. Paths are relative to the working directory of the process."""

    version: Literal[1] = 1
    data_dir: Path = Path("data")
    database_url: SecretStr | None = Field(default=None, description="default: sqlite in data_dir/main.db")
    role: Role = Role.ALL
    http: HttpConfig = HttpConfig()
    mqtt: MqttConfig = MqttConfig()
    retention: RetentionConfig = RetentionConfig()
    alarms: AlarmsConfig = AlarmsConfig()
    default_language: Literal["en", "zh_CN"] = "en"
    default_zone: str = "Asia/Shanghai"
    attachment_bytes: int = Field(default=25 * 1024 * 1024, ge=1024, description="largest attachment")
    session_lifetime: timedelta = timedelta(hours=12)

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.database_url is not None:
            try:
                async_url(self.database_url.get_secret_value())
            except ArgumentError as error:
                raise ValueError("database_url is no URL: sqlite:///FILE or postgresql://USER@HOST/NAME") from error
        if self.role is not Role.ALL and self.url.startswith("sqlite"):
            raise ValueError(f"role {self.role.value!r} needs PostgreSQL: SQLite has one writer, in one process")
        return self

    @property
    def url(self) -> str:
        """The main database's URL, with its password: never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'main.db'}"

    @property
    def secure_cookies(self) -> bool:
        if self.http.secure_cookies is not None:
            return self.http.secure_cookies
        return (self.http.public_url or "").startswith("https://")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """COLDAISLE_SERVER_HTTP__PORT=8081 sets http.port."""
    found: dict[str, Any] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        *folders, leaf = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        place = found
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise ConfigErrors([ConfigProblem("environment", 0, name, "clashes with a shorter variable")])
        place[leaf] = value
    return found


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def load_config(
    path: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> ServerConfig:
    """The settings in force. `overrides` are nested as in the file. Raises ConfigErrors with every problem at once."""
    document = read_yaml(path) if path is not None else parse_yaml("version: 1", "settings")
    if not isinstance(document.data, dict):
        return validate(document, ServerConfig)
    if path is not None and "version" not in document.data:
        raise ConfigErrors([document.problem((), "begin the file with `version: 1`")])
    data = _merge(document.data, _from_environment(os.environ if environment is None else environment))
    data = _merge(data, overrides or {})
    return validate(Document(document.file, data, document.lines), ServerConfig)
