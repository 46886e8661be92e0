"""Devices that are configured by name: what the name stands for may change, and the name service may be away."""

import asyncio
import socket
import time
from typing import Any

import pytest

from collectors.errors import DeviceUnreachable
from collectors.snmp.client import SnmpClient
from collectors.snmp.target import SnmpTarget
from tests.collectors.speaking.awkward_agent import Request, awkward_agent, silent_socket
from tests.collectors.speaking.profiles import system_clock

OBJECT = "1.3.6.1.4.1.99.1.1.0"
NAME = "card.example"


class Names:
    """A name service: what NAME stands for now, None while it has no answer."""

    def __init__(self, address: str) -> None:
        self.address: str | None = address

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        assert host == NAME
        if self.address is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (self.address, port))]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names("127.0.0.1")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found.getaddrinfo)
    return found


def truthful(request: Request) -> list[bytes]:
    return [request.reply([(oid, 7) for oid in request.oids])]


def client(port: int) -> SnmpClient:
    target = SnmpTarget(NAME, port=port, community="public", timeout_s=0.1)
    return SnmpClient(target, clock=system_clock())


def deadline() -> float:
    return time.monotonic() + 2


async def test_a_card_that_moved_to_another_address_is_found_again(names: Names) -> None:
    async with silent_socket() as port, awkward_agent(truthful, host="127.0.0.2", port=port):
        asker = client(port)
        with pytest.raises(DeviceUnreachable):
            await asker.get_one(OBJECT, deadline())
        names.address = "127.0.0.2"
        assert await asker.get_one(OBJECT, deadline()) == 7


async def test_a_name_service_that_is_away_takes_no_device_with_it(names: Names) -> None:
    lost = [False, True, False]

    def stumbling(request: Request) -> list[bytes]:
        return [] if lost.pop() else truthful(request)

    async with awkward_agent(stumbling) as (port, _):
        asker = client(port)
        assert await asker.get_one(OBJECT, deadline()) == 7
        names.address = None
        with pytest.raises(DeviceUnreachable):
            await asker.get_one(OBJECT, deadline())
        assert await asker.get_one(OBJECT, deadline()) == 7


async def test_a_name_nobody_ever_knew_is_unreachable(names: Names) -> None:
    names.address = None
    with pytest.raises(DeviceUnreachable, match="name resolution"):
        await client(161).get_one(OBJECT, deadline())
