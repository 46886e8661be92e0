"""What the blocks of each kind do. A refusal names the item's place."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from facility.items import (
    AlarmItem,
    Series,
    decode_alarms,
    decode_catalogs,
    decode_events,
    decode_health,
    placed_series,
)
from facility.memory import uncollected
from facility.wire import Kind, RejectedItem, RejectReason
from server.db.session import WriteSession, piece
from server.fleet import catalogs, repository
from server.fleet import service as fleet
from server.fleet.refs import AgentRef
from server.ingest.intake import Entry
from server.ingest.protocols import AlarmSink
from server.ingest.weather import is_weather


@uncollected()
def series_of(entry: Entry, *, now_ms: int) -> tuple[list[tuple[int, Series]], list[RejectedItem]]:
    """The good series of a readings block with their places, and what was refused."""
    return placed_series(entry.block.items, now_ms=now_ms)


async def apply(
    session: WriteSession, agent: AgentRef, entry: Entry, *, alarms: AlarmSink, now: datetime, in_pieces: bool = False
) -> tuple[list[RejectedItem], bool]:
    """Do what a block that is not of readings says, which was never taken before; returns the items refused, and
    whether devices and points of the site may have changed. in_pieces: of alarms, each occurrence by itself.
    """
    if entry.kind is Kind.CATALOG:
        return await _catalog(session, agent, entry, now=now), True
    if entry.kind is Kind.ALARMS:
        return await _alarms(session, agent, entry, alarms=alarms, now=now, in_pieces=in_pieces), False
    if entry.kind is Kind.EVENTS:
        events, refused = decode_events(entry.block.items)
        await fleet.note_events(session, agent, events, now=now)
        return refused, False
    return await _health(session, agent, entry, now=now)


async def _health(
    session: WriteSession, agent: AgentRef, entry: Entry, *, now: datetime
) -> tuple[list[RejectedItem], bool]:
    health, refused = decode_health(entry.block.items)
    row = await repository.locked_agent(session, agent.id)
    if row is None:
        return refused, False
    header = entry.header
    changed = bool(header.catalog) and await catalogs.activate(
        session, agent, row, header.catalog, stream=header.stream, seq=header.seq, sent_by=header.sent_by, now=now
    )
    for item in health:
        fleet.note_health(row, item, stream=header.stream, now=now)
    return refused, changed


async def _catalog(session: WriteSession, agent: AgentRef, entry: Entry, *, now: datetime) -> list[RejectedItem]:
    found, refused = decode_catalogs(entry.block.items)
    if len(entry.block.items) != 1:
        detail = f"a catalog block holds one catalog, not {len(entry.block.items)}"
        return [RejectedItem("[0]", RejectReason.BAD_ITEM, detail)] if entry.block.items else []
    header = entry.header
    for catalog in found:
        refused += await catalogs.receive(
            session,
            agent,
            catalog,
            stream=header.stream,
            seq=header.seq,
            sent_by=header.sent_by,
            holds=header.catalog,
            now=now,
        )
    return refused


async def _alarms(
    session: WriteSession, agent: AgentRef, entry: Entry, *, alarms: AlarmSink, now: datetime, in_pieces: bool
) -> list[RejectedItem]:
    items: list[AlarmItem] = []
    places: list[int] = []
    refused: list[RejectedItem] = []
    for position, raw in enumerate(entry.block.items):
        good, bad = decode_alarms([raw])
        items.extend(good)
        places.extend(position for _ in good)
        refused.extend(_placed(bad, [position]))
    if items and not in_pieces:
        taken = await alarms.apply(session, site=agent.site, agent=agent, items=items, now=now)
        refused += _placed(taken, places)
    elif items:
        refused += await _each_by_itself(session, agent, items, places, alarms=alarms, now=now)
    return refused


def _placed(refused: Sequence[RejectedItem], places: Sequence[int]) -> list[RejectedItem]:
    """Refusals of some items of a block, under the places these have in it."""
    found = [(item, *item.path[1:].partition("]")) for item in refused]
    return [replace(item, path=f"[{places[int(place)]}]{rest}") for item, place, _, rest in found]


async def _each_by_itself(
    session: WriteSession,
    agent: AgentRef,
    items: Sequence[AlarmItem],
    places: Sequence[int],
    *,
    alarms: AlarmSink,
    now: datetime,
) -> list[RejectedItem]:
    """Take each occurrence, then each snapshot, and refuse those on which the centre fails; raises if that is all."""
    pieces: dict[str, list[int]] = {}
    for position, item in enumerate(items):
        pieces.setdefault(f"[{position}]" if item.event is None else item.event.occurrence, []).append(position)
    refused: list[RejectedItem] = []
    failed: list[Exception] = []
    for positions in sorted(pieces.values(), key=lambda found: items[found[0]].event is None):
        try:
            async with piece(session):
                part = [items[position] for position in positions]
                taken = await alarms.apply(session, site=agent.site, agent=agent, items=part, now=now)
        except Exception as error:
            if is_weather(error):
                raise
            failed.append(error)
            detail = f"the centre failed on it: {type(error).__name__}: {error}"
            refused += [RejectedItem(f"[{places[position]}]", RejectReason.POISON, detail) for position in positions]
        else:
            refused += _placed(taken, [places[position] for position in positions])
    if len(failed) == len(pieces):
        raise failed[0]
    return refused
