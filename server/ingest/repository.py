"""Keeping what could not be taken: bounded by rows and bytes, the oldest go first.

Twice: of each agent as it comes, so that one that sends much of it pushes out its own only, and of all by a job.
"""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from facility.clock import to_ms
from facility.ids import new_id
from facility.wire import Header, RejectedItem, RejectReason, Topic
from server.db.base import Base, table_of
from server.db.session import ReadSession, WriteSession
from server.fleet.texts import clip
from server.ingest.intake import Entry, Refusal, kind_of
from server.ingest.models import LedgerBlock, Quarantined, Stranger
from server.kit.paging import Order, PageRequest, fetch_page
from server.kit.problems import NotFound

MAX_ROWS = 5000
MAX_PAYLOAD = 272 * 1024  # a whole block of the largest lawful size; of larger messages the beginning
MAX_TOTAL = 128 * 1024 * 1024
# A tenth of all is of one agent at most.
MAX_ROWS_OF_AGENT = MAX_ROWS // 10
MAX_TOTAL_OF_AGENT = MAX_TOTAL // 10
# Of one block's refused items the first are kept: they are nearly always the same mistake.
ITEMS_OF_A_BLOCK = 20
MAX_STRANGERS = 1000
CHUNK = 500  # ids in one statement
LEDGER_KEEP = timedelta(days=90)  # agents keep unsent blocks 7 days by default; a block this old comes no more

QUARANTINE = Order("ingest_quarantine.at", Quarantined.at, Quarantined.id, descending=True)


async def keep_block(session: WriteSession, refusal: Refusal, *, now: datetime) -> None:
    """Keep a whole block, once however often it comes."""
    row = _row(refusal.topic, refusal.header, path="", reason=refusal.reason, detail=refusal.detail, now=now)
    if refusal.header is None:
        # Without a name there is no telling a second delivery: its bytes name it.
        row["key"] = (
            f"{refusal.topic.site}/{refusal.topic.agent}/{hashlib.blake2b(refusal.payload, digest_size=16).hexdigest()}"
        )
    row.update(
        size=len(refusal.payload), kept=len(refusal.payload[:MAX_PAYLOAD]), payload=refusal.payload[:MAX_PAYLOAD]
    )
    await _insert(session, [row])


async def keep_items(session: WriteSession, entry: Entry, refused: Sequence[RejectedItem], *, now: datetime) -> None:
    """Keep the items of a block that were refused, with the item's own bytes."""
    rows = []
    for item in refused[:ITEMS_OF_A_BLOCK]:
        row = _row(entry.topic, entry.header, path=item.path, reason=item.reason, detail=item.detail, now=now)
        raw = entry.block.items[int(item.path[1:].partition("]")[0])]
        row.update(size=len(raw), kept=len(raw[:MAX_PAYLOAD]), payload=raw[:MAX_PAYLOAD])
        rows.append(row)
    await _insert(session, rows)


def _row(
    topic: Topic, header: Header | None, *, path: str, reason: str, detail: str, now: datetime
) -> dict[str, object]:
    stream, seq = (header.stream, header.seq) if header is not None else ("", 0)
    return {
        "id": new_id(to_ms(now)),
        "at": now,
        "site": topic.site,
        "agent": topic.agent,
        "kind": kind_of(topic).value,
        "stream": stream,
        "seq": seq,
        "path": clip(path, 64),
        "reason": str(reason),
        "detail": clip(detail, 500),
        "key": f"{topic.site}/{topic.agent}/{stream}/{seq}/{clip(path, 30)}",
    }


async def _insert(session: WriteSession, rows: Sequence[dict[str, object]]) -> None:
    if not rows:
        return
    await session.execute(_insert_into(_dialect(session), Quarantined).on_conflict_do_nothing(), list(rows))


def _dialect(session: WriteSession) -> str:
    return session.get_bind().dialect.name


def _insert_into(dialect: str, into: type[Base] | sa.Table) -> Any:
    """The dialects' INSERT: both know ON CONFLICT, SQLAlchemy has no common word for it."""
    return postgresql_insert(into) if dialect == "postgresql" else sqlite_insert(into)


@cache
def _entering(dialect: str) -> sa.Insert:
    """Of every block that is not of readings: made once, and of the table alone."""
    ledger = table_of(LedgerBlock)
    made: sa.Insert = _insert_into(dialect, ledger).on_conflict_do_nothing().returning(ledger.c.seq)
    return made


async def enter(session: WriteSession, agent_id: str, header: Header, now: datetime) -> LedgerBlock | None:
    """Enter a block into the ledger; None when it is new, else the entry that was there before."""
    values = {"agent_id": agent_id, "stream": header.stream, "seq": header.seq}
    row = {**values, "digest": header.digest, "at": now}
    if await session.scalar(_entering(_dialect(session)), row) is not None:
        return None
    return await session.get_one(LedgerBlock, tuple(values.values()), populate_existing=True)


