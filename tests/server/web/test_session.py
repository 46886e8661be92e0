"""Signing in, being sent to sign in, forged forms, languages."""

import httpx
import pytest

from server.app import Server
from server.kit.principal import Role
from server.web.view import safe_next
from tests.server.factories import client_of, make_user
from tests.server.web.conftest import PASSWORD, SignInAs, csrf_of, send_form

PAGES = ("/", "/alarms", "/tickets", "/assets", "/account", "/alarms/x", "/devices/x?span=24h")


@pytest.mark.parametrize("path", PAGES)
async def test_who_is_not_signed_in_is_sent_to_sign_in_and_comes_back(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path)
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    back = httpx.URL(answer.headers["location"]).params["next"]
    assert back == path


async def test_signing_in_opens_the_page_that_was_asked_for(server: Server, anonymous: httpx.AsyncClient) -> None:
    user = await make_user(server, Role.NOC, password=PASSWORD)
    form = {"login": user.login, "password": PASSWORD, "next": "/alarms?severity=major"}
    answer = await anonymous.post("/login", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alarms?severity=major")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert (await anonymous.get("/alarms")).status_code == 200


async def test_a_wrong_password_is_said_in_the_readers_language(server: Server, anonymous: httpx.AsyncClient) -> None:
    user = await make_user(server, Role.NOC, password=PASSWORD)
    form = {"login": user.login, "password": "not this one"}
    answer = await anonymous.post("/login", data=form, headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert answer.status_code == 401
    assert "用户名或密码错误" in answer.text
    assert user.login in answer.text
    assert "not this one" not in answer.text


async def test_the_language_of_the_sign_in_page_can_be_chosen(anonymous: httpx.AsyncClient) -> None:
    assert "Sign in" in (await anonymous.get("/login")).text
    await anonymous.get("/login?language=zh_CN&next=/tickets")
    page = await anonymous.get("/login?next=/tickets")
    assert "登录" in page.text
    assert 'value="/tickets"' in page.text


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", None, "/login", "/a\nb"],
)
def test_next_never_leads_elsewhere(target: str | None) -> None:
    assert safe_next(target) == "/"


def test_next_keeps_a_path_of_ours() -> None:
    assert safe_next("/tickets/T-1?span=1h") == "/tickets/T-1?span=1h"


async def test_a_form_without_its_token_changes_nothing(signed_in: SignInAs) -> None:
    client = await signed_in(Role.NOC)
    refused = await client.post("/account/language", data={"language": "zh_CN"})
    assert refused.status_code == 403
    forged = await client.post("/account/language", data={"language": "zh_CN", "csrf_token": "guessed"})
    assert forged.status_code == 403
    assert "Sign out" in (await client.get("/account")).text


async def test_the_language_switch_changes_every_page(signed_in: SignInAs) -> None:
    client = await signed_in(Role.NOC)
    answer = await send_form(client, "/alarms", "/account/language", language="zh_CN", back="/alarms?active=yes")
    assert (answer.status_code, answer.headers["location"]) == (303, "/alarms?active=yes")
    assert '<html lang="zh-CN"' in (await client.get("/alarms")).text


async def test_signing_out_ends_the_session(signed_in: SignInAs, server: Server) -> None:
    client = await signed_in(Role.NOC)
    cookie = client.cookies["coldaisle_session"]
    answer = await send_form(client, "/account", "/logout")
    assert answer.headers["location"] == "/login"
    async with client_of(server) as other:
        other.cookies.set("coldaisle_session", cookie)
        assert (await other.get("/account")).status_code == 303


async def test_ones_profile_and_channel_are_changed_and_the_channel_is_never_shown(signed_in: SignInAs) -> None:
    client = await signed_in(Role.ENGINEER)
    page = await client.get("/account")
    form = {"csrf_token": csrf_of(page), "version": "1", "name": "Li Lei", "language": "en", "zone": "Europe/Berlin"}
    assert (await client.post("/account", data=form)).status_code == 303
    stale = await client.post("/account", data={**form, "name": "Somebody else"})
    assert stale.status_code == 412
    secret = "json://user:hunter2@192.0.2.1/"
    answer = await send_form(client, "/account", "/account/notify", wanted="critical", notify_url=secret)
    assert answer.status_code == 303
    page = await client.get("/account")
    assert "Li Lei" in page.text
    assert "Europe/Berlin" in page.text
    assert "Channel set" in page.text
    assert "hunter2" not in page.text
    assert (await client.get("/api/v1/me/notify")).json() == {"wanted": "critical", "set": "critical", "channel": True}
    bad = await client.post("/account", data={**form, "version": "2", "zone": "Mars/Olympus"})
    assert bad.status_code == 422


async def test_a_page_carries_no_inline_script_and_is_kept_by_no_cache(signed_in: SignInAs) -> None:
    client = await signed_in(Role.ADMIN)
    answer = await client.get("/")
    assert answer.headers["cache-control"] == "no-store"
    assert (
        "script-src" not in answer.headers["content-security-policy"]
        or "'unsafe-inline'" not in answer.headers["content-security-policy"].split("script-src")[1].split(";", 1)[0]
    )
    assert "<script>" not in answer.text
    assert " onclick=" not in answer.text


async def test_static_files_are_ours_and_versioned(signed_in: SignInAs) -> None:
    client = await signed_in(Role.ADMIN)
    page = (await client.get("/")).text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    address = page.split('href="/static/own/coldaisle.css')[1].split('"')[0]
    answer = await client.get(f"/static/own/coldaisle.css{address}")
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert (await client.get("/static/../server/app.py")).status_code == 404
    assert (await client.get("/static/%2e%2e/view.py")).status_code == 404
