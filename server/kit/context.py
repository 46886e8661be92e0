"""What the composition root hands to every domain, and how a domain presents itself to the root."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, Request

from facility.clock import Clock
from server.config import ServerConfig
from server.db.session import Database
from server.kit.attachments import AttachmentStore
from server.kit.i18n import Translations
from server.kit.jobs import Job
from server.kit.metrics import Metrics
from server.kit.outbox import Handler
from server.kit.principal import Principal
from server.kit.secrets import Signer
from server.kit.templates import Templates

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """The foundations, built once. `wake_outbox` is quick and may be called from `after_commit`."""

    config: ServerConfig
    clock: Clock
    db: Database
    metrics: Metrics
    translations: Translations
    templates: Templates
    attachments: AttachmentStore
    signer: Signer
    wake_outbox: Callable[[], None]

    @property
    def data_dir(self) -> Path:
        return self.config.data_dir


class Component(Protocol):
    """A long-running part. `run` returns only when cancelled; it survives its own weather (broker or network down)."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None: ...


class Authenticator(Protocol):
    """Who sends this request: None when nobody is signed in. Raises Problem for a credential that is wrong."""

    async def __call__(self, request: Request) -> Principal | None: ...


# None when all is well, else a sentence for the operator.
ReadyCheck = Callable[[datetime], Awaitable[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What one domain gives the server. `api` is mounted under /api/v1, `pages` at the root.

    `services` are found by type through `provide(Type)`; `ingest_components` run in role ingest, `components` in role
    jobs, `web_components` in role web; `outbox` maps a topic to its handler.
    """

    name: str
    api: Sequence[APIRouter] = ()
    pages: Sequence[APIRouter] = ()
    jobs: Sequence[Job] = ()
    outbox: Mapping[str, Handler] = field(default_factory=dict)
    services: Mapping[type[Any], Any] = field(default_factory=dict)
    components: Sequence[Component] = ()
    ingest_components: Sequence[Component] = ()
    web_components: Sequence[Component] = ()
    ready: Mapping[str, ReadyCheck] = field(default_factory=dict)


class Services:
    """Every domain's services, by type."""

    def __init__(self) -> None:
        self._by_type: dict[type[Any], Any] = {}

    def add(self, kind: type[Any], service: Any) -> None:
        if kind in self._by_type:
            raise ValueError(f"two domains offer a {kind.__name__}")
        self._by_type[kind] = service

    def get(self, kind: type[S]) -> S:
        service: S = self._by_type[kind]
        return service
