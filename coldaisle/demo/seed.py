"""What a customer's first day leaves in the centre: people, a site with rooms, a token. Twice adds nothing."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from coldaisle.demo.site import AGENT, ROOM_CLASS, ROOMS, SITE, room_code
from server.assets import service as asset_service
from server.assets.models import AssetCategory
from server.assets.schemas import AssetIn
from server.customers import repository as customers
from server.customers import service as customer_service
from server.customers.schemas import CustomerIn, RoomIn, SiteIn
from server.db.session import Database, WriteSession
from server.fleet import service as fleet
from server.fleet.schemas import AgentIn
from server.kit.principal import SYSTEM, Role
from server.kit.scope import Scope
from server.kit.secrets import new_token
from server.maintenance import service as maintenance
from server.maintenance.catalogue import load_catalogue
from server.maintenance.schemas import PlanFromTemplate
from server.people import repository as people
from server.people import service as people_service
from server.people.passwords import Passwords
from server.people.schemas import TokenIn, UserIn

LOGIN = "demo"
ENGINEER = "engineer"
ZONE = "Asia/Shanghai"
TOKEN_DAYS = 30
FIRST_WORK_DAYS = 45
PLANS = ("crac-monthly", "ups-quarterly")
# Device, category, names, days since acceptance, months of warranty: one far from its end, one near, one past it.
ASSETS = (
    ("ups-1", AssetCategory.UPS, "UPS A (feed A)", "A路UPS", 400, 24),
    ("ups-2", AssetCategory.UPS, "UPS B (feed B)", "B路UPS", 340, 12),
    ("crac-1", AssetCategory.CRAC, "CRAC 1", "1号精密空调", 700, 24),
    ("crac-2", AssetCategory.CRAC, "CRAC 2", "2号精密空调", 400, 12),
    ("crac-3", AssetCategory.CRAC, "CRAC 3", "3号精密空调", 30, 24),
)


@dataclass(frozen=True, slots=True)
class Seeded:
    """What a person needs to look around. The password is "" when the user was there from an earlier run."""

    login: str
    password: str
    token: str
    site_id: str


async def seed(db: Database, *, notify_url: str, now: datetime) -> Seeded:
    """Fill a migrated database. The token is new each time: only its digest is stored."""
    password = new_token()[:16]
    password_hash = await Passwords().hash(password)
    async with db.write() as session:
        site_id = await _site(session, now)
        known = await people.user_by_login(session, LOGIN)
        user = known or await people_service.create_user(
            session,
            SYSTEM,
            UserIn.model_validate({"login": LOGIN, "name": "Demo", "roles": [Role.ADMIN], "zone": ZONE}),
            password_hash=password_hash,
            now=now,
        )
        if await people.user_by_login(session, ENGINEER) is None:
            engineer = {
                "login": ENGINEER,
                "name": "值班工程师",
                "roles": [Role.ENGINEER, Role.NOC],
                "language": "zh_CN",
                "zone": ZONE,
                "notify_url": notify_url,
            }
            await people_service.create_user(
                session, SYSTEM, UserIn.model_validate(engineer), password_hash=None, now=now
            )
        _, token = await people_service.create_token(
            session, SYSTEM, user, TokenIn(name="demo", days=TOKEN_DAYS), now=now
        )
    return Seeded(LOGIN, "" if known else password, token, site_id)


async def _site(session: WriteSession, now: datetime) -> str:
    scope = Scope.system()
    site = await customers.site_by_code(session, scope, SITE)
    if site is not None:
        return site.id
    customer = await customer_service.create_customer(
        session, scope, CustomerIn(code=SITE, name="示范客户 Demo customer"), now=now
    )
    site = await customer_service.create_site(
        session,
        scope,
        SiteIn(customer=customer.id, code=SITE, name="示范机房 Demo site", region="山东", zone=ZONE),
        now=now,
    )
    for room, (en, zh) in ROOMS.items():
        body = RoomIn(site=site.id, code=room_code(room), name=f"{zh} {en}", thresholds=ROOM_CLASS)
        await customer_service.create_room(session, scope, body, now=now)
    await fleet.create_agent(session, scope, AgentIn(site=site.id, code=AGENT), now=now)
    for device, category, en, zh, age_days, months in ASSETS:
        accepted = (now - timedelta(days=age_days)).date()
        asset = AssetIn(
            site=site.id,
            device=device,
            category=category,
            name_en=en,
            name_zh=zh,
            accepted_on=accepted,
            warranty_months=months,
        )
        await asset_service.create_asset(session, scope, asset, now=now)
    # First due beyond the plans' lead times: a demo without a fault opens no ticket, preventive ones included.
    start = datetime.combine((now + timedelta(days=FIRST_WORK_DAYS)).date(), time(9))
    for template in PLANS:
        wanted = PlanFromTemplate(site=site.id, template=template, dtstart=start)
        plan = load_catalogue().get(template).plan(wanted)
        await maintenance.create_plan(session, scope, plan, template=template, now=now)
    return site.id
