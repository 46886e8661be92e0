"""A broker and its network in virtual time: what `aiomqtt.Client` is to the programs, without a socket.

Each program has a link of its own. On a link messages take time, get lost, come twice or overtake one another, and a
cut ends the session of whoever was on it. Nothing is kept for a session that is gone: sessions are clean.
"""

import asyncio
import functools
import random
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiomqtt


@dataclass(slots=True)
class Link:
    """How one program's way to the broker is now. latency: seconds from, to; loss, twice, overtake: chances."""

    up: bool = True
    latency: tuple[float, float] = (0.005, 0.05)
    loss: float = 0.0
    twice: float = 0.0
    overtake: float = 0.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as aiomqtt hands it over."""

    topic: str
    payload: bytes


@dataclass
class Network:
    """The broker and the links to it, by name of the program."""

    dice: random.Random
    links: dict[str, Link] = field(default_factory=dict)
    sessions: list["Session"] = field(default_factory=list)
    carried: int = 0
    lost: int = 0
    doubled: int = 0

    def link_of(self, identifier: str) -> tuple[str, Link]:
        """The link whose name is in a client identifier, the longest that fits."""
        name = max((name for name in self.links if name in identifier), key=len)
        return name, self.links[name]

    def cut(self, name: str) -> None:
        """The link is gone, and with it every session on it; the broker speaks their last wills."""
        self.links[name].up = False
        self.end(name, "the link is cut")

    def end(self, name: str, why: str) -> None:
        for session in [each for each in self.sessions if each.link_name == name]:
            session.break_off(why)
            if session.will is not None:
                self.spread(str(session.will.topic), _bytes(session.will.payload))

    def spread(self, topic: str, payload: bytes) -> None:
        """To everybody who asked for the topic, each over his own link."""
        for session in list(self.sessions):
            if any(_fits(pattern, topic) for pattern in session.patterns):
                self.carry(
                    session.link, session.inbound, lambda session=session: session.arrive(Letter(topic, payload))
                )

    def carry(self, link: Link, lane: list[float], deliver: Any) -> None:
        """Over a link: late, lost, twice or overtaken, as the link is."""
        loop = asyncio.get_running_loop()
        copies = 1 + (self.dice.random() < link.twice)
        self.doubled += copies - 1
        for _ in range(copies):
            if self.dice.random() < link.loss:
                self.lost += 1
                continue
            at = loop.time() + self.dice.uniform(*link.latency)
            if self.dice.random() >= link.overtake:
                # TCP keeps the order; another worker, or a second delivery, does not.
                at = lane[0] = max(at, lane[0] + 1e-6)
            self.carried += 1
            loop.call_at(at, deliver)


class Session:
    """Stands where `aiomqtt.Client` does: the part of its interface that the programs use."""

    network: Network

    def __init__(self, hostname: str, port: int = 1883, **options: Any) -> None:
        self._identifier = str(options["identifier"])
        self.will: aiomqtt.Will | None = options.get("will")
        self._timeout = float(options.get("timeout") or 10.0)
        self._most = int(options.get("max_queued_incoming_messages") or 1_000_000)
        self.pending_calls_threshold = 10
        self.link_name, self.link = self.network.link_of(self._identifier)
        self.patterns: list[str] = []
        self.inbound, self._outbound = [0.0], [0.0]
        self._waiting: deque[Letter] = deque()
        self._some = asyncio.Event()
        self._broken = ""

    async def __aenter__(self) -> "Session":
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.network.dice.uniform(*self.link.latency))
        if not self.link.up:
            raise aiomqtt.MqttError("the broker cannot be reached")
        for other in [each for each in self.network.sessions if each._identifier == self._identifier]:
            other.break_off("another session took the name")
        self.inbound[0] = self._outbound[0] = loop.time()
        self.network.sessions.append(self)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.break_off("closed")

    def break_off(self, why: str) -> None:
        """The session is over; nothing that is under way to it arrives."""
        self._broken = self._broken or why
        self._some.set()
        if self in self.network.sessions:
            self.network.sessions.remove(self)

    async def subscribe(self, topic: str, qos: int = 0) -> None:
        await self._round_trip()
        self.patterns.append(topic)

    async def publish(
        self, topic: str, payload: bytes, qos: int = 0, retain: bool = False, timeout: float | None = None
    ) -> None:
        self._check()
        self.network.carry(
            self.link, self._outbound, lambda: None if self._broken else self.network.spread(topic, payload)
        )
        if qos:
            await self._round_trip()

    async def _round_trip(self) -> None:
        """The broker's word that it has it. A lost one is sent again by TCP, so it only takes longer."""
        await asyncio.sleep(2 * min(self.network.dice.uniform(*self.link.latency), self._timeout))
        self._check()

    def _check(self) -> None:
        if self._broken:
            raise aiomqtt.MqttError(self._broken)

    def arrive(self, letter: Letter) -> None:
        if not self._broken and len(self._waiting) < self._most:
            self._waiting.append(letter)
            self._some.set()

    @property
    def messages(self) -> AsyncIterator[Letter]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[Letter]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            self._check()
            self._some.clear()
            await self._some.wait()


def _bytes(payload: Any) -> bytes:
    assert isinstance(payload, bytes)
    return payload


# A run has a few dozen of both, and each message asks for every pattern.
@functools.cache
def _fits(pattern: str, topic: str) -> bool:
    wanted, parts = pattern.split("/"), topic.split("/")
    return len(wanted) == len(parts) and all(want in ("+", part) for want, part in zip(wanted, parts, strict=True))
