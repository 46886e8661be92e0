"""Paging, locking, idempotency, audit, outbox, jobs, attachments: through the true application and databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from facility.clock import ManualClock
from server.app import Server
from server.db.session import WriteSession, after_commit
from server.kit.attachments import AttachmentStore
from server.kit.jobs import Job, JobRun, JobRunner, Lease
from server.kit.metrics import Metrics
from server.kit.outbox import (
    MAX_ATTEMPTS,
    OutboxItem,
    OutboxRow,
    OutboxRunner,
    OutboxState,
    PermanentError,
    backoff,
    claim,
    enqueue,
)
from server.kit.principal import ALLOWED, Permission, Role
from server.kit.problems import TooLarge
from server.kit.secrets import load_or_create_key
from server.kit.tasks import unbroken
from tests.server.conftest import ClientAs
from tests.server.factories import World


async def test_pages_walk_the_whole_list_once_though_rows_are_added_meanwhile(
    server: Server, client_as: ClientAs
) -> None:
    client = await client_as(Role.ADMIN)
    for number in range(7):
        await client.post("/api/v1/customers", json={"code": f"c{number}", "name": f"C {number}"})
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/v1/customers", params=params)).json()
        seen += [item["code"] for item in page["items"]]
        if cursor is None:
            await client.post("/api/v1/customers", json={"code": "a-before", "name": "inserted behind the cursor"})
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"c{number}" for number in range(7)]


@pytest.mark.parametrize("cursor", ["!!!", "bm90IGpzb24", "WyJvdGhlciIsMSwieCJd"])
async def test_a_cursor_that_is_not_ours_is_refused(client_as: ClientAs, cursor: str) -> None:
    client = await client_as(Role.ADMIN)
    answer = await client.get("/api/v1/customers", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_change_needs_the_version_it_was_made_from(client_as: ClientAs) -> None:
    client = await client_as(Role.ADMIN)
    made = await client.post("/api/v1/customers", json={"code": "one", "name": "One"})
    url = f"/api/v1/customers/{made.json()['id']}"
    assert made.headers["etag"] == '"1"'
    assert (await client.patch(url, json={"name": "x"})).status_code == 428
    changed = await client.patch(url, json={"name": "Two"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"], changed.json()["name"]) == (200, '"2"', "Two")
    stale = await client.patch(url, json={"name": "Three"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert (await client.get(url)).json()["name"] == "Two"


async def test_changes_at_the_same_moment_leave_one_winner(client_as: ClientAs) -> None:
    client = await client_as(Role.ADMIN)
    made = (await client.post("/api/v1/customers", json={"code": "one", "name": "One"})).json()
    url = f"/api/v1/customers/{made['id']}"
    answers = await asyncio.gather(
        *(client.patch(url, json={"name": f"N{n}"}, headers={"If-Match": '"1"'}) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]


async def test_the_same_key_and_body_gets_the_stored_answer(server: Server, client_as: ClientAs) -> None:
    client = await client_as(Role.ADMIN)
    headers = {"Idempotency-Key": "k-1"}
    body = {"code": "one", "name": "One"}
    first = await client.post("/api/v1/customers", json=body, headers=headers)
    again = await client.post("/api/v1/customers", json=body, headers=headers)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    other = await client.post("/api/v1/customers", json={"code": "two", "name": "Two"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    elsewhere = await (await client_as(Role.ADMIN)).post("/api/v1/customers", json=body, headers=headers)
    assert elsewhere.json()["code"] == "code_taken"  # a key belongs to its principal
    assert len((await client.get("/api/v1/customers")).json()["items"]) == 1


async def test_twins_with_one_key_make_one_thing(client_as: ClientAs) -> None:
    client = await client_as(Role.ADMIN)
    answers = await asyncio.gather(
        *(
            client.post("/api/v1/customers", json={"code": "one", "name": "One"}, headers={"Idempotency-Key": "same"})
            for _ in range(4)
        )
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len((await client.get("/api/v1/customers")).json()["items"]) == 1


async def test_a_refused_request_does_not_use_up_its_key(client_as: ClientAs) -> None:
    client = await client_as(Role.ADMIN)
    headers = {"Idempotency-Key": "k-1"}
    await client.post("/api/v1/customers", json={"code": "taken", "name": "First"})
    body = {"code": "taken", "name": "Second"}
    assert (await client.post("/api/v1/customers", json=body, headers=headers)).json()["code"] == "code_taken"
    free = {"code": "free", "name": "Second"}
    assert (await client.post("/api/v1/customers", json=free, headers=headers)).status_code == 201


async def test_a_change_is_audited_with_old_and_new(world: World, client_as: ClientAs) -> None:
    manager = await client_as(Role.MANAGER)
    world.clock.advance(60)
    await manager.patch(f"/api/v1/rooms/{world.home.room.id}", json={"name": "Hall B"}, headers={"If-Match": "*"})
    entries = (await manager.get("/api/v1/audit", params={"entity_id": world.home.room.id})).json()["items"]
    assert [entry["action"] for entry in entries] == ["customers.room.changed", "customers.room.created"]
    assert (entries[0]["old"], entries[0]["new"]) == ({"name": "Home-Room"}, {"name": "Hall B"})
    assert entries[0]["actor_name"].endswith("(test)")
    limited = await client_as(Role.AUDITOR, customers=[world.foreign.customer.id])
    assert (await limited.get("/api/v1/audit", params={"entity_id": world.home.room.id})).json()["items"] == []


def an_outbox(server: Server) -> OutboxRunner:
    return OutboxRunner(server.db, server.kit.clock, server.kit.metrics)


async def put(server: Server, topic: str = "mail", key: str | None = None) -> bool:
    async with server.db.write() as session:
        return await enqueue(session, topic=topic, payload={"n": 1}, now=server.kit.clock.now(), key=key)


async def states(server: Server) -> list[tuple[OutboxState, int]]:
    async with server.db.read() as session:
        rows = await session.scalars(sa.select(OutboxRow).order_by(OutboxRow.id))
        return [(row.state, row.attempts) for row in rows]


async def test_an_effect_is_done_once_and_a_repeated_key_is_not_queued(server: Server) -> None:
    done: list[OutboxItem] = []

    async def handler(item: OutboxItem) -> None:
        done.append(item)

    runner = an_outbox(server)
    runner.register({"mail": handler})
    assert await put(server, key="ticket/1/opened")
    assert not await put(server, key="ticket/1/opened")
    assert await runner.run_due() == 1
    assert await runner.run_due() == 0
    assert [(item.payload, item.attempt) for item in done] == [({"n": 1}, 1)]
    assert await states(server) == [(OutboxState.DONE, 1)]


async def test_a_failing_effect_is_tried_again_later_and_at_last_dead(server: Server, clock: ManualClock) -> None:
    tries = 0

    async def handler(item: OutboxItem) -> None:
        nonlocal tries
        tries += 1
        raise ConnectionError("mail server is down")

    runner = an_outbox(server)
    runner.register({"mail": handler})
    await put(server)
    assert await runner.run_due() == 1
    assert await runner.run_due() == 0, "not before its wait is over"
    for attempt in range(1, MAX_ATTEMPTS):
        clock.advance(backoff(attempt).total_seconds())
        assert await runner.run_due() == 1
    assert tries == MAX_ATTEMPTS
    assert await states(server) == [(OutboxState.DEAD, MAX_ATTEMPTS)]
    async with server.db.read() as session:
        assert "mail server is down" in str(await session.scalar(sa.select(OutboxRow.last_error)))
    assert 'outcome="dead",topic="mail"} 1.0' in server.kit.metrics.exposition().decode()


async def test_what_cannot_succeed_is_dead_at_once(server: Server) -> None:
    async def handler(item: OutboxItem) -> None:
        raise PermanentError("no such address")

    runner = an_outbox(server)
    runner.register({"mail": handler})
    await put(server)
    await runner.run_due()
    assert await states(server) == [(OutboxState.DEAD, 1)]


async def test_a_worker_that_dies_holding_an_item_gives_it_back_when_its_lease_ends(
    server: Server, clock: ManualClock
) -> None:
    await put(server)
    async with server.db.write() as session:
        assert len(await claim(session, topics=["mail"], now=clock.now())) == 1
    async with server.db.write() as session:
        assert await claim(session, topics=["mail"], now=clock.now()) == []
    clock.advance(121)
    async with server.db.write() as session:
        assert [item.attempt for item in await claim(session, topics=["mail"], now=clock.now())] == [2]


async def test_two_workers_never_hold_one_item(server: Server, clock: ManualClock) -> None:
    for _ in range(30):
        await put(server)

    async def take() -> list[str]:
        async with server.db.write() as session:
            return [item.id for item in await claim(session, topics=["mail"], now=clock.now(), limit=10)]

    taken = [one for batch in await asyncio.gather(*(take() for _ in range(3))) for one in batch]
    assert len(taken) == len(set(taken))


async def test_the_outbox_is_woken_by_the_commit(server: Server) -> None:
    happened = asyncio.Event()

    async def handler(item: OutboxItem) -> None:
        happened.set()

    server.outbox.register({"mail": handler})
    task = asyncio.create_task(server.outbox.run())
    try:
        async with server.db.write() as session:
            await enqueue(session, topic="mail", payload={}, now=server.kit.clock.now())
            after_commit(session, server.kit.wake_outbox)
        async with asyncio.timeout(10):
            await happened.wait()
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def a_runner(server: Server, job: Job, holder: str = "one") -> JobRunner:
    runner = JobRunner(server.db, server.kit.clock, server.kit.metrics, holder=holder)
    runner.register([job])
    return runner


async def test_a_job_runs_once_per_slot_and_skips_missed_ones(server: Server, clock: ManualClock) -> None:
    ran = []

    async def work(session: WriteSession, now: object) -> None:
        ran.append(now)

    runner = a_runner(server, Job("count", timedelta(minutes=5), work))
    assert await runner.run_due() == ["count"]
    assert await runner.run_due() == []
    clock.advance(299)
    assert await runner.run_due() == []
    clock.advance(1)
    assert await runner.run_due() == ["count"]
    clock.advance(3600)
    assert await runner.run_due() == ["count"]
    assert len(ran) == 3


async def test_a_slot_runs_once_even_when_two_processes_hold_the_lease(server: Server) -> None:
    ran = []

    async def work(session: WriteSession, now: object) -> None:
        ran.append(now)

    job = Job("count", timedelta(minutes=5), work)
    one, two = a_runner(server, job, "one"), a_runner(server, job, "two")
    assert await one.run_due() == ["count"]
    assert await two.run_due() == []  # the lease
    async with server.db.write() as session:
        await session.execute(sa.delete(Lease))
    assert await two.run_due() == []  # UNIQUE(job, due_at)
    assert len(ran) == 1


async def test_a_pace_whose_slot_would_be_forgotten_is_refused(server: Server) -> None:
    async def work(session: WriteSession, now: object) -> None:
        return

    with pytest.raises(ValueError, match="at most 1 day"):
        a_runner(server, Job("weekly", timedelta(days=7), work))


async def test_a_failed_job_leaves_nothing_and_is_tried_again(server: Server, clock: ManualClock) -> None:
    attempts = 0

    async def work(session: WriteSession, now: object) -> None:
        nonlocal attempts
        attempts += 1
        await enqueue(session, topic="mail", payload={}, now=clock.now())
        if attempts == 1:
            raise RuntimeError("half done")

    runner = a_runner(server, Job("fragile", timedelta(hours=1), work))
    assert await runner.run_due() == []
    assert await states(server) == []
    assert await runner.run_due() == [], "waits before it tries again"
    clock.advance(30)
    assert await runner.run_due() == ["fragile"]
    assert await states(server) == [(OutboxState.PENDING, 0)]


async def test_another_process_takes_over_when_the_lease_runs_out(server: Server, clock: ManualClock) -> None:
    async def work(session: WriteSession, now: object) -> None:
        return

    job = Job("count", timedelta(seconds=1), work)
    one, two = a_runner(server, job, "one"), a_runner(server, job, "two")
    assert await one.run_due() == ["count"]
    clock.advance(10)
    assert await two.run_due() == []
    clock.advance(25)
    assert await two.run_due() == ["count"]
    async with server.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(JobRun)) == 2


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_the_same_content_is_stored_once_and_too_much_leaves_nothing(tmp_path: Path) -> None:

    folder = tmp_path / "files"
    store = AttachmentStore(folder, limit=10)
    one, two = await store.save(pieces(b"hello ", b"you")), await store.save(pieces(b"hello you"))
    assert (one, one.size, store.path(one.sha256).read_bytes()) == (two, 9, b"hello you")
    with pytest.raises(TooLarge, match="10 bytes"):
        await store.save(pieces(b"12345", b"123456"))
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [one.sha256[2:]]


def test_the_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:

    path = tmp_path / "secret.key"
    key = load_or_create_key(path)
    assert load_or_create_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="at least 32 bytes"):
        load_or_create_key(path)


def test_every_role_has_its_permissions_and_only_admin_manages_people() -> None:
    assert set(ALLOWED) == set(Role)
    assert {role for role in Role if Permission.PEOPLE_MANAGE in ALLOWED[role]} == {Role.ADMIN}
    assert not any(permission.value.endswith((".write", ".plan")) for permission in ALLOWED[Role.CUSTOMER])
    assert not any(not permission.value.endswith(".read") for permission in ALLOWED[Role.AUDITOR]), (
        "an auditor changes nothing"
    )


async def test_every_answer_carries_an_id_and_forbids_foreign_scripts(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/v1/me", headers={"X-Request-Id": "from-the-proxy-1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "from-the-proxy-1"
    assert "script" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    forged = await anonymous.get("/api/v1/me", headers={"X-Request-Id": "bad id\twith spaces"})
    assert forged.headers["x-request-id"] != "bad id\twith spaces"


async def test_probes_and_metrics_answer_without_a_credential(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/healthz")).json() == {"status": "ok"}
    assert (await anonymous.get("/readyz")).json()["ready"] is True
    await anonymous.get("/api/v1/rooms/unknown-1")
    text = (await anonymous.get("/metrics")).text
    assert 'coldaisle_server_requests_total{method="GET",route="/api/v1/rooms/{room_id}",status="401"} 1.0' in text
    assert "unknown-1" not in text


async def test_a_malformed_payload_is_422_and_does_not_echo_its_values(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/api/v1/session", json={"login": "ann", "password": ["hunter2-secret"]})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "body.password")
    assert "hunter2" not in answer.text


async def test_work_under_way_is_finished_before_a_component_ends(server: Server) -> None:
    begun = asyncio.Event()

    async def one_round() -> None:
        begun.set()
        await put(server)

    task = asyncio.create_task(unbroken(one_round()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await states(server) == [(OutboxState.PENDING, 0)]


async def test_work_that_does_not_end_is_cancelled_after_its_grace() -> None:
    task = asyncio.create_task(unbroken(asyncio.Event().wait(), grace=0.01))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task


def test_metrics_of_two_servers_do_not_mix() -> None:
    one, two = Metrics(), Metrics()
    one.logins.labels("accepted").inc()
    assert b'outcome="accepted"' not in two.exposition()
