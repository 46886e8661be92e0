"""Who and what comes for the first time: agents that enrol, devices and points that are heard of by readings alone."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from server.db.session import Database, WriteSession
from server.fleet import catalogs
from server.fleet import service as fleet
from server.fleet.models import Point
from server.fleet.refs import AgentRef
from server.ingest import repository
from server.ingest.directory import Directory, PointName
from server.ingest.jobs import Job

log = logging.getLogger(__name__)

# Does a thing in one transaction of the main database; False, with nothing done, where that refuses now.
AskMain = Callable[[Callable[[WriteSession], Awaitable[None]]], Awaitable[bool]]


async def find_or_enrol(
    session: WriteSession, directory: Directory, site: str, code: str, *, zone: str | None, now: datetime
) -> AgentRef | None:
    """zone: of sites that are made for unknown topics; None makes none, and the sender is a stranger."""
    agent = await directory.find_agent(session, site, code)
    if agent is None and zone is not None:
        agent = await fleet.enrol(session, site_code=site, code=code, zone=zone, now=now)
        log.info("agent enrolled", extra={"site": site, "agent": code})
    if agent is None:
        # Said once; that it goes on is counted in the list of strangers.
        if await repository.note_stranger(session, site, code, "unknown_agent", now=now):
            log.warning("blocks of an unknown agent wait at their sender", extra={"site": site, "agent": code})
    else:
        await repository.forget_strangers(session, [(site, code)])
    return agent


async def learn(
    job: Job, missing: Sequence[PointName], *, directory: Directory, db: Database, ask_main: AskMain, now: datetime
) -> bool:
    """Devices that only the catalog of the block names, and points that none does; False when it cannot be now."""
    agent, digest = job.agent, job.entry.header.catalog
    site = agent.site.id
    strange = any(directory.device_id(site, device) is None for device, _, _ in missing)
    if strange and digest and directory.may_acquaint(agent, digest):
        if not await ask_main(lambda session: catalogs.acquaint(session, agent, digest, now=now)):
            return False
        directory.note_acquainted(agent, digest)
        async with db.read() as reader:
            await directory.load(reader, site, missing)
    unannounced = [
        name
        for name in missing
        if directory.point(site, name) is None and directory.device_id(site, name[0]) is not None
    ]
    if not unannounced:
        return True
    made: list[tuple[str, Point]] = []

    async def make(session: WriteSession) -> None:
        made.clear()
        for device, metric, subject in unannounced:
            device_id = directory.device_id(site, device)
            assert device_id is not None, "only points of known devices are made"
            row = await catalogs.add_point(
                session, agent, device_id=device_id, metric_name=metric, subject=subject, now=now
            )
            made.append((device, row))

    if not await ask_main(make):
        return False
    for device, row in made:
        directory.add(site, device, row)
    return True
