"""The columns every append-only event table has."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Json, PrimaryId


class EventRow:
    """Mixin: one thing that happened. History is the truth; a `state` column elsewhere is its summary.

    `at` is when it happened (by the source's clock), `recorded_at` when we learned it; `actor` is a principal id,
    `source` the program that says so (`api`, `web`, `agent`, `job`). A second delivery of the same `idempotency_key`
    clashes with the unique index instead of counting twice.
    """

    id: Mapped[PrimaryId]
    at: Mapped[datetime] = mapped_column(index=True)
    recorded_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(64))
    source: Mapped[str] = mapped_column(sa.String(32))
    kind: Mapped[str] = mapped_column(sa.String(64))
    schema_version: Mapped[int]
    payload: Mapped[Json]
    idempotency_key: Mapped[str] = mapped_column(sa.String(200), unique=True)
