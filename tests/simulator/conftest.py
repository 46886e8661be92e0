"""A running room per test; it takes about half a second to open."""

from collections.abc import AsyncIterator

import pytest

from simulator.app import RoomServer


@pytest.fixture
async def room() -> AsyncIterator[RoomServer]:
    async with RoomServer(seed=5) as running:
        yield running
