"""Idempotency-Key on POST: the same key and body gets the stored answer, in the effect's own transaction."""

import hashlib
from datetime import datetime, timedelta

import sqlalchemy as sa
from fastapi import Request, Response
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Base
from server.db.session import Database, WriteSession
from server.kit.principal import Principal
from server.kit.problems import BadRequest, Conflict

HEADER = "Idempotency-Key"
MAX_KEY = 200
KEEP = timedelta(hours=24)
_KEPT_HEADERS = ("content-type", "etag", "location")


class IdempotencyKey(Base):
    """The answer given to one key of one principal. `status` is null while the first attempt is under way."""

    __tablename__ = "idempotency_keys"

    principal_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(MAX_KEY), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None]
    headers: Mapped[str | None] = mapped_column(sa.Text)
    body: Mapped[bytes | None] = mapped_column(sa.LargeBinary)


class Attempt:
    """One POST that carries a key. Errors are not stored: they roll back, and the next attempt runs anew."""

    def __init__(self, *, principal_id: str, key: str, fingerprint: str, now: datetime) -> None:
        self._principal_id = principal_id
        self._key = key
        self._fingerprint = fingerprint
        self._now = now

    @classmethod
    async def of(cls, request: Request, principal: Principal | None, now: datetime) -> "Attempt | None":
        """None when the request has no key or nobody is signed in; raises BadRequest for an unusable key."""
        key = request.headers.get(HEADER)
        if request.method != "POST" or key is None or principal is None:
            return None
        if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
            raise BadRequest(f"{HEADER} is 1 to {MAX_KEY} printable characters", code="bad_idempotency_key")
        seen = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
        seen.update(await request.body())
        return cls(principal_id=principal.id, key=key, fingerprint=seen.hexdigest(), now=now)

    async def stored(self, db: Database) -> Response | None:
        """The answer of an earlier attempt; raises Conflict when the key was used for something else."""
        async with db.read() as session:
            row = await session.get(IdempotencyKey, (self._principal_id, self._key))
        return None if row is None else self._replay(row)

    def _replay(self, row: IdempotencyKey) -> Response:
        if row.fingerprint != self._fingerprint:
            raise Conflict(f"this {HEADER} was used for another request: take a new one", code="idempotency_key_reused")
        if row.status is None:
            raise Conflict("the first request with this key is still running: try again", code="idempotency_running")
        headers = dict(line.split(": ", 1) for line in (row.headers or "").splitlines())
        return Response(row.body, status_code=row.status, headers={**headers, "Idempotency-Replayed": "true"})

    async def begin(self, session: WriteSession) -> None:
        """Take the key in this transaction; a concurrent twin waits here and then fails with Conflict."""
        session.add(
            IdempotencyKey(
                principal_id=self._principal_id, key=self._key, fingerprint=self._fingerprint, created_at=self._now
            )
        )
        await session.flush()

    async def finish(self, session: WriteSession, response: Response) -> None:
        row = await session.get_one(IdempotencyKey, (self._principal_id, self._key))
        row.status = response.status_code
        row.headers = "\n".join(
            f"{name}: {response.headers[name]}" for name in _KEPT_HEADERS if name in response.headers
        )
        row.body = bytes(response.body)


async def forget_old(session: WriteSession, now: datetime) -> None:
    """Job: answers are kept for a day."""
    await session.execute(sa.delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEEP))
