"""Assets over REST, on both databases."""

from datetime import UTC, datetime

import sqlalchemy as sa

from server.kit.audit import AuditEntry
from server.kit.principal import Role
from tests.server.conftest import ClientAs
from tests.server.factories import World, make_asset, make_customer, make_site

UPS = {"category": "ups", "name_en": "UPS A", "name_zh": "一号UPS"}


async def test_an_asset_says_when_its_warranty_ends_and_what_is_left(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.MANAGER)
    body = {**UPS, "site": world.home.site.id, "room": world.home.room.id, "device": "ups-a", "warranty_months": 12}
    answer = await client.post("/api/v1/assets", json={**body, "accepted_on": "2026-03-10"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["warranty_end"] == "2027-03-09"
    assert made["days_left"] == 364
    assert made["status"] == "in_warranty"
    assert made["room"] == "home-room"
    assert made["site"] == "home"
    seen = await client.get(f"/api/v1/assets/{made['id']}")
    assert seen.json() == made
    assert seen.headers["ETag"] == '"1"'


async def test_a_changed_term_moves_the_end_and_a_revoked_acceptance_removes_it(
    world: World, client_as: ClientAs
) -> None:
    client = await client_as(Role.MANAGER)
    asset = await make_asset(world.server, world.home.site, accepted_on="2026-03-10", device="crac-1")
    path = f"/api/v1/assets/{asset.id}"
    longer = await client.patch(path, json={"warranty_months": 24}, headers={"If-Match": '"1"'})
    assert longer.json()["warranty_end"] == "2028-03-09"
    stale = await client.patch(path, json={"warranty_months": 36}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    revoked = await client.patch(path, json={"accepted_on": None, "name_en": None}, headers={"If-Match": '"2"'})
    assert revoked.json()["warranty_end"] is None
    assert revoked.json()["status"] == "not_accepted"
    assert revoked.json()["name_en"] == asset.name_en
    assert revoked.json()["device"] == "crac-1"
    async with world.server.db.read() as session:
        entries = (await session.scalars(sa.select(AuditEntry).where(AuditEntry.entity_id == asset.id))).all()
    changes = {(entry.action, str(entry.new)) for entry in entries}
    assert ("assets.asset.changed", "{'warranty_months': 24}") in changes
    assert ("assets.asset.changed", "{'accepted_on': None}") in changes


async def test_an_acceptance_that_has_not_come_is_refused_by_the_sites_calendar(
    world: World, client_as: ClientAs
) -> None:
    client = await client_as(Role.MANAGER)
    world.clock.advance(15 * 3600)  # 17:00 UTC on the 10th, 01:00 on the 11th in Shanghai
    body = {**UPS, "site": world.home.site.id, "accepted_on": "2026-03-11"}
    assert (await client.post("/api/v1/assets", json=body)).status_code == 201
    refused = await client.post("/api/v1/assets", json={**body, "accepted_on": "2026-03-12"})
    assert refused.status_code == 400
    assert refused.json()["code"] == "not_accepted"


async def test_what_ends_soon_is_found_by_each_sites_own_day(world: World, client_as: ClientAs) -> None:
    """At 2026-03-10 20:00 UTC it is the 11th in Shanghai and the 10th in Chicago."""
    chicago = await make_site(world.server, await make_customer(world.server), zone="America/Chicago")
    world.clock.step((datetime(2026, 3, 10, 20, tzinfo=UTC) - world.clock.now()).total_seconds())
    ends = {"last day": "2025-03-12", "day 29": "2025-04-10", "day 30": "2025-04-11", "later": "2025-04-13"}
    for name, accepted in ends.items():
        for site in (world.home.site, chicago):
            await make_asset(world.server, site, name_en=f"{name} {site.zone}", accepted_on=accepted)
    await make_asset(world.server, world.home.site, name_en="over Shanghai", accepted_on="2025-03-11")
    await make_asset(world.server, world.home.site, name_en="not accepted")
    client = await client_as(Role.NOC)

    async def names(query: str) -> dict[str, int | None]:
        items = (await client.get(f"/api/v1/assets?{query}")).json()["items"]
        return {item["name_en"]: item["days_left"] for item in items}

    assert await names("warranty_within_days=30") == {
        "last day Asia/Shanghai": 0,
        "last day America/Chicago": 1,
        "day 29 Asia/Shanghai": 29,
        "day 29 America/Chicago": 30,
        "day 30 Asia/Shanghai": 30,
    }
    assert await names("status=expired") == {"over Shanghai": -1}
    assert await names("status=not_accepted") == {"not accepted": None}
    assert await names("status=not_accepted&warranty_within_days=30") == {}
    assert len(await names("status=in_warranty")) == 8
    assert set(await names(f"warranty_within_days=0&site={world.home.site.id}")) == {"last day Asia/Shanghai"}


async def test_assets_are_found_by_room_category_and_device(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.NOC)
    site, room = world.home.site, world.home.room
    await make_asset(world.server, site, name_en="one", room=room.id, device="crac-1")
    await make_asset(world.server, site, name_en="two", device="crac-2")
    for query, expected in (
        (f"room={room.id}", ["one"]),
        ("category=crac", ["one", "two"]),
        ("category=ups", []),
        (f"device=crac-2&site={site.id}", ["two"]),
        ("active=false", []),
    ):
        items = (await client.get(f"/api/v1/assets?{query}")).json()["items"]
        assert [item["name_en"] for item in items] == expected, query


async def test_a_replacement_retires_the_old_and_keeps_the_chain(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.MANAGER)
    old = await make_asset(world.server, world.home.site, accepted_on="2025-01-01")
    body = {**UPS, "site": world.home.site.id, "replaces": old.id}
    new = (await client.post("/api/v1/assets", json=body)).json()
    seen = (await client.get(f"/api/v1/assets/{old.id}")).json()
    assert seen["active"] is False
    assert seen["replaced_by_id"] == new["id"]
    again = await client.post("/api/v1/assets", json=body)
    assert again.status_code == 409
    back = await client.patch(f"/api/v1/assets/{old.id}", json={"active": True}, headers={"If-Match": "*"})
    assert back.status_code == 409
    elsewhere = await make_asset(world.server, world.sibling.site)
    refused = await client.post("/api/v1/assets", json={**body, "replaces": elsewhere.id})
    assert refused.json()["code"] == "asset_of_other_site"
    total = (await client.get(f"/api/v1/assets?site={world.home.site.id}")).json()["items"]
    assert len(total) == 2, "a refused replacement leaves nothing behind"


async def test_a_room_of_another_site_is_refused(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.MANAGER)
    answer = await client.post(
        "/api/v1/assets", json={**UPS, "site": world.home.site.id, "room": world.sibling.room.id}
    )
    assert answer.json()["code"] == "room_of_other_site"


async def test_who_only_looks_changes_nothing(world: World, client_as: ClientAs) -> None:
    body = {**UPS, "site": world.home.site.id}
    for role in (Role.NOC, Role.ENGINEER, Role.CUSTOMER, Role.AUDITOR):
        client = await client_as(role)
        assert (await client.post("/api/v1/assets", json=body)).status_code == 403
        assert (await client.get("/api/v1/assets")).status_code == 200
