"""The audit log: who changed what, when, from which value to which. Append-only; triggers refuse anything else."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from facility.clock import to_ms
from facility.ids import new_id
from server.db.base import Base, JsonOrNull, PrimaryId
from server.db.session import WriteSession
from server.db.types import ID_LENGTH
from server.kit.principal import Principal


class AuditEntry(Base):
    """One change. `old` and `new` hold only what differs, never a secret."""

    __tablename__ = "audit_entries"
    scope_customer = "customer_id"
    scope_site = "site_id"

    id: Mapped[PrimaryId]
    at: Mapped[datetime] = mapped_column(index=True)
    actor_id: Mapped[str] = mapped_column(sa.String(64))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_name: Mapped[str] = mapped_column(sa.String(200))
    action: Mapped[str] = mapped_column(sa.String(64))
    entity: Mapped[str] = mapped_column(sa.String(64))
    entity_id: Mapped[str] = mapped_column(sa.String(64))
    customer_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH), index=True)
    site_id: Mapped[str | None] = mapped_column(sa.String(ID_LENGTH))
    old: Mapped[JsonOrNull]
    new: Mapped[JsonOrNull]

    __table_args__ = (sa.Index(None, "entity", "entity_id"),)


def audit(
    session: WriteSession,
    *,
    now: datetime,
    actor: Principal,
    action: str,
    entity: str,
    entity_id: str,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    customer_id: str | None = None,
    site_id: str | None = None,
) -> None:
    """Record one change in the change's own transaction. `action` is a dotted name such as `customers.site.renamed`."""
    session.add(
        AuditEntry(
            id=new_id(to_ms(now)),
            at=now,
            actor_id=actor.id,
            actor_kind=actor.kind.value,
            actor_name=actor.name,
            action=action,
            entity=entity,
            entity_id=entity_id,
            customer_id=customer_id,
            site_id=site_id,
            old=dict(old) if old is not None else None,
            new=dict(new) if new is not None else None,
        )
    )


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The old and the new values of the keys that differ."""
    changed = [key for key in after if before.get(key) != after[key]]
    return {key: before.get(key) for key in changed}, {key: after[key] for key in changed}
