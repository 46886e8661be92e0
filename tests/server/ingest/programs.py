"""The true server as a process, and a sender that speaks the wire by hand over a real broker."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import yaml

from tests.server.ingest.alarm_model import AlarmModel
from tests.server.ingest.wire_by_hand import Sender, catalog, series
from tests.support.peers import free_port
from tests.support.programs import Program

ROOT = Path(__file__).parents[3]
METRIC = "room.temperature"
# What an agent has unanswered at most (DESIGN of the wire), and how soon this one asks again.
WINDOW = 32
RESEND_S = 1.0


class ServerProgram(Program):
    """`coldaisle server run` in a process of its own; killed and started again it is the same server."""

    def __init__(
        self, folder: Path, *, name: str, database_url: str, broker_port: int, role: str = "all", shared: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        mqtt: dict[str, Any] = {"host": "127.0.0.1", "port": broker_port, "auto_enrol": True}
        if shared:
            mqtt["shared_group"] = "ingest"
        settings = {
            "version": 1,
            "data_dir": str(folder / "data"),
            "database_url": database_url,
            "role": role,
            "http": {"port": self.port},
            "mqtt": mqtt,
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
        super().__init__(
            name,
            [sys.executable, "-m", "coldaisle", "server", "run", "--config", str(folder / f"{name}.yaml")],
            folder=folder,
            environment={"PYTHONPATH": str(ROOT)},
            ready=self._answers,
            start_s=60.0,
        )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False


@dataclass
class CountingAgent:
    """Sends a counter per point: sample i of every point has value i. Keeps blocks until they are answered.

    It is a model of what an agent owes: a window of unanswered blocks, resending, and answers taken at their word.
    With `alarms`, every block of readings is followed by one with an alarm event of some device.
    """

    site: str
    agent: str
    points: int
    broker_port: int
    start_ms: int
    interval_ms: int
    alarms: AlarmModel | None = None
    sender: Sender = field(init=False)
    unsent: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    sent_at: dict[int, float] = field(default_factory=dict)
    made: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    # How often the centre said that it begins to listen.
    begun: int = 0

    def __post_init__(self) -> None:
        self.sender = Sender(self.site, self.agent)
        self._journal("catalog", [catalog({name: [(METRIC, "")] for name in self.devices()})])

    def devices(self) -> list[str]:
        return [f"{self.agent}-p{number}" for number in range(self.points)]

    def owed(self) -> dict[str, list[float]]:
        """What history must hold: device -> values in order of time."""
        return {device: [float(i) for i in range(self.made)] for device in self.devices()}

    def _journal(self, kind: str, items: list[Any]) -> None:
        topic, payload, seq = self.sender.next(kind, items)
        self.unsent[seq] = (topic, payload)

    def count(self, samples: int) -> None:
        """Journal the next samples of every point as one block."""
        rows = [(self.start_ms + i * self.interval_ms, float(i)) for i in range(self.made, self.made + samples)]
        self.made += samples
        self._journal("readings", [series(device, METRIC, rows) for device in self.devices()])
        if self.alarms is not None:
            device = self.alarms.dice.choice(self.devices())
            self._journal("alarms", [self.alarms.next_event(device, rows[-1][0])])

    async def run(self, *, stop: Callable[[], bool]) -> None:
        """Send and resend until `stop`, over whatever happens to the broker."""
        while not stop():
            try:
                async with aiomqtt.Client("127.0.0.1", self.broker_port, timeout=5.0) as client:
                    client.pending_calls_threshold = 1000
                    await client.subscribe(f"coldaisle/v1/{self.site}/{self.agent}/answers", qos=1)
                    listener = asyncio.create_task(self._listen(client))
                    try:
                        while not stop():
                            await self._send(client)
                            await asyncio.sleep(0.01)
                    finally:
                        listener.cancel()
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    async def _send(self, client: aiomqtt.Client) -> None:
        now = time.monotonic()
        # The catalog alone goes first: readings of devices nobody announced would be refused for good.
        window = sorted(self.unsent)[: 1 if 1 in self.unsent else WINDOW]
        for seq in window:
            block = self.unsent.get(seq)  # answered meanwhile, perhaps
            if block is not None and now - self.sent_at.get(seq, -RESEND_S) >= RESEND_S:
                self.sent_at[seq] = now
                topic, payload = block
                await client.publish(topic, payload, qos=1)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            answers = json.loads(message.payload)["answers"]
            self.begun += not answers
            for answer in answers:
                verdict = answer["verdict"]
                self.answers[verdict] = self.answers.get(verdict, 0) + 1
                assert not answer.get("rejected"), answer
                if verdict == "committed":
                    self.unsent.pop(answer["seq"], None)
                    self.sent_at.pop(answer["seq"], None)
                else:
                    assert verdict == "retry", answer
