"""Plans become orders with tickets, and orders end: on both databases, through the job and REST."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import httpx
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from server.assets.models import AssetCategory
from server.kit.audit import AuditEntry
from server.kit.principal import Role
from server.kit.scope import Scope
from server.maintenance.generator import Generator
from server.maintenance.metrics import MaintenanceMetrics
from server.maintenance.models import Order, OrderState, Plan
from server.tickets.service import TicketService
from tests.server.conftest import ClientAs
from tests.server.factories import World, make_asset, make_site
from tests.server.finding import service_of
from tests.server.maintaining import CHECKLIST, generate, make_due, make_order, make_plan, plan_body

PLANS = "/api/v1/maintenance/plans"
ORDERS = "/api/v1/maintenance/orders"
RESULTS = {"filter": {"value": True}, "supply": {"value": 20.5}}


async def listed(client: httpx.AsyncClient, path: str) -> list[dict[str, object]]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, object]] = answer.json()["items"]
    return items


async def test_a_plan_makes_one_order_and_one_ticket_however_often_the_job_runs(
    world: World, client_as: ClientAs
) -> None:
    client = await client_as(Role.MANAGER)
    asset = await make_asset(world.server, world.home.site, device="crac-7", name_en="CRAC 7", name_zh="七号空调")
    answer = await client.post(PLANS, json=plan_body(asset=asset.id))
    assert answer.status_code == 201, answer.text
    plan = answer.json()
    assert plan["zone"] == "Asia/Shanghai"
    for _ in range(3):
        await generate(world.server)
    (order,) = await listed(client, ORDERS)
    assert order["due_on"] == "2026-03-10"
    assert order["due_at"] == "2026-03-10T01:00:00Z"
    assert order["reason"] == "ahead"
    (ticket,) = await listed(client, "/api/v1/tickets?kind=preventive")
    assert ticket["id"] == order["ticket_id"]
    assert ticket["title"] == "Monthly filters: CRAC 7"
    assert ticket["device"] == "crac-7"
    assert ticket["due_at"] == "2026-03-10T01:00:00Z"
    assert (await listed(client, f"{ORDERS}?ticket={ticket['id']}"))[0]["id"] == order["id"]
    seen = await client.get(f"{PLANS}/{plan['id']}")
    assert seen.json()["version"] == 1, "making orders is no change of the plan"


async def test_the_job_runner_makes_orders_ahead_of_their_day(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.NOC)
    await make_plan(world.server, world.home.site)
    assert "maintenance.generate" in await world.server.jobs.run_due()
    world.clock.advance(24 * 86400)  # 3 April, the lead time of seven days before the tenth
    assert "maintenance.generate" in await world.server.jobs.run_due()
    assert [order["due_on"] for order in await listed(client, ORDERS)] == ["2026-03-10", "2026-04-10"]
    metrics = world.server.kit.metrics.exposition().decode()
    assert 'coldaisle_server_maintenance_orders_total{reason="ahead"} 2.0' in metrics


async def test_completing_an_order_keeps_its_values_and_resolves_its_ticket(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    client = await client_as(Role.ENGINEER)
    results = {**RESULTS, "supply": {"value": 77, "unit": "[degF]", "note": "at the grille"}}
    answer = await client.post(f"{ORDERS}/{order.id}/complete", json={"results": results, "note": "all well"})
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert done["state"] == "done"
    assert done["on_time"] is True
    assert done["failed_items"] == 0
    assert done["results"]["supply"] == {
        "value": 25.0,
        "unit": "Cel",
        "entered": 77.0,
        "entered_unit": "[degF]",
        "outcome": "passed",
        "note": "at the grille",
    }
    assert done["results"]["remarks"]["outcome"] == "not_done"
    ticket = (await client.get(f"/api/v1/tickets/{order.ticket_id}")).json()
    assert ticket["state"] == "resolved"
    again = await client.post(f"{ORDERS}/{order.id}/complete", json={"results": RESULTS})
    assert (again.status_code, again.json()["code"]) == (409, "not_open")
    async with world.server.db.read() as session:
        query = sa.select(AuditEntry.action).where(AuditEntry.entity_id == order.id)
        assert list(await session.scalars(query)) == ["maintenance.order.completed"]


async def test_wrong_values_are_refused_with_a_path_each_and_nothing_is_kept(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    client = await client_as(Role.ENGINEER)
    results = {"supply": {"value": "warm"}, "paint": {"value": True}}
    answer = await client.post(f"{ORDERS}/{order.id}/complete", json={"results": results})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["path"] for error in answer.json()["errors"]} == {
        "results.filter.value",
        "results.supply.value",
        "results.paint",
    }
    malformed = await client.post(f"{ORDERS}/{order.id}/complete", json={"results": {"supply": {"value": [1]}}})
    assert malformed.status_code == 422
    assert (await client.get(f"{ORDERS}/{order.id}")).json()["state"] == "open"


async def test_a_value_beyond_its_limit_completes_the_order_with_a_failed_item(
    world: World, client_as: ClientAs
) -> None:
    order = await make_order(world.server, world.home.site)
    client = await client_as(Role.ENGINEER)
    results = {**RESULTS, "supply": {"value": 31}}
    done = (await client.post(f"{ORDERS}/{order.id}/complete", json={"results": results})).json()
    assert (done["state"], done["failed_items"]) == ("done", 1)
    assert done["results"]["supply"]["outcome"] == "failed"


async def test_an_order_keeps_the_checklist_it_was_made_with(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    client = await client_as(Role.MANAGER)
    only_filter = await client.patch(
        f"{PLANS}/{order.plan_id}", json={"checklist": CHECKLIST[:1]}, headers={"If-Match": '"1"'}
    )
    assert only_filter.status_code == 200, only_filter.text
    world.clock.advance(31 * 86400)
    await generate(world.server)
    old, new = [(await client.get(f"{ORDERS}/{one['id']}")).json() for one in await listed(client, ORDERS)]
    assert [item["key"] for item in old["items"]] == ["filter", "supply", "remarks"]
    assert old["plan_version"] == 1
    assert [item["key"] for item in new["items"]] == ["filter"]
    assert new["plan_version"] == 2


async def test_skipping_needs_a_persons_reason_and_ends_the_ticket(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    client = await client_as(Role.ENGINEER)
    path = f"{ORDERS}/{order.id}/skip"
    for body in ({}, {"reason": "missed"}, {"reason": "other"}):
        assert (await client.post(path, json=body)).status_code == 422
    skipped = (await client.post(path, json={"reason": "no_access", "note": "key holder away"})).json()
    assert (skipped["state"], skipped["skip_reason"], skipped["on_time"]) == ("skipped", "no_access", None)
    ticket = (await client.get(f"/api/v1/tickets/{order.ticket_id}")).json()
    assert ticket["state"] == "resolved"
    assert "no_access" in ticket["resolution"]


async def test_missed_work_is_on_record_and_opens_no_ticket_but_one(world: World, client_as: ClientAs) -> None:
    plan = await make_plan(
        world.server, world.home.site, rule={"kind": "fixed", "rrule": "FREQ=DAILY", "dtstart": "2026-03-11T09:00"}
    )
    world.clock.advance(10 * 86400)
    orders = await make_due(world.server, plan)
    past = [order for order in orders if order.due_on < date(2026, 3, 20)]
    assert [order.skip_reason for order in past] == ["superseded"] * 9
    assert all(order.ticket_id is None for order in past)
    today = orders[9]
    assert (today.due_on, today.state) == (date(2026, 3, 20), OrderState.OPEN)
    assert today.ticket_id is not None


async def test_floating_work_counts_from_completion(world: World, client_as: ClientAs) -> None:
    rule = {"kind": "floating", "every": 30, "step": "days", "dtstart": "2026-03-12T09:00"}
    plan = await make_plan(world.server, world.home.site, rule=rule)
    client = await client_as(Role.ENGINEER)
    (first,) = await make_due(world.server, plan)
    assert first.due_on == date(2026, 3, 12)
    body = {"results": RESULTS, "performed_at": "2026-03-09T20:00:00Z"}  # the 10th in Shanghai
    assert (await client.post(f"{ORDERS}/{first.id}/complete", json=body)).status_code == 200
    early = await client.post(f"{ORDERS}/{first.id}/complete", json={**body, "performed_at": "2026-04-09T20:00:00Z"})
    assert early.status_code == 409
    world.clock.advance(25 * 86400)
    (second,) = await make_due(world.server, plan)
    assert second.due_on == date(2026, 4, 9)
    future = await client.post(f"{ORDERS}/{second.id}/complete", json={**body, "performed_at": "2026-05-09T20:00:00Z"})
    assert (future.status_code, future.json()["code"]) == (400, "performed_at")


async def test_a_new_rule_counts_from_today_and_leaves_made_orders_alone(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site, lead_days=30)
    client = await client_as(Role.MANAGER)
    rule = {"kind": "fixed", "rrule": "FREQ=WEEKLY", "dtstart": "2026-03-03T09:00"}
    changed = await client.patch(
        f"{PLANS}/{order.plan_id}", json={"rule": rule, "lead_days": 8}, headers={"If-Match": '"1"'}
    )
    assert changed.json()["rule"] == rule | {"dtstart": "2026-03-03T09:00:00"}
    await generate(world.server)
    await generate(world.server)
    assert [one["due_on"] for one in await listed(client, ORDERS)] == ["2026-03-10", "2026-03-17"]


async def test_a_plan_at_rest_makes_nothing_and_starts_anew_without_making_up(
    world: World, client_as: ClientAs
) -> None:
    plan = await make_plan(world.server, world.home.site, catch_up="all")
    client = await client_as(Role.MANAGER)
    path = f"{PLANS}/{plan.id}"
    await client.patch(path, json={"active": False}, headers={"If-Match": '"1"'})
    world.clock.advance(100 * 86400)  # 18 June
    await generate(world.server)
    assert await listed(client, ORDERS) == []
    await client.patch(path, json={"active": True, "lead_days": 30}, headers={"If-Match": '"2"'})
    await generate(world.server)
    assert [one["due_on"] for one in await listed(client, ORDERS)] == ["2026-07-10"]


async def test_a_plan_for_a_category_covers_each_asset_that_is_there_that_day(
    world: World, client_as: ClientAs
) -> None:
    site = world.home.site
    plan = await make_plan(world.server, site, category="crac")
    (empty,) = await make_due(world.server, plan)
    assert (empty.state, empty.skip_reason, empty.ticket_id) == (OrderState.SKIPPED, "no_assets", None)
    one = await make_asset(world.server, site, name_en="CRAC 1")
    two = await make_asset(world.server, site, name_en="CRAC 2")
    await make_asset(world.server, site, name_en="CRAC 2b", replaces=two.id)
    await make_asset(world.server, world.sibling.site, name_en="CRAC elsewhere")
    world.clock.advance(31 * 86400)
    (order,) = await make_due(world.server, plan)
    client = await client_as(Role.ENGINEER)
    detail = (await client.get(f"{ORDERS}/{order.id}")).json()
    assert {(item["key"], item["asset_en"]) for item in detail["items"] if item["id"] == "supply"} == {
        ("supply.1", "CRAC 1"),
        ("supply.2", "CRAC 2b"),
    }
    assert detail["items"][0]["asset_id"] == one.id


async def test_a_plan_follows_its_asset_to_what_replaced_it(world: World) -> None:
    site = world.home.site
    old = await make_asset(world.server, site, device="crac-1")
    plan = await make_plan(world.server, site, asset=old.id)
    new = await make_asset(world.server, site, device="crac-9", name_en="New one", replaces=old.id)
    (order,) = await make_due(world.server, plan)
    assert order.title_en == "Monthly filters: New one"
    assert order.checklist["items"][0]["asset_id"] == new.id


async def test_overdue_begins_when_the_tolerance_is_over_at_the_site(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    client = await client_as(Role.NOC)

    async def overdue() -> list[object]:
        return [one["id"] for one in await listed(client, f"{ORDERS}?overdue=true")]

    end = datetime(2026, 3, 13, 16, tzinfo=UTC)
    world.clock.step((end - timedelta(seconds=1) - world.clock.now()).total_seconds())
    assert await overdue() == []
    world.clock.advance(1)
    assert await overdue() == [order.id]
    assert await listed(client, f"{ORDERS}?overdue=false") == []
    engineer = await client_as(Role.ENGINEER)
    late = await engineer.post(f"{ORDERS}/{order.id}/complete", json={"results": RESULTS})
    assert late.json()["on_time"] is False
    assert await overdue() == []


async def test_twelve_of_fifteen_on_time_are_eighty_percent(world: World, client_as: ClientAs) -> None:
    rule = {"kind": "fixed", "rrule": "FREQ=DAILY;COUNT=15", "dtstart": "2026-03-10T09:00"}
    plan = await make_plan(world.server, world.home.site, rule=rule, lead_days=20, tolerance_days=0)
    orders = await make_due(world.server, plan)
    client = await client_as(Role.ENGINEER)
    for order in orders[3:]:
        assert (await client.post(f"{ORDERS}/{order.id}/complete", json={"results": RESULTS})).status_code == 200
    assert (await client.post(f"{ORDERS}/{orders[2].id}/skip", json={"reason": "no_access"})).status_code == 200
    path = "/api/v1/maintenance/compliance?from=2026-03-01&to=2026-03-31"
    (month,) = await listed(client, path)
    assert (month["due"], month["pending"], month["on_time"]) == (13, 2, 12)
    world.clock.advance(5 * 86400)
    late = await client.post(f"{ORDERS}/{orders[1].id}/complete", json={"results": RESULTS})
    assert late.json()["on_time"] is False
    assert await listed(client, path) == [
        {
            "month": "2026-03",
            "due": 15,
            "on_time": 12,
            "late": 1,
            "skipped": 1,
            "overdue": 1,
            "pending": 0,
            "compliance": 80.0,
        }
    ]
    assert await listed(client, f"{path}&site={world.sibling.site.id}") == []


async def test_the_calendar_shows_orders_and_days_to_come(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    client = await client_as(Role.NOC)
    calendar = "/api/v1/maintenance/calendar"
    events = await listed(client, f"{calendar}?from=2026-03-01&to=2026-05-31")
    assert [(event["due_on"], event["state"], event["order_id"]) for event in events] == [
        ("2026-03-10", "open", order.id),
        ("2026-04-10", "planned", None),
        ("2026-05-10", "planned", None),
    ]
    assert [event["due_on"] for event in await listed(client, calendar)] == ["2026-03-10"], "the present month"
    assert await listed(client, f"{calendar}?site={world.sibling.site.id}") == []
    assert (await client.get(f"{calendar}?from=2026-01-01&to=2026-12-31")).json()["code"] == "range"
    assert (await client.get(f"{calendar}?from=2026-03-02&to=2026-03-01")).json()["code"] == "range"


async def test_a_plan_is_made_from_a_template_for_one_asset_or_a_site(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.MANAGER)
    site = world.home.site
    templates = {one["id"]: one for one in await listed(client, "/api/v1/maintenance/templates")}
    assert templates["ups-monthly"]["verified"] == "secondary"
    crac, ups = await make_asset(world.server, site), await make_asset(world.server, site, AssetCategory.UPS)
    body = {"template": "ups-monthly", "dtstart": "2026-03-31T09:00"}
    made = await client.post(f"{PLANS}/from-template", json={**body, "asset": ups.id, "lead_days": 3})
    assert made.status_code == 201, made.text
    assert made.json()["lead_days"] == 3
    assert made.json()["tolerance_days"] == templates["ups-monthly"]["tolerance_days"]
    assert made.json()["template"] == "ups-monthly"
    wrong = await client.post(f"{PLANS}/from-template", json={**body, "asset": crac.id})
    assert wrong.json()["code"] == "template_category"
    whole = await client.post(f"{PLANS}/from-template", json={**body, "site": site.id, "template": "crac-yearly"})
    assert whole.json()["category"] == "crac"
    assert whole.json()["rule"]["kind"] == "floating"
    unknown = await client.post(f"{PLANS}/from-template", json={**body, "site": site.id, "template": "boat"})
    assert unknown.status_code == 404
    assert len(await listed(client, f"{PLANS}?site={site.id}")) == 2


async def test_a_rule_that_cannot_be_followed_is_refused_in_words(world: World, client_as: ClientAs) -> None:
    client = await client_as(Role.MANAGER)
    rule = {"kind": "fixed", "rrule": "FREQ=MONTHLY", "dtstart": "2026-03-31T09:00"}
    body = plan_body(site=world.home.site.id, category="crac", rule=rule)
    answer = await client.post(PLANS, json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "rule"
    assert "SKIP=BACKWARD" in answer.json()["detail"]
    twice = plan_body(site=world.home.site.id, category="crac", checklist=[CHECKLIST[0], CHECKLIST[0]])
    assert (await client.post(PLANS, json=twice)).json()["errors"][0]["path"] == "checklist.1.id"
    with_offset = plan_body(site=world.home.site.id, category="crac")
    with_offset["rule"] = {**rule, "dtstart": "2026-03-31T09:00+08:00"}
    assert (await client.post(PLANS, json=with_offset)).status_code == 422


async def test_one_plan_that_cannot_be_followed_stops_no_other(world: World, client_as: ClientAs) -> None:
    broken = await make_plan(world.server, world.home.site)
    await make_plan(world.server, world.home.site)
    async with world.server.db.write() as session:
        await session.execute(sa.update(Plan).where(Plan.id == broken.id).values(rrule="FREQ=SOMETIMES"))
    await generate(world.server)
    assert len(await listed(await client_as(Role.NOC), ORDERS)) == 1
    assert "plan_failures_total 1.0" in world.server.kit.metrics.exposition().decode()


async def test_a_run_is_bounded_and_the_next_goes_on(world: World, client_as: ClientAs) -> None:
    for _ in range(3):
        await make_plan(world.server, world.home.site)
    metrics = MaintenanceMetrics(CollectorRegistry())
    generator = Generator(tickets=service_of(world.server, TicketService), metrics=metrics, most=2)
    client = await client_as(Role.NOC)
    for expected in (2, 3, 3):
        async with world.server.db.write() as session:
            await generator.run(session, world.clock.now())
        assert len(await listed(client, ORDERS)) == expected


async def test_plans_keep_the_clock_of_their_site(world: World) -> None:
    chicago = await make_site(world.server, world.home.customer, zone="America/Chicago")
    rule = {"kind": "fixed", "rrule": "FREQ=WEEKLY", "dtstart": "2026-03-03T09:00"}
    world.clock.step((datetime(2026, 3, 3, 16, tzinfo=UTC) - world.clock.now()).total_seconds())
    plan = await make_plan(world.server, chicago, rule=rule, lead_days=8)
    orders = await make_due(world.server, plan)
    assert [order.due_at.isoformat()[:16] for order in orders] == ["2026-03-03T15:00", "2026-03-10T14:00"]


async def test_two_generators_at_once_make_one_order_and_one_ticket(world: World) -> None:
    plans = [await make_plan(world.server, world.home.site) for _ in range(3)]
    generator = service_of(world.server, Generator)

    async def run() -> None:
        async with world.server.db.write() as session:
            await generator.run(session, world.clock.now())

    async def one(plan: Plan) -> None:
        async with world.server.db.write() as session:
            await generator.make_due(session, Scope.system(), plan.id, now=world.clock.now())

    await asyncio.gather(run(), run(), *(one(plan) for plan in plans))
    async with world.server.db.read() as session:
        orders = (await session.execute(sa.select(Order.plan_id, Order.ticket_id))).all()
    assert sorted(plan_id for plan_id, _ in orders) == sorted(plan.id for plan in plans)
    assert len({ticket_id for _, ticket_id in orders}) == 3


async def test_two_people_complete_one_order_once(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    clients = [await client_as(Role.ENGINEER) for _ in range(2)]
    path = f"{ORDERS}/{order.id}/complete"
    answers = await asyncio.gather(*(client.post(path, json={"results": RESULTS}) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_who_only_looks_plans_and_completes_nothing(world: World, client_as: ClientAs) -> None:
    order = await make_order(world.server, world.home.site)
    for role in (Role.NOC, Role.CUSTOMER, Role.AUDITOR):
        client = await client_as(role)
        assert (await client.get(f"{ORDERS}/{order.id}")).status_code == 200
        assert (await client.post(f"{ORDERS}/{order.id}/complete", json={"results": {}})).status_code == 403
        assert (await client.post(f"{ORDERS}/{order.id}/skip", json={"reason": "no_access"})).status_code == 403
        assert (await client.patch(f"{PLANS}/{order.plan_id}", json={"active": False})).status_code == 403
    engineer = await client_as(Role.ENGINEER)
    body = plan_body(site=world.home.site.id, category="crac")
    assert (await engineer.post(PLANS, json=body)).status_code == 403
