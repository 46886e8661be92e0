"""The order of an agent's openings, where a block proves that they were heard of in the wrong one."""

from server.db.session import WriteSession
from server.fleet import repository


async def followed(session: WriteSession, agent_id: str, *, stream: str, sent_by: str) -> None:
    """A block of opening `stream` that `sent_by` sends: that one found it in the journal, so it came after.

    They are heard of the other way round when a worker was held up with a block of an opening that lived for a moment.
    The agent got no answer for it, so the next opening sends it again.
    """
    if not await _is_wrong(session, agent_id, stream, sent_by):
        return
    await repository.locked_agent(session, agent_id)
    openings = list(await repository.openings(session, agent_id))
    numbers = [opening.number for opening in openings]
    streams = [opening.stream for opening in openings]
    first, late = streams.index(sent_by), streams.index(stream)
    if first < late:
        openings.insert(first, openings.pop(late))
    for opening, number in zip(openings, numbers, strict=True):
        opening.number = number
    await session.flush()


async def _is_wrong(session: WriteSession, agent_id: str, stream: str, sent_by: str) -> bool:
    streams = [opening.stream for opening in await repository.openings(session, agent_id)]
    return stream in streams and sent_by in streams and streams.index(sent_by) < streams.index(stream)
