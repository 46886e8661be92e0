"""Making and changing plans. Functions: there is no state to hold."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import to_jsonable_python

from facility.clock import to_ms
from facility.ids import new_id
from server.assets import repository as assets
from server.customers import repository as customers
from server.customers.models import Site
from server.db.session import WriteSession
from server.kit.audit import audit, difference
from server.kit.problems import BadRequest, Conflict
from server.kit.scope import Scope
from server.kit.versioned import check_version
from server.maintenance import repository
from server.maintenance.catalogue import Catalogue
from server.maintenance.checklist import Item
from server.maintenance.models import Plan
from server.maintenance.recurrence import RuleError, check
from server.maintenance.schedule import local_day
from server.maintenance.schemas import AnyRule, PlanChange, PlanFromTemplate, PlanIn


async def create_plan(
    session: WriteSession, scope: Scope, body: PlanIn, *, template: str | None, now: datetime
) -> Plan:
    """A new plan in force from today on at its site; its first orders come with the next run of the generator."""
    site = await _site_of(session, scope, body)
    _check_rule(body.rule, site)
    _check_items(body.checklist)
    plan = Plan(
        id=new_id(to_ms(now)),
        customer_id=site.customer_id,
        site_id=site.id,
        asset_id=body.asset,
        category=body.category,
        title_en=body.title_en,
        title_zh=body.title_zh,
        **_rule_columns(body.rule),
        lead_days=body.lead_days,
        tolerance_days=body.tolerance_days,
        catch_up=body.catch_up,
        checklist=_stored(body.checklist),
        template=template,
        active=True,
        settled_on=local_day(now, ZoneInfo(site.zone)) - timedelta(days=1),
        created_at=now,
        updated_at=now,
        site=site,
    )
    session.add(plan)
    await session.flush()
    _record(session, scope, "created", plan, new=body.model_dump(), now=now)
    return plan


async def create_from_template(
    session: WriteSession, scope: Scope, catalogue: Catalogue, body: PlanFromTemplate, *, now: datetime
) -> Plan:
    """A plan with what a template of the catalogue says; BadRequest for an asset of another category."""
    template = catalogue.get(body.template)
    if body.asset is not None:
        asset = await assets.get_asset(session, scope, body.asset)
        if asset.category is not template.category:
            raise BadRequest(
                f"template {template.id} is for {template.category.value}, the asset is {asset.category.value}",
                code="template_category",
            )
    return await create_plan(session, scope, template.plan(body), template=template.id, now=now)


async def change_plan(
    session: WriteSession, scope: Scope, plan_id: str, body: PlanChange, *, if_match: str, now: datetime
) -> Plan:
    """Apply what the body carries. Orders that exist keep their day and their checklist.

    A new rule and a plan made active again count from today on at the site.
    """
    plan = await repository.lock_plan(session, scope, plan_id)
    check_version(plan, if_match)
    wanted = body.changes()
    if body.rule is not None:
        _check_rule(body.rule, plan.site)
        del wanted["rule"]
        wanted |= _rule_columns(body.rule)
    if body.checklist is not None:
        _check_items(body.checklist)
        wanted["checklist"] = _stored(body.checklist)
    old, new = difference({name: getattr(plan, name) for name in wanted}, wanted)
    if not new:
        return plan
    for name, value in new.items():
        setattr(plan, name, value)
    if body.starts_anew & new.keys() or new.get("active"):
        plan.settled_on = local_day(now, ZoneInfo(plan.site.zone)) - timedelta(days=1)
    plan.updated_at = now
    await session.flush()
    _record(session, scope, "changed", plan, old=old, new=new, now=now)
    return plan


async def _site_of(session: WriteSession, scope: Scope, body: PlanIn) -> Site:
    if body.asset is None:
        assert body.site is not None
        return await customers.get_site(session, scope, body.site)
    asset = await assets.get_asset(session, scope, body.asset)
    if not asset.active:
        raise Conflict("the asset is no longer in service: plan for what took its place", code="asset_inactive")
    return asset.site


def _check_rule(rule: AnyRule, site: Site) -> None:
    try:
        check(rule.rule(), ZoneInfo(site.zone))
    except RuleError as error:
        raise BadRequest(
            str(error), code="rule", errors=[{"path": "rule", "message": str(error), "kind": "rule"}]
        ) from error


def _check_items(items: tuple[Item, ...]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item.id in seen:
            message = f"two items have the id {item.id!r}"
            error = {"path": f"checklist.{index}.id", "message": message, "kind": "duplicate"}
            raise BadRequest(message, code="checklist", errors=[error])
        seen.add(item.id)


def _stored(items: tuple[Item, ...]) -> list[dict[str, Any]]:
    return [item.model_dump(mode="json") for item in items]


def _rule_columns(rule: AnyRule) -> dict[str, Any]:
    """Both kinds of rule share a row: what the other kind has is empty."""
    given = rule.model_dump(exclude={"kind"})
    return {"rrule": None, "every": None, "step": None, **given}


def _record(
    session: WriteSession,
    scope: Scope,
    verb: str,
    plan: Plan,
    *,
    new: dict[str, Any],
    now: datetime,
    old: dict[str, Any] | None = None,
) -> None:
    audit(
        session,
        now=now,
        actor=scope.principal,
        action=f"maintenance.plan.{verb}",
        entity="maintenance_plan",
        entity_id=plan.id,
        old=to_jsonable_python(old),
        new=to_jsonable_python(new),
        customer_id=plan.customer_id,
        site_id=plan.site_id,
    )
