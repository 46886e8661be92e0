"""Every page in both languages, what it shows, and that a foreign site does not exist for its reader."""

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa

from facility.clock import to_ms
from facility.ids import new_id
from facility.items import EventItem, EventKind
from server.app import Server
from server.fleet.models import Agent, AgentStatus
from server.fleet.service import note_events
from server.kit.principal import Role
from tests.server.web.conftest import SignInAs, send_form
from tests.server.web.seed import Seeded, seed

MARK = {"en": "Unknown, last value", "zh_CN": "状态未知 (末次值)"}
# Words that stay as they are in a Chinese page: names, units, codes, what the seed calls things.
_FOREIGN = re.compile(
    r"[a-z_]+(?:\.[a-z_]+)+|Coldaisle|English|UPS|CRAC|PDU|UTC|Asia/Shanghai|Jinan|Main room|room|edge-1|Acme|Service|"
    r"SN\d+|A-\w+|GB|th-\d+|Apprise|API|POST|api|assets|coldaisle agent run|T-\d{4}-\d+|[a-z]+-\d+|hPa|Pa|RH|"
    r"generic/\w+|modbus|room-\w+|ENVIRONMENT-100|User-?\d*|user-?\d*|mailto://\S+|[A-Z]\b"
)


class _Text(HTMLParser):
    """The words a reader sees, with labels and tooltips."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._skip = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skip += tag in ("script", "style", "code", "datalist")
        for name, value in attrs:
            if name in ("title", "placeholder", "aria-label", "alt", "data-label") and value:
                self.words.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._skip -= tag in ("script", "style", "code", "datalist")

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.words.append(data)


def words_of(page: str) -> list[str]:
    parser = _Text()
    parser.feed(page)
    return [word.strip() for word in parser.words if word.strip()]


def paths_of(seeded: Seeded, ticket: str) -> dict[str, str]:
    hot = seeded.devices["th-03"].id
    return {
        "overview": "/",
        "overview, live part": "/overview/live",
        "device": f"/devices/{hot}",
        "device, other curve": f"/devices/{hot}?span=24h&point={seeded.point('th-03').id}",
        "device, points": f"/devices/{hot}/points",
        "alarms": "/alarms",
        "alarm": f"/alarms/{seeded.hot}",
        "alarm that is over": f"/alarms/{seeded.humid}",
        "tickets": "/tickets",
        "ticket": f"/tickets/{ticket}",
        "new ticket": "/tickets/new",
        "assets": "/assets",
        "asset": f"/assets/{seeded.assets['crac-2'].id}",
        "account": "/account",
        "maintenance": "/maintenance",
        "plans": "/maintenance/plans",
        "new plan": "/maintenance/plans/new",
        "plan": f"/maintenance/plans/{seeded.plans[0]}",
        "floating plan": f"/maintenance/plans/{seeded.plans[1]}",
        "order": f"/maintenance/orders/{seeded.order}",
    }


async def ticket_of(client: object, alarm: str) -> str:
    listed = (await client.get(f"/api/v1/tickets?alarm={alarm}")).json()["items"]  # type: ignore[attr-defined]
    assert len(listed) == 1
    return str(listed[0]["id"])


async def test_every_page_is_there_in_both_languages(seeded: Seeded, signed_in: SignInAs) -> None:
    for language in ("en", "zh_CN"):
        client = await signed_in(Role.ADMIN, language=language)
        for name, path in paths_of(seeded, await ticket_of(client, seeded.hot)).items():
            answer = await client.get(path)
            assert answer.status_code == 200, f"{name}: {answer.text[:300]}"
            if language == "zh_CN":
                left = [word for word in words_of(answer.text) if re.search(r"[A-Za-z]{2,}", _FOREIGN.sub("", word))]
                assert left == [], f"{name} shows English to a Chinese reader"


async def test_a_foreign_site_does_not_exist(server: Server, seeded: Seeded, signed_in: SignInAs) -> None:
    other = await seed(server, code="weihai")
    client = await signed_in(Role.ADMIN, customers=[other.site.customer_id], sites=[other.site.id])
    everything = await signed_in(Role.ADMIN)
    theirs = await ticket_of(everything, seeded.hot)
    for path in (
        f"/devices/{seeded.devices['th-03'].id}",
        f"/devices/{seeded.devices['th-03'].id}/points",
        f"/alarms/{seeded.hot}",
        f"/tickets/{theirs}",
        f"/assets/{seeded.assets['crac-2'].id}",
        f"/web/points/{seeded.point('th-03').id}/series",
        f"/web/alarms/{seeded.hot}/series",
        f"/maintenance/plans/{seeded.plans[0]}",
        f"/maintenance/orders/{seeded.order}",
    ):
        assert (await client.get(path)).status_code == 404, path
    for page in ("/", "/alarms", "/tickets?state=", "/assets", "/maintenance", "/maintenance/plans"):
        text = (await client.get(page)).text
        assert "Weihai" in text, page
        assert "Jinan" not in text.replace("Jinan Service", ""), page
    for path in (f"/alarms/{seeded.hot}/acknowledge", f"/tickets/{theirs}/acknowledge"):
        assert (await send_form(client, "/account", path, note="mine now")).status_code == 404, path


async def test_the_overview_shows_rooms_values_alarms_and_the_agent(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.NOC)
    text = " ".join(words_of((await client.get("/")).text)).replace("\u00a0", " ")
    assert "主机房 Main room" in text
    assert "29.4 ℃" in text  # the hottest of the cold aisle
    assert re.search(r"\d\d\.\d %RH", text)
    assert re.search(r"101\d\.\d hPa", text)
    assert re.search(r"12\.\d Pa", text)
    assert "Cold aisle too warm" in text
    assert "Major" in text
    assert "Mains (inverter)" in text
    assert "Online" in text
    live = await client.get("/overview/live")
    assert "<html" not in live.text
    assert f'href="/devices/{seeded.devices["th-03"].id}"' in live.text


async def test_values_that_stopped_coming_are_not_shown_as_live(
    server: Server, seeded: Seeded, signed_in: SignInAs
) -> None:
    client = await signed_in(Role.NOC)
    server.kit.clock.advance(timedelta(hours=1).total_seconds())  # type: ignore[attr-defined]
    page = (await client.get("/overview/live")).text
    assert "29.4" not in page
    assert "No live values" in page
    points = (await client.get(f"/devices/{seeded.devices['th-03'].id}/points")).text
    assert "Stale" in points


async def test_what_is_in_alarm_and_not_heard_is_marked_on_every_page(
    server: Server, seeded: Seeded, signed_in: SignInAs
) -> None:
    clients = [(await signed_in(language=language), word) for language, word in MARK.items()]
    pages = ("/", "/alarms", f"/alarms/{seeded.hot}", f"/devices/{seeded.devices['th-03'].id}")
    calm = f"/devices/{seeded.devices['crac-2'].id}"
    for client, word in clients:
        for path in pages:
            assert word not in (await client.get(path)).text, path
    async with server.db.write() as session:
        await session.execute(sa.update(Agent).values(status=AgentStatus.OFFLINE))
    for client, word in clients:
        for path in pages:
            assert word in (await client.get(path)).text, path
    assert "No live values" in (await clients[0][0].get(calm)).text, "from the last will on, not from the silence"


async def test_text_of_a_device_is_text(server: Server, signed_in: SignInAs) -> None:
    evil = "<script>alert(1)</script>"
    seeded = await seed(server, device_suffix=evil)
    client = await signed_in(Role.ADMIN)
    for name, path in paths_of(seeded, await ticket_of(client, seeded.hot)).items():
        assert evil not in (await client.get(path)).text, name
    assert "&lt;script&gt;" in (await client.get("/")).text


async def test_a_device_shows_what_it_said_by_itself(server: Server, seeded: Seeded, signed_in: SignInAs) -> None:
    now = server.kit.clock.now()
    at = to_ms(now)
    words = {
        "trap": "1.3.6.1.2.1.33.2.1",
        "name": "upsTrapOnBattery",
        "title_en": "On <b>battery</b>",
        "title_zh": "电池供电",
    }
    said = [
        EventItem(new_id(at), at, EventKind.TRAP, "th-03", {**words, "severity": "major"}),
        EventItem(new_id(at), at, EventKind.TRAP, "th-03", {"trap": "1.3.6.1.4.1.99999.0.1", "severity": "<odd>"}),
    ]
    async with server.db.write() as session:
        await note_events(session, seeded.agent, said, now=now)
    path = f"/devices/{seeded.devices['th-03'].id}"
    english = (await (await signed_in(Role.NOC)).get(path)).text
    assert "On &lt;b&gt;battery&lt;/b&gt;" in english
    assert "upsTrapOnBattery" in english
    assert "Trap of unknown meaning" in english
    assert "1.3.6.1.4.1.99999.0.1" in english
    chinese = (await (await signed_in(Role.NOC, language="zh_CN")).get(path)).text
    assert "电池供电" in chinese
    assert "含义未知的 Trap" in chinese


@pytest.mark.parametrize(("query", "hits"), [("", 2), ("?active=yes", 1), ("?severity=minor", 1), ("?state=acked", 0)])
async def test_alarms_are_filtered(seeded: Seeded, signed_in: SignInAs, query: str, hits: int) -> None:
    client = await signed_in(Role.NOC)
    page = (await client.get(f"/alarms{query}")).text
    assert page.count('class="main-cell"') == hits
    if not hits:
        assert "Clear filters" in page
    assert (await client.get("/alarms?severity=awful")).status_code == 400


async def test_an_alarm_is_acknowledged_with_a_note(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.NOC)
    page = f"/alarms/{seeded.hot}"
    answer = await send_form(client, page, f"{page}/acknowledge", note="<b>fan</b> is off")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page}?done=acknowledged")
    shown = (await client.get(answer.headers["location"])).text
    assert "The alarm is acknowledged." in shown
    assert "&lt;b&gt;fan&lt;/b&gt; is off" in shown
    assert f'action="{page}/acknowledge"' not in shown
    again = await send_form(client, page, f"{page}/acknowledge")
    assert again.status_code == 409
    assert (await client.get(f"/api/v1/alarms/{seeded.hot}")).json()["state"] == "acked"


async def test_a_role_sees_no_button_it_may_not_press(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.AUDITOR)
    ticket = await ticket_of(client, seeded.hot)
    alarm, page = (await client.get(f"/alarms/{seeded.hot}")).text, (await client.get(f"/tickets/{ticket}")).text
    assert "/acknowledge" not in alarm
    assert f'action="/tickets/{ticket}' not in page
    for path in (f"/alarms/{seeded.hot}/acknowledge", f"/tickets/{ticket}/start", f"/tickets/{ticket}/assign"):
        assert (await send_form(client, "/account", path)).status_code == 403, path


async def test_a_ticket_goes_its_way_by_its_buttons(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.ENGINEER)
    ticket = await ticket_of(client, seeded.hot)
    page = f"/tickets/{ticket}"
    first = (await client.get(page)).text
    assert "Cold aisle B, front: Cold aisle too warm" in first
    assert f'data-chart="/web/alarms/{seeded.hot}/series"' in first
    assert "GB 50174-2017" in first
    assert f'action="{page}/close"' not in first
    for action, note in (("acknowledge", ""), ("start", ""), ("comment", "on my way"), ("resolve", "fan replaced")):
        answer = await send_form(client, page, f"{page}/{action}", note=note)
        assert answer.status_code == 303, f"{action}: {answer.text[-800:]}"
    done = (await client.get(page)).text
    assert "fan replaced" in done
    assert "on my way" in done
    assert "Resolved" in done
    assert f'action="{page}/close"' in done
    assert (await send_form(client, page, f"{page}/start")).status_code == 409
    assert (await send_form(client, page, f"{page}/reopen", note=" ")).status_code == 400
    assert (await send_form(client, page, f"{page}/explode")).status_code == 404


async def test_a_ticket_opened_by_hand(seeded: Seeded, signed_in: SignInAs) -> None:
    client = await signed_in(Role.NOC)
    form = {"site": seeded.site.id, "title": "Lamp is broken", "kind": "request", "severity": "info", "device": "th-03"}
    answer = await send_form(client, "/tickets/new", "/tickets/new", **form)
    assert answer.status_code == 303
    page = (await client.get(answer.headers["location"])).text
    assert "Lamp is broken" in page
    assert "Past tickets of the device" in page
    assert "Cold aisle too warm" in page


async def test_assets_whose_warranty_ends_within_30_days(seeded: Seeded, signed_in: SignInAs) -> None:
    """Requirement R3: 29 days left is said so, and the filter finds exactly it."""
    client = await signed_in(Role.NOC, language="zh_CN")
    page = (await client.get("/assets?within=30")).text
    assert page.count('class="main-cell"') == 1
    assert "剩余 28 天" in page or "剩余 29 天" in page
    assert "2号精密空调" in page
    everything = (await client.get("/assets")).text
    assert everything.count('class="main-cell"') == 4
    assert "尚未验收" in everything
    assert "已过保" in everything
    device = (await client.get(f"/devices/{seeded.devices['crac-2'].id}")).text
    assert f'href="/assets/{seeded.assets["crac-2"].id}"' in device


async def test_an_empty_installation_says_what_to_do(signed_in: SignInAs) -> None:
    client = await signed_in(Role.ADMIN)
    assert "coldaisle agent run" in (await client.get("/")).text
    assert "Alarms appear here" in (await client.get("/alarms")).text
    assert "No open tickets" in (await client.get("/tickets")).text
    assert "POST /api/v1/assets" in (await client.get("/assets")).text


async def test_a_refusal_is_a_page_in_the_readers_language(signed_in: SignInAs) -> None:
    client = await signed_in(Role.ADMIN, language="zh_CN")
    answer = await client.get("/tickets/nothing")
    assert answer.status_code == 404
    assert "未找到" in answer.text
    assert "visible to you" not in answer.text
    assert "监控总览" in answer.text
