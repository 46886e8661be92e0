"""Signing in, sessions, tokens, users: over the true application."""

import re

import httpx
import pytest
import sqlalchemy as sa

from facility.clock import ManualClock
from server.app import Server
from server.kit.idempotency import IdempotencyKey
from server.kit.principal import Role
from server.people.auth import COOKIE
from server.people.models import ApiToken, LoginSession, User
from server.people.throttle import FREE_TRIES
from tests.server.conftest import ClientAs
from tests.server.factories import client_of, make_token, make_user

PASSWORD = "correct horse battery"


async def sign_in(client: httpx.AsyncClient, login: str = "ann", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/v1/session", json={"login": login, "password": password})


@pytest.fixture
async def ann(server: Server) -> User:
    return await make_user(server, Role.ADMIN, login="ann", password=PASSWORD, language="zh_CN")


async def test_a_session_begins_with_a_password_and_ends_for_good(
    server: Server, ann: User, anonymous: httpx.AsyncClient
) -> None:
    answer = await sign_in(anonymous)
    assert (answer.status_code, answer.json()["id"], answer.json()["language"]) == (201, ann.id, "zh_CN")
    assert re.search(r"HttpOnly.*SameSite=lax", answer.headers["set-cookie"])
    token = anonymous.cookies[COOKIE]
    assert len(token) >= 22  # 128 bits in base64
    assert (await anonymous.get("/api/v1/me")).json()["name"] == ann.name
    async with server.db.read() as session:
        assert token not in str((await session.execute(sa.select(LoginSession.__table__))).all())
    headers = {"X-CSRF-Token": answer.json()["csrf_token"]}
    assert (await anonymous.delete("/api/v1/session", headers=headers)).status_code == 204
    async with client_of(server) as thief:
        thief.cookies.set(COOKIE, token)
        assert (await thief.get("/api/v1/me")).status_code == 401


async def test_signing_in_never_keeps_a_token_that_was_there_before(
    server: Server, ann: User, anonymous: httpx.AsyncClient
) -> None:
    await sign_in(anonymous)
    first = anonymous.cookies[COOKIE]
    await sign_in(anonymous)
    assert anonymous.cookies[COOKIE] != first
    async with client_of(server) as old:
        old.cookies.set(COOKIE, first)
        assert (await old.get("/api/v1/me")).status_code == 401
    async with client_of(server) as planted:
        planted.cookies.set(COOKIE, "chosen-by-an-attacker")
        answer = await sign_in(planted)
        assert "chosen-by-an-attacker" not in answer.headers["set-cookie"]


async def test_a_session_expires(ann: User, anonymous: httpx.AsyncClient, clock: ManualClock) -> None:
    await sign_in(anonymous)
    clock.advance(12 * 3600 - 1)
    assert (await anonymous.get("/api/v1/me")).status_code == 200
    clock.advance(1)
    assert (await anonymous.get("/api/v1/me")).status_code == 401


async def test_a_change_by_cookie_needs_the_token_of_the_page(ann: User, anonymous: httpx.AsyncClient) -> None:
    csrf = (await sign_in(anonymous)).json()["csrf_token"]
    body = {"code": "one", "name": "One"}
    assert (await anonymous.post("/api/v1/customers", json=body)).json()["code"] == "csrf"
    wrong = await anonymous.post("/api/v1/customers", json=body, headers={"X-CSRF-Token": csrf[::-1]})
    assert wrong.status_code == 403
    right = await anonymous.post("/api/v1/customers", json=body, headers={"X-CSRF-Token": csrf})
    assert right.status_code == 201


async def test_another_site_cannot_sign_somebody_in(ann: User, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post(
        "/api/v1/session", json={"login": "ann", "password": PASSWORD}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


async def test_wrong_passwords_slow_down_after_ten(
    server: Server, ann: User, anonymous: httpx.AsyncClient, clock: ManualClock
) -> None:
    for _ in range(FREE_TRIES):
        assert (await sign_in(anonymous, password="wrong")).status_code == 401
    refused = await sign_in(anonymous)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    clock.advance(5)
    assert (await sign_in(anonymous, password="wrong")).status_code == 401
    assert (await sign_in(anonymous)).headers["retry-after"] == "10"
    clock.advance(10)
    assert (await sign_in(anonymous)).status_code == 201
    assert (await sign_in(anonymous, password="wrong")).status_code == 401
    assert (await sign_in(anonymous)).status_code == 201, "the right password forgives"


async def test_an_unknown_name_and_a_wrong_password_look_alike(ann: User, anonymous: httpx.AsyncClient) -> None:
    unknown = (await sign_in(anonymous, login="nobody")).json()
    wrong = (await sign_in(anonymous, password="wrong")).json()
    assert {**unknown, "request_id": ""} == {**wrong, "request_id": ""}


async def test_tokens_are_shown_once_expire_and_are_revoked(
    server: Server, ann: User, anonymous: httpx.AsyncClient, clock: ManualClock
) -> None:
    csrf = {"X-CSRF-Token": (await sign_in(anonymous)).json()["csrf_token"]}
    keyed = csrf | {"Idempotency-Key": "must-not-store-the-secret"}
    made = (await anonymous.post("/api/v1/tokens", json={"name": "ci", "days": 1}, headers=keyed)).json()
    listed = await anonymous.get("/api/v1/tokens")
    assert [item["name"] for item in listed.json()["items"]] == ["ci"]
    assert made["token"] not in listed.text
    async with server.db.read() as session:
        for table in (ApiToken.__table__, IdempotencyKey.__table__):
            assert made["token"] not in str((await session.execute(sa.select(table))).all())
    async with client_of(server, made["token"]) as robot:
        assert (await robot.get("/api/v1/me")).json()["kind"] == "token"
        used = (await anonymous.get("/api/v1/tokens")).json()["items"][0]["last_used_at"]
        assert used == "2026-03-10T02:00:00Z"
        nested = await robot.post("/api/v1/tokens", json={"name": "child"})
        assert nested.json()["code"] == "token_by_token"
        clock.advance(24 * 3600)
        assert (await robot.get("/api/v1/me")).json()["code"] == "bad_token"
    await sign_in(anonymous)
    csrf = {"X-CSRF-Token": (await anonymous.get("/api/v1/me")).json()["csrf_token"]}
    other = (await anonymous.post("/api/v1/tokens", json={"name": "two"}, headers=csrf)).json()
    assert (await anonymous.delete(f"/api/v1/tokens/{other['id']}", headers=csrf)).status_code == 204
    async with client_of(server, other["token"]) as robot:
        assert (await robot.get("/api/v1/me")).status_code == 401


async def test_a_token_narrows_and_never_widens(server: Server, anonymous: httpx.AsyncClient) -> None:
    await make_user(server, Role.NOC, Role.MANAGER, login="lim", password=PASSWORD, customers=["c1", "c2"])
    csrf = {"X-CSRF-Token": (await sign_in(anonymous, "lim")).json()["csrf_token"]}
    wider = await anonymous.post("/api/v1/tokens", json={"name": "x", "roles": ["admin"]}, headers=csrf)
    assert wider.status_code == 403
    body = {"name": "x", "roles": ["noc"], "customers": ["c2", "c3"]}
    made = (await anonymous.post("/api/v1/tokens", json=body, headers=csrf)).json()
    async with client_of(server, made["token"]) as robot:
        me = (await robot.get("/api/v1/me")).json()
    assert (me["roles"], me["customers"]) == (["noc"], ["c2"])


async def test_nobody_manages_people_but_an_unlimited_admin(client_as: ClientAs) -> None:
    for role in Role:
        limited = await client_as(role, customers=["c1"])
        assert (await limited.get("/api/v1/users")).status_code == 403
        answer = await (await client_as(role)).get("/api/v1/users")
        assert answer.status_code == (200 if role is Role.ADMIN else 403)


async def test_a_users_secrets_go_in_and_never_come_out(server: Server, client_as: ClientAs) -> None:
    admin = await client_as(Role.ADMIN)
    body = {
        "login": "bob",
        "name": "Bob",
        "roles": ["engineer"],
        "password": "a long password",
        "notify_url": "mailto://user:s3cret@example.org",
    }
    made = await admin.post("/api/v1/users", json=body, headers={"Idempotency-Key": "bob"})
    assert made.json()["notify_url_set"] is True
    assert (await admin.post("/api/v1/users", json=body, headers={"Idempotency-Key": "bob"})).json() == made.json()
    audit = await admin.get("/api/v1/audit")
    for answer in (made, audit, await admin.get("/api/v1/users")):
        assert "s3cret" not in answer.text
        assert "argon2" not in answer.text
        assert "a long password" not in answer.text
    removed = await admin.patch(
        f"/api/v1/users/{made.json()['id']}", json={"notify_url": ""}, headers={"If-Match": '"1"'}
    )
    assert removed.json()["notify_url_set"] is False


async def test_taking_rights_away_ends_the_sessions(server: Server, ann: User, client_as: ClientAs) -> None:
    admin = await client_as(Role.ADMIN)
    async with client_of(server) as browser:
        await sign_in(browser)
        await admin.patch(f"/api/v1/users/{ann.id}", json={"active": False}, headers={"If-Match": "*"})
        assert (await browser.get("/api/v1/me")).status_code == 401
        await admin.patch(f"/api/v1/users/{ann.id}", json={"active": True}, headers={"If-Match": "*"})
        assert (await browser.get("/api/v1/me")).status_code == 401, "the old session stays dead"


async def test_a_token_of_an_inactive_user_is_dead(server: Server, ann: User, client_as: ClientAs) -> None:
    secret = await make_token(server, ann)
    admin = await client_as(Role.ADMIN)
    await admin.patch(f"/api/v1/users/{ann.id}", json={"active": False}, headers={"If-Match": "*"})
    async with client_of(server, secret) as robot:
        assert (await robot.get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"roles": ["customer"]}, "customer_unlimited"), ({"roles": ["noc"], "sites": ["s"]}, "sites_without_customers")],
)
async def test_limits_that_would_show_too_much_are_refused(
    client_as: ClientAs, limits: dict[str, list[str]], code: str
) -> None:
    admin = await client_as(Role.ADMIN)
    answer = await admin.post("/api/v1/users", json={"login": "x1", "name": "X", **limits})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_people_change_their_own_profile_and_not_their_roles(server: Server, client_as: ClientAs) -> None:
    noc = await client_as(Role.NOC)
    assert (await noc.get("/api/v1/me/profile")).headers["etag"] == '"1"'
    changed = await noc.patch("/api/v1/me/profile", json={"language": "zh_CN"}, headers={"If-Match": '"1"'})
    assert changed.json()["language"] == "zh_CN"
    assert (await noc.get("/api/v1/me")).json()["language"] == "zh_CN"
    more = await noc.patch("/api/v1/me/profile", json={"roles": ["admin"]}, headers={"If-Match": "*"})
    assert more.status_code == 422


async def test_a_wrong_authorization_header_is_refused_in_words(anonymous: httpx.AsyncClient) -> None:
    for header, code in (("Basic YTpi", "bad_scheme"), ("Bearer nonsense", "bad_token")):
        answer = await anonymous.get("/api/v1/me", headers={"Authorization": header})
        assert (answer.status_code, answer.json()["code"]) == (401, code)
