"""What SNMP peers do wrong, one by one, and what came of it: values that were never there, crashes, time.

Each fault is played to a device that was read well before, for some polls, and must be read well again after it.
Over v1 and v2c the peer is our own (`awkward_agent`); over v3 a relay before net-snmp's agent spoils what passes.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped]
from pysnmp.proto import rfc1905
from pysnmp.proto.mpmod import rfc3412
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from collectors.device import SnmpTarget
from collectors.snmp.collect import LEFT_S
from collectors.snmp.uptime import SYS_UPTIME
from tests.collectors.speaking.awkward_agent import (
    GEN_ERR,
    GET,
    GETBULK,
    GETNEXT,
    NO_SUCH_NAME,
    TOO_BIG,
    Request,
    arcs,
    awkward_agent,
    v2c,
)
from tests.collectors.speaking.profiles import CHARGE, LOAD, RUNTIME, VOLTAGE, ShiftedClock, poller, ups

BEHIND = "1.3.6.1.2.1.33.1.9.9.0"
HELD: dict[str, int] = {
    CHARGE: 88,
    RUNTIME: 31,
    VOLTAGE: 2190,
    **{f"{LOAD}.{row}": 40 + row for row in (1, 2, 3)},
    BEHIND: 1,
}
TRUE: dict[tuple[str, str], float | str] = {
    ("ups.battery.charge", ""): 88.0,
    ("ups.battery.runtime", ""): 31.0 * 60,
    ("ups.battery.voltage", ""): 219.0,
    **{("ups.output.load", f"phase/L{row}"): 40.0 + row for row in (1, 2, 3)},
}
LIE = 13
POLLS = 3
DEADLINE_S = 0.6
TIMEOUT_S = 0.05

Tell = Callable[[Request], list[bytes]]


def names(request: Request) -> list[str]:
    """The objects a good agent answers with."""
    if request.kind == GET:
        return request.oids
    count = int(v2c.apiBulkPDU.get_max_repetitions(request.pdu)) if request.kind == GETBULK else 1
    return [oid for oid in sorted(HELD, key=arcs) if arcs(oid) > arcs(request.oids[0])][:count]


def truth(request: Request) -> bytes:
    """What a good agent says."""
    if request.kind == GETNEXT and not names(request):
        return request.reply(error=NO_SUCH_NAME)
    return request.reply([(oid, _held(oid)) for oid in names(request)])


def _held(oid: str) -> Any:
    return v2c.TimeTicks(int(time.monotonic() * 100) % 2**32) if oid == SYS_UPTIME else HELD.get(oid)


def lie(request: Request, **how: Any) -> bytes:
    """The same with values that were never there."""
    return request.reply([(oid, LIE) for oid in names(request)], **how)


def said(request: Request, value: Any) -> bytes:
    """One value for everything that is asked."""
    return request.reply([(oid, value) for oid in names(request)])


def _late() -> Tell:
    owed: list[bytes] = []

    def tell(request: Request) -> list[bytes]:
        owed.append(lie(request))
        return [owed[-2]] if len(owed) > 1 else []

    return tell


def _once_silent() -> Tell:
    heard = 0

    def tell(request: Request) -> list[bytes]:
        nonlocal heard
        heard += 1
        return [truth(request)] if heard % 2 == 0 else []

    return tell


def _endless(step: int) -> Tell:
    def tell(request: Request) -> list[bytes]:
        if request.kind == GET:
            return [truth(request)]
        last = int(request.oids[0].removeprefix(LOAD).lstrip(".") or 0)
        if last < 3:
            return [request.reply([(f"{LOAD}.{last + 1}", 41 + last)])]
        return [request.reply([(f"{LOAD}.{max(1, last + step)}", v2c.OctetString(b"x"))])]

    return tell


def _spoilt(seed: int) -> Tell:
    dice = random.Random(seed)

    def tell(request: Request) -> list[bytes]:
        # Only what frames a value: a changed byte within it could be told from a true one by nobody.
        data = bytearray(truth(request))
        data[dice.randrange(2, 14)] ^= 1 << dice.randrange(8)
        return [bytes(data)]

    return tell


def _fixed(tell: Tell) -> Callable[[], Tell]:
    return lambda: tell


def _values_only(tell: Tell) -> Callable[[], Tell]:
    """The fault in answers to GET, walks answered well."""
    return lambda: lambda request: tell(request) if request.kind == GET else [truth(request)]


FAULTS: dict[str, Callable[[], Tell]] = {
    "silence": _fixed(lambda request: []),
    "every other datagram lost": _once_silent,
    "late, with other values": _late,
    "wrong request id": _fixed(lambda request: [lie(request, request_id=4711)]),
    "wrong request id, then right": _fixed(lambda request: [lie(request, request_id=4711), truth(request)]),
    "twice": _fixed(lambda request: [truth(request), truth(request)]),
    "right, then another value": _fixed(lambda request: [truth(request), lie(request)]),
    "truncated": _fixed(lambda request: [truth(request)[:-3]]),
    "cut after the header": _fixed(lambda request: [truth(request)[:5]]),
    "empty datagram": _fixed(lambda request: [b""]),
    "garbage": _fixed(lambda request: [b"\x30\x84\xff\xff\xff\xff" + bytes(range(64))]),
    "garbage, then right": _fixed(lambda request: [b"hello", truth(request)]),
    "stray bytes behind": _fixed(lambda request: [truth(request) + b"\x30\x03\x02\x01\x0d"]),
    "oversize": _fixed(
        lambda request: [request.reply([(f"1.3.6.1.4.1.99.8.{n}", v2c.OctetString(b"x" * 900)) for n in range(60)])]
    ),
    "oversize of what was asked": _fixed(
        lambda request: [request.reply([(oid, v2c.OctetString(b"9" * 5000)) for oid in names(request)])]
    ),
    "other objects": _fixed(lambda request: [request.reply([("1.3.6.1.4.1.99.7.0", LIE)])]),
    "no objects": _fixed(lambda request: [request.reply([])]),
    "values in another order": _fixed(
        lambda request: [request.reply([(oid, _held(oid)) for oid in reversed(names(request))])]
    ),
    "wrong type: text": _fixed(lambda request: [said(request, v2c.OctetString(b"OFFLINE"))]),
    "wrong type: object id": _fixed(lambda request: [said(request, v2c.ObjectIdentifier("1.3.6.1.13"))]),
    "wrong type: address": _fixed(lambda request: [said(request, v2c.IpAddress("13.13.13.13"))]),
    "wrong type: null": _fixed(lambda request: [said(request, v2c.Null(""))]),
    "wrong type: opaque": _fixed(lambda request: [said(request, v2c.Opaque(b"\x9f\x78\x04\x41\x50\x00\x00"))]),
    "beyond every range": _fixed(lambda request: [said(request, v2c.Counter64(2**64 - 1))]),
    "noSuchObject": _values_only(lambda request: [said(request, v2c.NoSuchObject())]),
    "noSuchInstance": _values_only(lambda request: [said(request, v2c.NoSuchInstance())]),
    "endOfMibView": _fixed(lambda request: [said(request, v2c.EndOfMibView())]),
    "noSuchName": _fixed(lambda request: [request.reply(error=NO_SUCH_NAME)]),
    "tooBig": _fixed(lambda request: [request.reply(error=TOO_BIG)]),
    "tooBig for more than one": _fixed(
        lambda request: [request.reply(error=TOO_BIG) if len(names(request)) > 1 else truth(request)]
    ),
    "genErr": _fixed(lambda request: [request.reply(error=GEN_ERR)]),
    "genErr for one object": _fixed(
        lambda request: [request.reply(error=GEN_ERR) if RUNTIME in request.oids else truth(request)]
    ),
    "an error that does not exist": _fixed(lambda request: [request.reply(error=99)]),
    "endless walk": lambda: _endless(1),
    "walk that stands still": lambda: _endless(0),
    "walk that goes back": lambda: _endless(-1),
    "spoilt header": lambda: _spoilt(1),
    "flood": _fixed(lambda request: [lie(request, request_id=n) for n in range(200)]),
}


# What a message of v1 cannot say.
_NOT_IN_V1 = ("beyond every range", "noSuchObject", "noSuchInstance", "endOfMibView")
PLAYS = [
    (fault, version) for fault in FAULTS for version in ("v1", "v2c") if version == "v2c" or fault not in _NOT_IN_V1
]


@dataclass(slots=True)
class Verdict:
    """What came of one fault. right, bad, wrong: readings in the polls under it; again: polls until all was well;
    waited: only after what the agent had denied was asked again, a minute later.
    """

    fault: str
    version: str
    right: int = 0
    bad: int = 0
    wrong: int = 0
    crashes: int = 0
    requests: int = 0
    slowest_s: float = 0.0
    again: int = 0
    waited: bool = False
    examples: str = ""


class Play:
    """Polls of one device, judged against what is true."""

    def __init__(self, target: SnmpTarget, fault: str) -> None:
        self._clock = ShiftedClock()
        self._device = poller(target, ups(), deadline_s=DEADLINE_S, interval_s=0.001, clock=self._clock)
        self.verdict = Verdict(fault, str(target.version))

    async def poll(self, *, under_fault: bool) -> bool:
        """True where everything was read."""
        verdict = self.verdict
        started = time.monotonic()
        try:
            outcome = await self._device.poll()
        except Exception as exc:  # noqa: BLE001 - any at all is what is looked for
            verdict.crashes += 1
            verdict.examples = repr(exc)
            return False
        read = {(r.metric, r.subject): r.value for r in outcome.readings if r.metric != "device.communication"}
        wrong = {key: value for key, value in read.items() if value is not None and TRUE.get(key) != value}
        verdict.wrong += len(wrong)
        if wrong:
            verdict.examples = str(wrong)
        if under_fault:
            verdict.right += sum(key in TRUE and TRUE[key] == value for key, value in read.items())
            verdict.bad += sum(value is None for value in read.values())
            verdict.requests += outcome.requests
            verdict.slowest_s = max(verdict.slowest_s, time.monotonic() - started)
        return read == TRUE

    async def through(self, begin: Callable[[], None], end: Callable[[], None]) -> Verdict:
        """Well, then some polls under the fault, then until it is well again: at most 50 polls and a minute."""
        try:
            assert await self.poll(under_fault=False), "the device was not well before the fault"
            begin()
            for _ in range(POLLS):
                await self.poll(under_fault=True)
            end()
            for again in range(1, 51):
                if await self.poll(under_fault=False):
                    self.verdict.again = again
                    break
                await asyncio.sleep(0.001)  # its breaker counts in intervals of 1 ms
                if again == 25:
                    self._clock.ahead_s += LEFT_S + 1
                    self.verdict.waited = True
            return self.verdict
        finally:
            await self._device.close()


async def play(fault: str, version: str) -> Verdict:
    """One fault over v1 or v2c."""
    tell: list[Tell] = [lambda request: [truth(request)]]
    async with awkward_agent(lambda request: tell[0](request)) as (port, _):
        target = SnmpTarget("127.0.0.1", port=port, version=version, community="public", timeout_s=TIMEOUT_S)
        spoilt, well = FAULTS[fault](), tell[0]
        return await Play(target, fault).through(lambda: tell.__setitem__(0, spoilt), lambda: tell.__setitem__(0, well))


# --- v3: a relay before a real agent ---------------------------------------------------------------------------------

Meddle = Callable[[bytes, bytes, list[bytes]], list[bytes]]  # request, its answer, all answers before


def _flipped(at: int) -> Meddle:
    def meddle(request: bytes, answer: bytes, before: list[bytes]) -> list[bytes]:
        data = bytearray(answer)
        data[at] ^= 0x01
        return [bytes(data)]

    return meddle


def not_in_time_window(request: bytes) -> bytes:
    """A report usmStatsNotInTimeWindows to a request, not authentic: anybody on the way can send it."""
    asked, _ = decoder.decode(request, asn1Spec=rfc3412.SNMPv3Message())
    header = asked.getComponentByName("msgGlobalData")
    params, _ = decoder.decode(
        asked.getComponentByName("msgSecurityParameters").asOctets(), asn1Spec=UsmSecurityParameters()
    )
    params.setComponentByName("msgAuthenticationParameters", b"")
    params.setComponentByName("msgPrivacyParameters", b"")
    params.setComponentByName("msgAuthoritativeEngineBoots", 77)
    params.setComponentByName("msgAuthoritativeEngineTime", 7)
    pdu = rfc1905.ReportPDU()
    api = v2c.apiPDU
    api.set_defaults(pdu)
    api.set_varbinds(pdu, [(v2c.ObjectIdentifier("1.3.6.1.6.3.15.1.1.2.0"), v2c.Counter32(5))])
    report = rfc3412.SNMPv3Message()
    report.setComponentByName("msgVersion", 3)
    report.setComponentByName("msgGlobalData")
    mine = report.getComponentByName("msgGlobalData")
    for name in ("msgID", "msgMaxSize", "msgSecurityModel"):
        mine.setComponentByName(name, header.getComponentByName(name))
    mine.setComponentByName("msgFlags", b"\x00")
    report.setComponentByName("msgSecurityParameters", encoder.encode(params))
    report.setComponentByName("msgData")
    data = report.getComponentByName("msgData")
    data.setComponentByName("plaintext")
    scoped = data.getComponentByName("plaintext")
    scoped.setComponentByName("contextEngineId", params.getComponentByName("msgAuthoritativeEngineId").asOctets())
    scoped.setComponentByName("contextName", b"")
    scoped.setComponentByName("data")
    scoped.getComponentByName("data").setComponentByName("report", pdu)
    return bytes(encoder.encode(report))


V3_FAULTS: dict[str, Meddle] = {
    "silence": lambda request, answer, before: [],
    "late: the answer before": lambda request, answer, before: before[-1:],
    "an old answer, then right": lambda request, answer, before: [before[0], answer],
    "twice": lambda request, answer, before: [answer, answer],
    "truncated": lambda request, answer, before: [answer[:-3]],
    "stray bytes before": lambda request, answer, before: [b"\x00\x01\x02", answer],
    "stray bytes behind": lambda request, answer, before: [answer + b"\x02\x01\x0d"],
    "a bit of the value": _flipped(-2),
    "a bit of the digest": _flipped(60),
    "a bit of the engine's time": _flipped(40),
    "notInTimeWindow, for ever": lambda request, answer, before: [not_in_time_window(request)],
    "notInTimeWindow, then right": lambda request, answer, before: [not_in_time_window(request), answer],
}


class _Relay(asyncio.DatagramProtocol):
    """One client's datagrams to an agent and back, spoilt on the way back."""

    def __init__(self, agent_port: int) -> None:
        self.meddle: Meddle | None = None
        self._agent_port = agent_port
        self._before: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._pass(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, data: bytes, addr: Any) -> None:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()

        class Agent(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                if not answered.done():
                    answered.set_result(data)

        agent, _ = await loop.create_datagram_endpoint(Agent, remote_addr=("127.0.0.1", self._agent_port))
        try:
            agent.sendto(data)
            answer = await asyncio.wait_for(answered, 1.0)
        except TimeoutError:
            return
        finally:
            agent.close()
        for datagram in [answer] if self.meddle is None else self.meddle(data, answer, self._before or [answer]):
            self._transport.sendto(datagram, addr)
        self._before.append(answer)


@asynccontextmanager
async def relay(agent_port: int) -> AsyncIterator[tuple[int, _Relay]]:
    """The port to ask in place of the agent's."""
    transport, between = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Relay(agent_port), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1], between
    finally:
        transport.close()


async def play_v3(fault: str, agent: Any) -> Verdict:
    """One fault over v3 authPriv, before an agent of `tests.support.snmpd` that serves `HELD`."""
    user = agent.v3
    async with relay(agent.port) as (port, between):
        target = SnmpTarget(
            "127.0.0.1",
            port=port,
            version="v3",
            user=user.name,
            auth="sha256",
            auth_key=user.auth_password,
            priv="aes128",
            priv_key=user.priv_password,
            timeout_s=TIMEOUT_S,
        )
        return await Play(target, fault).through(
            lambda: setattr(between, "meddle", V3_FAULTS[fault]), lambda: setattr(between, "meddle", None)
        )
