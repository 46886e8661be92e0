"""An independent centre in small: reads the wire with json and zlib alone, keeps a ledger, answers as told."""

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

Judge = Callable[[dict[str, Any], list[Any]], dict[str, Any] | None]


def committed(header: dict[str, Any], items: list[Any]) -> dict[str, Any]:
    return {"verdict": "committed"}


@dataclass
class Ledger:
    """Blocks by (stream, seq) as first committed. judge: verdict for a block, None to stay silent."""

    host: str
    port: int
    judge: Judge = committed
    blocks: dict[tuple[str, int], tuple[dict[str, Any], list[Any]]] = field(default_factory=dict)
    deliveries: Counter[tuple[str, int]] = field(default_factory=Counter)
    conflicting: list[tuple[str, int]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    order: list[tuple[str, int]] = field(default_factory=list)
    sizes: dict[tuple[str, int], int] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _client: aiomqtt.Client | None = None

    async def __aenter__(self) -> "Ledger":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with aiomqtt.Client(self.host, self.port, max_queued_incoming_messages=100_000) as client:
                    await client.subscribe("coldaisle/v1/+/+/blocks/+", qos=1)
                    await client.subscribe("coldaisle/v1/+/+/status", qos=1)
                    self._client = client
                    async for message in client.messages:
                        await self._heard(client, str(message.topic), bytes(message.payload))
            except aiomqtt.MqttError:
                await asyncio.sleep(0.05)

    async def begin(self, site: str, agent: str) -> None:
        """Say that it begins to listen, as a centre does that was started again."""
        assert self._client is not None
        await self._client.publish(f"coldaisle/v1/{site}/{agent}/answers", json.dumps({"v": 1, "answers": []}), qos=1)

    async def _heard(self, client: aiomqtt.Client, topic: str, payload: bytes) -> None:
        if topic.endswith("/status"):
            self.statuses.append(json.loads(payload))
            return
        line, _, body = payload.partition(b"\n")
        header = json.loads(line)
        items = json.loads(zlib.decompress(body))
        assert topic.rsplit("/", 1)[1] == header["kind"]
        name = (header["stream"], header["seq"])
        self.deliveries[name] += 1
        self.order.append(name)
        self.sizes[name] = len(payload)
        if name in self.blocks and self.blocks[name][0]["digest"] != header["digest"]:
            self.conflicting.append(name)
        answer = self.judge(header, items)
        if answer is None:
            return
        if answer["verdict"] == "committed":
            self.blocks.setdefault(name, (header, items))
        answer = {"stream": name[0], "seq": name[1], **answer}
        reply = json.dumps({"v": 1, "answers": [answer]})
        await client.publish(topic.rsplit("/blocks/", 1)[0] + "/answers", reply, qos=1)

    def items(self, kind: str) -> list[Any]:
        """Items of the committed blocks of a kind, in the order of their numbers."""
        named = sorted(self.blocks.items())
        return [item for _, (header, items) in named if header["kind"] == kind for item in items]

    def samples(self, device: str, metric: str, subject: str = "") -> list[tuple[int, Any]]:
        """(time, value) of a point in all committed readings blocks, sorted."""
        return sorted(
            (at, value)
            for series in self.items("readings")
            if (series["device"], series["metric"], series.get("subject", "")) == (device, metric, subject)
            for at, value in zip(series["at"], series["value"], strict=True)
        )

    def events(self) -> list[dict[str, Any]]:
        """Alarm events, in the order of their blocks."""
        return [item["event"] for item in self.items("alarms") if item.get("event") is not None]
