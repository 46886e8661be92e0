"""What a person does with a browser: look, open, acknowledge, switch, on a desk and on a phone."""

import pytest
from playwright.async_api import expect

from server.fleet.models import Agent, AgentStatus
from tests.browser.conftest import Place, Reader


async def test_from_the_overview_to_a_ticket_with_its_curve(reader: Reader, place: Place) -> None:
    page = reader.page
    tile = page.locator(f"#tile-{place.seeded.devices['th-03'].id}")
    await expect(tile).to_contain_text("29.4 ℃")
    await expect(tile).to_contain_text("Major")
    await page.click("nav >> text=Tickets")
    await page.click("text=Cold aisle B, front: Cold aisle too warm")
    await expect(page.locator("h1")).to_have_text("Cold aisle B, front: Cold aisle too warm")
    await reader.curve_is_drawn()


async def test_an_alarm_is_acknowledged_with_the_keyboard(reader: Reader, place: Place) -> None:
    page = reader.page
    await reader.go(f"/alarms/{place.seeded.hot}")
    await page.focus("#note")
    await page.keyboard.type("looking at it")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("[role=status]")).to_have_text("The alarm is acknowledged.")
    await expect(page.locator(".sub")).to_contain_text("Acknowledged")
    await expect(page.locator(".log")).to_contain_text("looking at it")


async def test_the_language_is_switched_where_one_is(reader: Reader) -> None:
    await reader.go("/alarms?severity=major")
    await reader.page.click("button:has-text('中文')")
    await expect(reader.page.locator("h1")).to_have_text("告警")
    assert reader.page.url.endswith("/alarms?severity=major")
    await expect(reader.page.locator("tbody")).to_contain_text("冷通道温度过高")


async def test_a_device_is_drawn_over_a_day_and_in_the_dark(reader: Reader, place: Place) -> None:
    page = reader.page
    await reader.go(f"/devices/{place.seeded.devices['th-01'].id}")
    await reader.curve_is_drawn()
    await page.click("text=24 hours")
    await reader.curve_is_drawn()
    await page.click("[data-toggle-theme]")
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    await expect(page.locator("[data-chart] canvas").first).to_be_visible()
    await reader.go("/")
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


async def test_the_overview_refreshes_itself(reader: Reader, place: Place) -> None:
    async with reader.page.expect_response(lambda answer: answer.url.endswith("/overview/live"), timeout=15_000) as got:
        pass
    assert (await got.value).status == 200
    await expect(reader.page.locator("#live .tally")).to_be_visible()
    assert await reader.page.locator("header.side").count() == 1


async def test_the_calendar_leads_to_an_order_that_is_filled_in(reader: Reader, place: Place) -> None:
    page = reader.page
    await reader.go("/maintenance")
    await expect(page.locator("#calendar .ec-day-grid, #calendar .ec-body").first).to_be_visible()
    await reader.go(f"/maintenance/orders/{place.seeded.order}")
    for number in (1, 2):
        await page.locator(f"input[name='value.filter.{number}'][value=yes]").check(force=True)
        await page.fill(f"#v-supply\\.{number}", "18.5")
        await page.select_option(f"#v-belt\\.{number}", "worn" if number == 2 else "good")
    await page.click("text=Finish the order")
    await expect(page.locator("[role=status]")).to_have_text("The order is finished.")
    await expect(page.locator(".card-header")).to_contain_text(["1 failed"], use_inner_text=True)


@pytest.mark.parametrize("width", [390, 1440])
async def test_no_page_is_wider_than_the_screen(reader: Reader, place: Place, width: int) -> None:
    seeded = place.seeded
    await reader.page.set_viewport_size({"width": width, "height": 844})
    for path in (
        "/",
        "/alarms",
        f"/alarms/{seeded.hot}",
        "/tickets?state=",
        "/tickets/new",
        f"/devices/{seeded.devices['crac-1'].id}",
        "/maintenance",
        f"/maintenance/orders/{seeded.order}",
        f"/maintenance/plans/{seeded.plans[0]}",
        "/maintenance/plans",
        "/assets",
        f"/assets/{seeded.assets['crac-2'].id}",
        "/account",
    ):
        await reader.go(path)
        await reader.page.wait_for_load_state("networkidle")
        assert await reader.width_beyond_the_screen() <= 0, path


async def test_the_menu_opens_on_a_phone(reader: Reader) -> None:
    page = reader.page
    await page.set_viewport_size({"width": 390, "height": 844})
    await reader.go("/")
    link = page.locator("nav >> text=Alarms")
    await expect(link).to_be_hidden()
    await page.click("[data-toggle-menu]")
    await expect(page.locator("[data-toggle-menu]")).to_have_attribute("aria-expanded", "true")
    await link.click()
    await expect(page.locator("h1")).to_have_text("Alarms")


async def test_every_field_and_button_has_a_name(reader: Reader, place: Place) -> None:
    """Form fields have a label or an aria-label, buttons and links have words."""
    seeded = place.seeded
    for path in ("/", "/tickets?state=", f"/alarms/{seeded.hot}", f"/maintenance/orders/{seeded.order}", "/account"):
        await reader.go(path)
        nameless = await reader.page.evaluate(
            """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a')].filter(
                (e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim() || e.title)
            ).map((e) => e.outerHTML.slice(0, 120))"""
        )
        assert nameless == [], path


async def test_an_agent_is_retired_once_the_box_is_ticked(reader: Reader, place: Place) -> None:
    agent_id = place.seeded.agent.id
    async with place.server.db.write() as session:
        (await session.get_one(Agent, agent_id)).status = AgentStatus.STOPPED
    await reader.go("/")
    await reader.page.click(f"#agent-{agent_id}")
    button = f"form[action='/agents/{agent_id}/retire'] button"
    await reader.page.click(button)
    assert reader.page.url == f"{reader.url}/agents/{agent_id}", "the browser asks for the box first"
    await reader.page.check("input[name=sure]")
    await reader.page.click(button)
    await reader.page.wait_for_url("**?done=agent_retired")
    assert await reader.page.locator(button).count() == 0
    async with place.server.db.read() as session:
        assert (await session.get_one(Agent, agent_id)).status is AgentStatus.RETIRED
