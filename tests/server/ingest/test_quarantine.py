"""What cannot be taken is kept within bounds, and one agent's does not push out that of others."""

import pytest

from server.ingest import domain, repository
from tests.server.fleet.counting import counted
from tests.server.ingest.conftest import Station
from tests.server.ingest.items_by_hand import event, reading
from tests.server.ingest.wire_by_hand import Sender

LET_GO = "coldaisle_server_ingest_quarantine_let_go_total"


def broken(sender: Sender) -> tuple[str, bytes, int]:
    topic, payload, seq = sender.next("readings", [reading(20.0)])
    return topic, payload[:-3] + b"xyz", seq


async def kept(station: Station) -> dict[str, list[int]]:
    """Sequence numbers of what is in quarantine, by agent, oldest first."""
    found: dict[str, list[int]] = {}
    for row in reversed(await station.quarantined()):
        found.setdefault(row.agent, []).append(row.seq)
    return found


async def test_an_agent_that_sends_much_that_is_broken_pushes_out_its_own_only(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MAX_ROWS_OF_AGENT", 3)
    quiet, _ = await station.catalogued("quiet")
    noisy, known = await station.catalogued("noisy", th2="room.temperature")
    await station.take(broken(quiet))
    for _ in range(4):
        station.world.clock.advance(1.0)
        await station.take(broken(noisy))
    assert await kept(station) == {"quiet": [2], "noisy": [3, 4, 5]}
    assert station.counted(LET_GO, bound="agent") == 1
    station.world.clock.advance(1.0)
    await station.take(noisy.next("readings", [reading("warm", device="th2")], catalog=known))
    station.world.clock.advance(1.0)
    await station.take(noisy.next("alarms", [event("refused")]))
    assert await kept(station) == {"quiet": [2], "noisy": [5, 6, 7]}
    assert station.counted(LET_GO, bound="agent") == 3


async def test_what_is_within_its_bound_is_counted_and_not_read(station: Station) -> None:
    noisy, _ = await station.catalogued("noisy")
    await station.take(broken(noisy))
    with counted(station.world) as asked:
        await station.take(broken(noisy))
    of_quarantine = [" ".join(one.split()[:2]) for one in asked if "ingest_quarantine" in one]
    assert of_quarantine == ["INSERT INTO", "SELECT count(*)"]


async def test_the_quarantine_of_an_agent_is_bounded_in_bytes(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy, _ = await station.catalogued("noisy")
    sent = [broken(noisy) for _ in range(3)]
    monkeypatch.setattr(repository, "MAX_TOTAL_OF_AGENT", len(sent[1][1]) + len(sent[2][1]))
    for each in sent:
        station.world.clock.advance(1.0)
        await station.take(each)
    assert await kept(station) == {"noisy": [3, 4]}


async def test_the_job_bounds_the_quarantine_of_all_and_counts_what_goes(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MAX_ROWS", 3)
    for code in ("a1", "a2"):
        sender, _ = await station.catalogued(code, **{f"th-{code}": "room.temperature"})
        for _ in range(2):
            station.world.clock.advance(1.0)
            await station.take(broken(sender))
    async with station.server.db.write() as session:
        await domain.prune_job(station.metrics).run(session, station.world.clock.now())
    assert await kept(station) == {"a1": [3], "a2": [2, 3]}
    assert station.counted(LET_GO, bound="all") == 1
