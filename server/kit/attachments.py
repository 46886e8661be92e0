"""Attachments: files on disk named by their content, and one row per use.

The file is on disk before the row is committed; a file without a row is harmless, a row without a file cannot be.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from facility.clock import to_ms
from facility.ids import new_id
from server.db.base import Base, PrimaryId
from server.db.session import ReadSession, WriteSession
from server.db.types import ID_LENGTH
from server.kit.principal import Principal
from server.kit.problems import NotFound, TooLarge
from server.kit.scope import Scope, SiteScoped, scoped


class Attachment(SiteScoped, Base):
    """One file of one entity (a ticket, an asset, a work order)."""

    __tablename__ = "attachments"

    id: Mapped[PrimaryId]
    entity: Mapped[str] = mapped_column(sa.String(64))
    entity_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH))
    filename: Mapped[str] = mapped_column(sa.String(200))
    media_type: Mapped[str] = mapped_column(sa.String(100))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(sa.String(64), index=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(64))

    __table_args__ = (sa.Index(None, "entity", "entity_id"),)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the store. `size` in bytes."""

    sha256: str
    size: int


class AttachmentStore:
    """The folder of content-addressed files, bounded per file by `limit` bytes."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder = folder
        self.limit = limit

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256[2:]

    async def save(self, chunks: AsyncIterator[bytes]) -> StoredFile:
        """Keep the content; raises TooLarge past the limit and then leaves nothing behind."""
        seen, size = hashlib.sha256(), 0
        temporary = self._folder / f".{secrets.token_hex(8)}"
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        file = await asyncio.to_thread(temporary.open, "xb")
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > self.limit:
                    raise TooLarge(f"an attachment has at most {self.limit} bytes", code="attachment_too_large")
                seen.update(chunk)
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(_sync, file.fileno(), file.flush)
            file.close()
            target = self.path(seen.hexdigest())
            await asyncio.to_thread(_place, temporary, target)
        finally:
            file.close()
            await asyncio.to_thread(temporary.unlink, missing_ok=True)
        return StoredFile(seen.hexdigest(), size)


def _sync(descriptor: int, flush: object) -> None:
    if callable(flush):
        flush()
    os.fsync(descriptor)


def _place(temporary: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(target)


def attach(
    session: WriteSession,
    stored: StoredFile,
    *,
    entity: str,
    entity_id: str,
    customer_id: str,
    site_id: str,
    filename: str,
    media_type: str,
    now: datetime,
    actor: Principal,
) -> Attachment:
    """Tie a stored file to an entity. Only the last part of `filename` is kept."""
    row = Attachment(
        id=new_id(to_ms(now)),
        entity=entity,
        entity_id=entity_id,
        customer_id=customer_id,
        site_id=site_id,
        filename=(Path(filename.replace("\\", "/")).name or "file")[:200],
        media_type=media_type[:100],
        size=stored.size,
        sha256=stored.sha256,
        created_at=now,
        created_by=actor.id,
    )
    session.add(row)
    return row


async def get_attachment(session: ReadSession, scope: Scope, attachment_id: str) -> Attachment:
    """The row, or NotFound when it is absent or out of scope."""
    query = scoped(sa.select(Attachment).where(Attachment.id == attachment_id), Attachment, scope)
    row = await session.scalar(query)
    if row is None:
        raise NotFound("attachment", attachment_id)
    return row


async def attachments_of(session: ReadSession, scope: Scope, entity: str, entity_id: str) -> list[Attachment]:
    """The files of one entity, oldest first."""
    query = sa.select(Attachment).where(Attachment.entity == entity, Attachment.entity_id == entity_id)
    return list(await session.scalars(scoped(query, Attachment, scope).order_by(Attachment.id)))
