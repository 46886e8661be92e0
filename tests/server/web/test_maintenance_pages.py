"""The calendar, and a checklist filled in by form."""

from datetime import timedelta

import httpx

from facility.units import Unit
from server.kit.principal import Role
from server.maintenance.checklist import ItemKind, OrderItem, ValueType
from server.web.checks import fields, results
from tests.server.web.conftest import SignInAs, csrf_of, send_form
from tests.server.web.seed import Seeded

ITEM = {"kind": ItemKind.CHECK, "title_en": "T", "title_zh": "题", "asset_id": "a", "asset_en": "A", "asset_zh": "甲"}


def item(kind: ValueType, **more: object) -> OrderItem:
    return OrderItem.model_validate({**ITEM, "id": "x", "key": "x.1", "type": kind, **more})


def test_what_was_typed_becomes_typed_values() -> None:
    number = item(ValueType.NUMBER, unit=Unit.CELSIUS)
    assert results([number], {"value.x.1": " 21,5 ", "note.x.1": "a bit warm"})["x.1"].value == 21.5
    assert results([number], {"value.x.1": "warm"})["x.1"].value == "warm"
    assert results([item(ValueType.BOOL)], {"value.x.1": "no"})["x.1"].value is False
    assert results([number], {"value.x.1": "  "}) == {}


def test_a_problem_is_shown_at_its_line_and_what_was_typed_stays() -> None:
    number = item(ValueType.NUMBER, unit=Unit.CELSIUS, lower=15.0, upper=22.0)
    (line,) = fields([number], {"value.x.1": "warm"}, [{"path": "results.x.1.value", "kind": "type"}])
    assert (line.value, line.bounds, line.unit) == ("warm", "15 – 22", "℃")
    assert line.message
    assert fields([number], {})[0].message == ""


async def test_the_calendar_holds_orders_and_days_to_come(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.ENGINEER, language="zh_CN")
    events = (await client.get("/web/maintenance/calendar?start=2026-03-02&end=2026-04-13")).json()
    states = {(event["title"], event["state"]) for event in events}
    assert ("精密空调月度保养", "open") in states
    assert ("精密空调月度保养", "planned") in states
    assert {event["word"] for event in events} == {"待办", "计划中"}
    first = min((event for event in events if event["state"] == "open"), key=lambda event: str(event["day"]))
    assert first["path"] == f"/maintenance/orders/{seeded.order}"
    assert (await client.get("/web/maintenance/calendar?start=2026-01-01&end=2027-01-01")).status_code == 400


async def _fill(client: httpx.AsyncClient, path: str, **values: str) -> httpx.Response:
    page = await client.get(path)
    form = {"csrf_token": csrf_of(page)}
    for number in (1, 2):
        form |= {f"value.filter.{number}": "yes", f"value.supply.{number}": "18.5", f"value.belt.{number}": "good"}
    form.update({name.replace("__", "."): value for name, value in values.items()})
    return await client.post(f"{path}/complete", data=form)


async def test_an_order_is_finished_by_its_form(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.ENGINEER)
    path = f"/maintenance/orders/{seeded.order}"
    refused = await _fill(client, path, value__supply__1="warm", value__filter__2="")
    assert refused.status_code == 400
    assert "Enter a number." in refused.text
    assert "Fill this in." in refused.text
    assert 'value="warm"' in refused.text
    assert (await client.get(f"/api/v1{path}")).json()["state"] == "open"
    finished = await _fill(
        client, path, value__supply__2="25", note__supply__2="<i>valve</i> stuck", note="all else well"
    )
    assert finished.status_code == 303
    order = (await client.get(f"/api/v1{path}")).json()
    assert (order["state"], order["failed_items"]) == ("done", 1)
    page = (await client.get(path)).text
    assert "&lt;i&gt;valve&lt;/i&gt; stuck" in page
    assert "1 failed" in page
    assert "complete" not in page
    ticket = (await client.get(f"/api/v1/tickets/{order['ticket_id']}")).json()
    assert ticket["state"] == "resolved"
    assert f'href="{path}"' in (await client.get(f"/tickets/{order['ticket_id']}")).text
    assert (await send_form(client, "/account", f"{path}/skip", reason="no_access")).status_code == 409


async def test_an_order_is_left_out_with_a_reason(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.ENGINEER)
    path = f"/maintenance/orders/{seeded.order}"
    assert (await send_form(client, path, f"{path}/skip", reason="other")).status_code == 422
    assert (await send_form(client, path, f"{path}/skip", reason="missed")).status_code == 422
    assert (await send_form(client, path, f"{path}/skip", reason="no_access", note="locked")).status_code == 303
    page = (await client.get(path)).text
    assert "No access" in page
    assert "locked" in page


async def test_a_plan_is_made_from_a_template_for_one_asset(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.MANAGER)
    template = (await client.get("/api/v1/maintenance/templates")).json()["items"][0]
    form = {"template": template["id"], "target": f"asset:{seeded.assets['ups-1'].id}", "dtstart": "2026-04-01T09:00"}
    answer = await send_form(client, "/maintenance/plans/new", "/maintenance/plans/new", **form)
    assert answer.status_code == 303
    page = (await client.get(answer.headers["location"])).text
    assert template["title_en"] in page
    assert f'href="/assets/{seeded.assets["ups-1"].id}"' in page
    noc = await signed_in(Role.NOC)
    assert (await noc.get("/maintenance/plans/new")).status_code == 403
    assert "/maintenance/plans/new" not in (await noc.get("/maintenance")).text


async def test_an_asset_shows_its_last_and_next_maintenance(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.ENGINEER)
    await _fill(client, f"/maintenance/orders/{seeded.order}")
    page = (await client.get(f"/assets/{seeded.assets['crac-2'].id}")).text
    assert "Monthly care of CRAC" in page
    assert "Every 2 weeks" in page
    assert f'href="/maintenance/orders/{seeded.order}"' in page


async def test_an_overdue_order_is_said_so(seeded: Seeded, signed_in: SignInAs, clock: object) -> None:
    clock.advance(timedelta(days=12).total_seconds())  # type: ignore[attr-defined]
    client = await signed_in(Role.ENGINEER, language="zh_CN")
    page = (await client.get("/maintenance")).text
    assert "维保逾期" in page
    assert f'href="/maintenance/orders/{seeded.order}"' in page
