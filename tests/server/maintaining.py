"""Makes plans and orders for server tests, through the true services."""

from datetime import datetime

from server.app import Server
from server.assets.models import AssetCategory
from server.customers.models import Site
from server.kit.scope import Scope
from server.maintenance import service
from server.maintenance.generator import Generator
from server.maintenance.models import Order, Plan
from server.maintenance.schemas import PlanIn
from tests.server.factories import make_asset
from tests.server.finding import service_of

CHECKLIST = [
    {"id": "filter", "kind": "clean", "type": "bool", "title_en": "Filter", "title_zh": "滤网"},
    {
        "id": "supply",
        "kind": "measure",
        "type": "number",
        "unit": "Cel",
        "lower": 18,
        "upper": 27,
        "title_en": "Supply air",
        "title_zh": "送风温度",
    },
    {
        "id": "remarks",
        "kind": "check",
        "type": "text",
        "required": False,
        "title_en": "Remarks",
        "title_zh": "备注",
    },
]


def plan_body(**fields: object) -> dict[str, object]:
    """A monthly plan due today at 09:00 (the tests' clock starts on 2026-03-10); `fields` as of PlanIn."""
    return {
        "title_en": "Monthly filters",
        "title_zh": "月度滤网",
        "rule": {"kind": "fixed", "rrule": "FREQ=MONTHLY", "dtstart": "2026-03-10T09:00"},
        "lead_days": 7,
        "tolerance_days": 3,
        "checklist": CHECKLIST,
        **fields,
    }


async def make_plan(server: Server, site: Site, **fields: object) -> Plan:
    """A plan for a new air conditioner of the site, unless `fields` name an asset or a category."""
    if "category" in fields:
        fields["site"] = site.id
    elif "asset" not in fields:
        fields["asset"] = (await make_asset(server, site, AssetCategory.CRAC, device="crac-1")).id
    body = PlanIn.model_validate(plan_body(**fields))
    async with server.db.write() as session:
        return await service.create_plan(session, Scope.system(), body, template=None, now=server.kit.clock.now())


async def generate(server: Server) -> None:
    """One run of the job, as the job runner does it."""
    job = next(job for domain in server.domains for job in domain.jobs if job.name == "maintenance.generate")
    async with server.db.write() as session:
        await job.run(session, server.kit.clock.now())


async def make_due(server: Server, plan: Plan, *, now: datetime | None = None) -> list[Order]:
    """What is due of one plan now."""
    async with server.db.write() as session:
        return await service_of(server, Generator).make_due(
            session, Scope.system(), plan.id, now=now or server.kit.clock.now()
        )


async def make_order(server: Server, site: Site, **fields: object) -> Order:
    """The first order of a new plan."""
    return (await make_due(server, await make_plan(server, site, **fields)))[0]
