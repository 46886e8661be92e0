"""The kit's own endpoints and jobs, presented like a domain's."""

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from server.kit import attachments, idempotency, jobs, outbox
from server.kit.audit import AuditEntry
from server.kit.context import Domain, Kit
from server.kit.jobs import Job
from server.kit.paging import Order, Page, Paging, fetch_page, page_of
from server.kit.principal import Permission
from server.kit.requests import Read, TheKit, UnitRoute, require
from server.kit.schemas import Shown
from server.kit.scope import Scope, scoped

router = APIRouter(route_class=UnitRoute)

_NEWEST_FIRST = Order("audit.at", AuditEntry.at, AuditEntry.id, descending=True)


class AuditOut(Shown):
    id: str
    at: datetime
    actor_id: str
    actor_kind: str
    actor_name: str
    action: str
    entity: str
    entity_id: str
    customer_id: str | None
    site_id: str | None
    old: dict[str, object] | None
    new: dict[str, object] | None


@router.get("/audit", tags=["audit"])
async def list_audit(
    session: Read,
    scope: Annotated[Scope, require(Permission.AUDIT_READ)],
    page: Paging,
    entity: Annotated[str | None, Query(max_length=64)] = None,
    entity_id: Annotated[str | None, Query(max_length=64)] = None,
    actor: Annotated[str | None, Query(max_length=64)] = None,
) -> Page[AuditOut]:
    query = scoped(sa.select(AuditEntry), AuditEntry, scope)
    for column, wanted in (
        (AuditEntry.entity, entity),
        (AuditEntry.entity_id, entity_id),
        (AuditEntry.actor_id, actor),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return page_of(await fetch_page(session, query, order=_NEWEST_FIRST, page=page), AuditOut.model_validate)


@router.get("/attachments/{attachment_id}", tags=["attachments"], response_class=FileResponse)
async def get_attachment(
    attachment_id: str, session: Read, kit: TheKit, scope: Annotated[Scope, require(Permission.TICKETS_READ)]
) -> FileResponse:
    row = await attachments.get_attachment(session, scope, attachment_id)
    # Always a download: a stored HTML or SVG file must not run in our origin.
    return FileResponse(
        kit.attachments.path(row.sha256),
        media_type=row.media_type,
        filename=row.filename,
        content_disposition_type="attachment",
        headers={"ETag": f'"{row.sha256}"', "Content-Security-Policy": "sandbox"},
    )


def build(kit: Kit) -> Domain:
    return Domain(
        name="kit",
        api=[router],
        jobs=[
            Job("kit.forget_idempotency_keys", timedelta(hours=1), idempotency.forget_old),
            Job("kit.forget_outbox", timedelta(hours=1), outbox.forget_done),
            Job("kit.forget_job_runs", timedelta(hours=1), jobs.forget_runs),
        ],
    )