async def note_refused(session: WriteSession, agent_id: str, header: Header, refused: Sequence[RejectedItem]) -> None:
    """Remember what the answer to a block names, for when it is asked for again."""
    block = sa.and_(
        LedgerBlock.agent_id == agent_id, LedgerBlock.stream == header.stream, LedgerBlock.seq == header.seq
    )
    told = [[item.path, item.reason.value, item.detail] for item in refused]
    await session.execute(sa.update(LedgerBlock).where(block).values(refused=told))


def refused_before(block: LedgerBlock) -> tuple[RejectedItem, ...]:
    """What the first answer named."""
    return tuple(RejectedItem(path, RejectReason(reason), detail) for path, reason, detail in block.refused or ())


async def note_stranger(session: WriteSession, site: str, agent: str, reason: str, *, now: datetime) -> bool:
    """Remember who sends and is not known here; True when it was not heard of before."""
    known = await session.get(Stranger, (site, agent))
    if known is None and (await session.scalar(sa.select(sa.func.count()).select_from(Stranger)) or 0) >= MAX_STRANGERS:
        return False
    insert = _insert_into(_dialect(session), Stranger).values(
        site=site, agent=agent, reason=reason, first_at=now, last_at=now, blocks=1
    )
    again = {"last_at": now, "reason": reason, "blocks": Stranger.blocks + 1}
    await session.execute(insert.on_conflict_do_update(index_elements=["site", "agent"], set_=again))
    return known is None


async def forget_strangers(session: WriteSession, known: Sequence[tuple[str, str]]) -> None:
    """These became known."""
    for site, agent in known:
        await session.execute(sa.delete(Stranger).where(Stranger.site == site, Stranger.agent == agent))


async def bound(session: WriteSession, senders: Collection[tuple[str, str]]) -> int:
    """Let go what is too much of these (site, agent) that just came; returns how many rows."""
    gone = 0
    for site, agent in sorted(senders):
        of_agent = sa.and_(Quarantined.site == site, Quarantined.agent == agent)
        gone += await _let_go(session, of_agent, rows=MAX_ROWS_OF_AGENT, total=MAX_TOTAL_OF_AGENT)
    return gone


async def prune(session: WriteSession, now: datetime) -> int:
    """Keep the quarantine, the ledger and the list of strangers within their bounds; returns how many rows of the
    quarantine went.
    """
    gone = await _let_go(session, sa.true(), rows=MAX_ROWS, total=MAX_TOTAL)
    await session.execute(sa.delete(LedgerBlock).where(LedgerBlock.at < now - LEDGER_KEEP))
    await session.execute(sa.delete(Stranger).where(Stranger.last_at < now - timedelta(days=30)))
    return gone


async def _let_go(session: WriteSession, of: sa.ColumnElement[bool], *, rows: int, total: int) -> int:
    """Of these only the newest stay: so many rows, with so many bytes together. Returns how many went."""
    # Asked for every block that is refused, and nearly always there is room.
    held = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Quarantined.kept), 0)).where(of)
    count, bytes_held = (await session.execute(held)).one()
    if count <= rows and bytes_held <= total:
        return 0
    newest = sa.select(Quarantined.id, Quarantined.kept).where(of)
    size, excess = 0, []
    ordered = await session.execute(newest.order_by(Quarantined.at.desc(), Quarantined.id.desc()))
    for position, (row, kept) in enumerate(ordered.all()):
        size += kept
        if position >= rows or size > total:
            excess.append(row)
    for start in range(0, len(excess), CHUNK):
        await session.execute(sa.delete(Quarantined).where(Quarantined.id.in_(excess[start : start + CHUNK])))
    return len(excess)


async def agents_in_quarantine(session: ReadSession, since: datetime) -> Sequence[tuple[str, str, str]]:
    """(site code, agent code, a reason) of each agent of which something was put into quarantine since then."""
    query = sa.select(Quarantined.site, Quarantined.agent, sa.func.min(Quarantined.reason))
    query = query.where(Quarantined.at >= since).group_by(Quarantined.site, Quarantined.agent)
    return [(site, agent, reason) for site, agent, reason in await session.execute(query)]


async def list_quarantine(
    session: ReadSession, page: PageRequest, *, site: str | None, agent: str | None, reason: str | None
) -> tuple[Sequence[Quarantined], str | None]:
    """For operators of the whole installation; not scoped, because a refused block proves no site."""
    query = sa.select(Quarantined)
    if site is not None:
        query = query.where(Quarantined.site == site)
    if agent is not None:
        query = query.where(Quarantined.agent == agent)
    if reason is not None:
        query = query.where(Quarantined.reason == reason)
    return await fetch_page(session, query, order=QUARANTINE, page=page)


async def list_strangers(session: ReadSession) -> Sequence[Stranger]:
    return (await session.scalars(sa.select(Stranger).order_by(Stranger.site, Stranger.agent))).all()


async def get_quarantined(session: ReadSession, quarantined_id: str) -> Quarantined:
    row = await session.get(Quarantined, quarantined_id)
    if row is None:
        raise NotFound("quarantined block", quarantined_id)
    return row
