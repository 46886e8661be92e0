"""What is told to stop stops, also in the moment its broker goes away."""

import asyncio
import contextlib
from pathlib import Path
from unittest import mock

from tests.simulation.network import Session
from tests.simulation.plan import EDGES, Fault
from tests.simulation.run import Result, World
from tests.support.virtual_loop import run_virtual


class Swallowing(Session):
    """A client whose wait for an answer ends in the moment of a cancelling, as Python 3.11's `wait_for` may."""

    asked = asyncio.Event()

    async def subscribe(self, topic: str, qos: int = 0) -> None:
        self.asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await super().subscribe(topic, qos)


def test_an_agent_that_is_stopped_while_it_connects_stops(tmp_path: Path, databases: Path) -> None:
    world = World(1, tmp_path / "world", databases, 600.0, tuple(Fault), Result(1), None)
    edge = world.edges[EDGES[0]]

    async def stopped() -> bool:
        Swallowing.asked = asyncio.Event()
        await edge.start()
        program, edge.agent = edge.agent, None
        assert program is not None
        await Swallowing.asked.wait()
        (running,) = [each for each in asyncio.all_tasks() if each.get_name() == edge.name]
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=30)
        await program.__aexit__(None, None, None)
        return bool(done)

    with world.stage(), mock.patch("aiomqtt.Client", Swallowing):
        assert run_virtual(stopped())


def test_a_centre_that_is_stopped_while_it_connects_stops(tmp_path: Path, databases: Path) -> None:
    world = World(1, tmp_path / "world", databases, 600.0, tuple(Fault), Result(1), None)

    async def stopped() -> bool:
        Swallowing.asked = asyncio.Event()
        await world.centre.start()
        await Swallowing.asked.wait()
        (running,) = [each for each in asyncio.all_tasks() if each.get_name() == "ingest"]
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=30)
        await world.centre.kill(power=False)
        return bool(done)

    with world.stage(), mock.patch("aiomqtt.Client", Swallowing):
        assert run_virtual(stopped())


def test_an_agent_that_is_stopped_in_the_moment_its_link_breaks_stops(tmp_path: Path, databases: Path) -> None:
    world = World(1, tmp_path / "world", databases, 600.0, tuple(Fault), Result(1), None)
    edge = world.edges[EDGES[0]]

    async def stopped() -> bool:
        await world.centre.start()
        await edge.start()
        await asyncio.sleep(60)
        assert edge.agent is not None
        assert edge.agent.uplink is not None
        assert edge.agent.uplink.connected
        program, edge.agent = edge.agent, None
        task = asyncio.current_task()
        (running,) = [each for each in asyncio.all_tasks() if each.get_name() == edge.name and each is not task]
        world.network.cut(edge.name)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=30)
        await program.__aexit__(None, None, None)
        await world.centre.kill(power=False)
        return bool(done)

    with world.stage():
        assert run_virtual(stopped())
