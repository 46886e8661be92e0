"""Puts the HTTP application together from the kit and the domains."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from server.db.session import Database
from server.kit import problems
from server.kit.context import Domain, Kit, Services
from server.kit.http import RequestWrapper
from server.kit.metrics import CONTENT_TYPE

API_PREFIX = "/api/v1"


async def _database_ready(db: Database) -> str | None:
    try:
        async with db.read() as session:
            await session.execute(sa.text("SELECT version_num FROM alembic_version"))
    except (sa.exc.SQLAlchemyError, OSError) as error:
        return f"the database does not answer: {type(error).__name__}"
    return None


def create_application(kit: Kit, domains: Sequence[Domain], *, version: str, serve: bool = True) -> FastAPI:
    """The ASGI application. With `serve` off it has only probes and metrics (roles ingest and jobs)."""
    app = FastAPI(
        title="Coldaisle",
        version=version,
        openapi_url="/openapi.json" if serve else None,
        # The documentation pages load scripts from elsewhere; browsers of ours need no internet.
        docs_url=None,
        max_body_size=kit.config.http.max_body_bytes,
        redoc_url=None,
    )
    services = Services()
    app.state.kit = kit
    app.state.services = services
    problems.install(app)
    app.add_middleware(
        RequestWrapper, metrics=kit.metrics, clock=kit.clock, prefix=API_PREFIX, https=kit.config.secure_cookies
    )
    for domain in domains:
        for kind, service in domain.services.items():
            services.add(kind, service)
        if serve:
            for router in domain.api:
                app.include_router(router, prefix=API_PREFIX)
            for router in domain.pages:
                app.include_router(router, include_in_schema=False)
    _add_probes(app, kit, domains)
    return app


def _add_probes(app: FastAPI, kit: Kit, domains: Sequence[Domain]) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        """The process answers: nothing else is asked, so a slow database restarts nobody."""
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        now: datetime = kit.clock.now()
        found = {"database": await _database_ready(kit.db)}
        for domain in domains:
            for name, check in domain.ready.items():
                found[f"{domain.name}.{name}"] = await check(now)
        bad = {name: reason for name, reason in found.items() if reason is not None}
        return JSONResponse({"ready": not bad, "checks": found}, status_code=503 if bad else 200)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(kit.metrics.exposition(), media_type=CONTENT_TYPE)
