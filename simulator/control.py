"""The control API of the room, on loopback: what stands in it, how it is, and what to break."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from simulator.faults import CATALOGUE, Active, FaultName, UnknownFault, WrongDevice
from simulator.inventory import Device


class Controlled(Protocol):
    """What the API needs of the room server."""

    @property
    def devices(self) -> list[Device]: ...

    def state(self) -> dict[str, object]: ...

    def active_faults(self) -> list[Active]: ...

    async def strike(self, name: str, device: str | None = None) -> Active | None: ...


class Strike(BaseModel):
    """The optional body of a fault: which device it strikes."""

    model_config = ConfigDict(extra="forbid")
    device: str | None = None


def control_api(room: Controlled) -> FastAPI:
    """The HTTP API. Errors are problem+json with a sentence a person can act on."""
    api = FastAPI(title="Simulated machine room", docs_url=None, redoc_url=None)

    @api.exception_handler(UnknownFault)
    async def unknown(_: Request, error: UnknownFault) -> JSONResponse:
        return _problem(404, "unknown fault", str(error))

    @api.exception_handler(WrongDevice)
    async def wrong(_: Request, error: WrongDevice) -> JSONResponse:
        return _problem(422, "wrong device", str(error))

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/devices")
    async def devices() -> list[dict[str, object]]:
        return [describe(device) for device in room.devices]

    @api.get("/state")
    async def state() -> dict[str, object]:
        return room.state()

    @api.get("/faults")
    async def faults() -> dict[str, object]:
        return {
            "active": [_active(fault) for fault in room.active_faults()],
            "known": [{**dataclasses.asdict(fault), "name": fault.name.value} for fault in CATALOGUE],
        }

    @api.post("/faults/{name}")
    async def strike(name: str, body: Strike | None = None) -> dict[str, object]:
        await room.strike(name, body.device if body else None)
        return {"active": [_active(fault) for fault in room.active_faults()]}

    return api


def describe(device: Device) -> dict[str, object]:
    """One device as the API shows it, simulation credentials included."""
    shown = dataclasses.asdict(device)
    shown["address"] = f"{device.host}:{device.port}"
    return shown


def _active(fault: Active) -> dict[str, object]:
    titles = {entry.name: entry for entry in CATALOGUE}
    title = titles[FaultName(fault.name)]
    return {
        "name": fault.name.value,
        "device": fault.device,
        "since": fault.since,
        "title_en": title.title_en,
        "title_zh": title.title_zh,
    }


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
