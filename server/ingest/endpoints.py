"""REST of what ingest could not take, for operators of the whole installation."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from server.ingest import repository
from server.ingest.schemas import QuarantineOut, StrangerOut
from server.kit.paging import Page, Paging, page_of
from server.kit.principal import Permission
from server.kit.requests import Read, UnitRoute, require_unlimited
from server.kit.scope import Scope

router = APIRouter(route_class=UnitRoute, tags=["ingest"])

# A refused block proves no site, so only callers without limits may look.
Operator = Annotated[Scope, require_unlimited(Permission.NOTIFY_READ)]
Code = Annotated[str | None, Query(max_length=63)]


@router.get("/ingest/quarantine")
async def list_quarantine(
    session: Read, scope: Operator, page: Paging, site: Code = None, agent: Code = None, reason: Code = None
) -> Page[QuarantineOut]:
    found = await repository.list_quarantine(session, page, site=site, agent=agent, reason=reason)
    return page_of(found, QuarantineOut.model_validate)


@router.get("/ingest/quarantine/{quarantined_id}/payload")
async def get_payload(quarantined_id: str, session: Read, scope: Operator) -> Response:
    row = await repository.get_quarantined(session, quarantined_id)
    return Response(row.payload, media_type="application/octet-stream")


@router.get("/ingest/strangers")
async def list_strangers(session: Read, scope: Operator) -> Page[StrangerOut]:
    return Page(items=[StrangerOut.model_validate(row) for row in await repository.list_strangers(session)])
