"""The page of an agent, and taking one out of use by its form."""

import sqlalchemy as sa

from server.app import Server
from server.fleet.drops import THINNED, with_drops
from server.fleet.models import Agent, AgentStatus, Device
from server.kit.audit import AuditEntry
from server.kit.principal import Role
from tests.server.web.conftest import SignInAs, csrf_of, send_form
from tests.server.web.seed import Seeded


async def stopped(server: Server) -> str:
    """The seeded agent, which is not online any more."""
    async with server.db.write() as session:
        row = (await session.scalars(sa.select(Agent))).one()
        row.status = AgentStatus.STOPPED
        return row.id


async def test_an_agent_is_retired_by_its_form(server: Server, seeded: Seeded, signed_in: SignInAs) -> None:
    agent_id = await stopped(server)
    page = f"/agents/{agent_id}"
    client = await signed_in(Role.ADMIN)
    assert f'href="{page}"' in (await client.get("/")).text
    assert f'href="{page}"' in (await client.get(f"/devices/{seeded.devices['ups-1'].id}")).text
    assert "Retire the agent" in (await client.get(page)).text
    assert (await client.post(f"{page}/retire", data={"sure": "yes"})).status_code == 403, "no token of a form"
    assert (await send_form(client, page, f"{page}/retire")).status_code == 422, "the box was not ticked"
    done = await send_form(client, page, f"{page}/retire", sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?done=agent_retired")
    after = (await client.get(done.headers["location"])).text
    assert "The agent is retired." in after
    assert "Retire the agent" not in after
    assert f'href="{page}"' not in (await client.get("/")).text
    async with server.db.read() as session:
        assert (await session.get_one(Agent, agent_id)).status is AgentStatus.RETIRED
        in_use = sa.select(sa.func.count()).select_from(Device).where(Device.active, Device.agent_id == agent_id)
        assert await session.scalar(in_use) == 0
        entry = (await session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "fleet.agent.retired"))).one()
    assert (entry.entity_id, entry.new) == (agent_id, {"status": "retired"})


async def test_who_may_not_sees_no_form_and_is_refused(server: Server, seeded: Seeded, signed_in: SignInAs) -> None:
    agent_id = await stopped(server)
    page = f"/agents/{agent_id}"
    client = await signed_in(Role.NOC, language="zh_CN")
    shown = await client.get(page)
    assert shown.status_code == 200
    assert f'action="{page}/retire"' not in shown.text
    assert (await send_form(client, "/account", f"{page}/retire", sure="yes")).status_code == 403
    elsewhere = await signed_in(Role.ADMIN, sites=[])
    assert (await elsewhere.get(page)).status_code == 404
    assert (await send_form(elsewhere, "/account", f"{page}/retire", sure="yes")).status_code == 404
    async with server.db.read() as session:
        assert (await session.get_one(Agent, agent_id)).status is AgentStatus.STOPPED


async def test_an_agent_that_is_online_is_stopped_first(server: Server, seeded: Seeded, signed_in: SignInAs) -> None:
    agent_id = await stopped(server)
    client = await signed_in(Role.ADMIN, language="zh_CN")
    form = csrf_of(await client.get(f"/agents/{agent_id}"))
    async with server.db.write() as session:
        (await session.get_one(Agent, agent_id)).status = AgentStatus.ONLINE
    refused = await client.post(f"/agents/{agent_id}/retire", data={"csrf_token": form, "sure": "yes"})
    assert refused.status_code == 409
    assert "请先停止采集代理" in refused.text
    assert "请先停止" in (await client.get(f"/agents/{agent_id}")).text


async def test_what_a_metered_link_leaves_out_is_shown(server: Server, seeded: Seeded, signed_in: SignInAs) -> None:
    agent_id, client = await stopped(server), await signed_in(Role.ADMIN)
    assert "thinned out" not in (await client.get(f"/agents/{agent_id}")).text
    async with server.db.write() as session:
        row = await session.get_one(Agent, agent_id)
        row.drops = with_drops(row.drops, {"a": {THINNED: 40_000}, "b": {THINNED: 17, "clock": 3}})
    shown = (await client.get(f"/agents/{agent_id}")).text
    assert "Readings thinned out" in shown
    assert "40017" in shown
    (told,) = (await client.get("/api/v1/agents")).json()["items"]
    assert (told["thinned"], told["drops"]) == (40_017, {"clock": 3})
