"""Tables of ingest in the main database: the ledger of blocks, what could not be taken, and who is not known here."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Base, JsonOrNull, PrimaryId


class LedgerBlock(Base):
    """A block (not of readings: those have their ledger beside them) whose content is committed.

    refused: the items the answer named, [path, reason, detail] each; None when there were none.
    """

    __tablename__ = "ingest_blocks"

    agent_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    stream: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    digest: Mapped[str] = mapped_column(sa.String(32))
    at: Mapped[datetime] = mapped_column(index=True)
    refused: Mapped[JsonOrNull]


class Quarantined(Base):
    """A block, or one item of a committed block (`path`), that can never be taken; kept for a person to look at.

    size: bytes as they came; kept: how many of them are in `payload`. stream is "" and seq 0 where no header was read.
    """

    __tablename__ = "ingest_quarantine"

    id: Mapped[PrimaryId]
    at: Mapped[datetime] = mapped_column(index=True)
    site: Mapped[str] = mapped_column(sa.String(63))
    agent: Mapped[str] = mapped_column(sa.String(63))
    kind: Mapped[str] = mapped_column(sa.String(16))
    stream: Mapped[str] = mapped_column(sa.String(36))
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    path: Mapped[str] = mapped_column(sa.String(64))
    reason: Mapped[str] = mapped_column(sa.String(32))
    detail: Mapped[str] = mapped_column(sa.String(500))
    size: Mapped[int]
    kept: Mapped[int]
    payload: Mapped[bytes]
    key: Mapped[str] = mapped_column(sa.String(200), unique=True)

    # One agent's, the newest first: each that comes asks whether it is too much.
    __table_args__ = (sa.Index(None, "site", "agent", "at", "id"),)


class Stranger(Base):
    """A site and agent that send and are not known here: their blocks wait at the sender until they are."""

    __tablename__ = "ingest_strangers"

    site: Mapped[str] = mapped_column(sa.String(63), primary_key=True)
    agent: Mapped[str] = mapped_column(sa.String(63), primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(32))
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    blocks: Mapped[int] = mapped_column(sa.BigInteger)
