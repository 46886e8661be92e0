"""The SNMP, Modbus and trap readers `bench.fuzz` feeds, through the true clients and receivers."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st

from bench.fuzz_edits import Edit, edits, spoilt
from bench.fuzz_target import ROOT, Target, profile_of, sane
from collectors.device import DevicePoller, ModbusLinks, ModbusTarget, SnmpTarget
from collectors.exchange import Table
from collectors.modbus.frames import MAX_FRAME, Ear, TcpEar, crc
from collectors.modbus.target import Framing
from collectors.plan import Block
from collectors.traps.access import TrapAccess, TrapUser
from collectors.traps.events import trap_detail
from collectors.traps.limits import Repeats
from collectors.traps.notification import Answer, Notification, TrapResult
from collectors.traps.receiver import TrapReceiver
from collectors.traps.table import TrapTable
from tests.collectors.speaking.awkward_agent import Request, awkward_agent, v2c
from tests.collectors.speaking.gateway import Frame, Say, odd_gateway
from tests.collectors.speaking.profiles import poller, probes, system_clock, ups
from tests.collectors.speaking.snmp_faults import HELD, relay
from tests.support.snmpd import Snmpd
from tests.support.snmptrap import TrapSender

# Of the devices polled at once, those that speak SNMPv3.
V3_DEVICES = 2

_snmp_value = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(v2c.Integer),
    st.integers(0, 2**32 - 1).map(v2c.Counter32),
    st.integers(0, 2**32 - 1).map(v2c.Gauge32),
    st.integers(0, 2**32 - 1).map(v2c.TimeTicks),
    st.integers(0, 2**64 - 1).map(v2c.Counter64),
    st.binary(max_size=40).map(v2c.OctetString),
    st.sampled_from(["12.5", "-1", "1e400", "NaN", " 7 %", "\x00", "٣"]).map(lambda t: v2c.OctetString(t.encode())),
    st.binary(max_size=12).map(lambda tail: v2c.Opaque(b"\x9f\x78" + tail)),
    st.binary(min_size=4, max_size=4).map(v2c.IpAddress),
    st.lists(st.integers(0, 2**32 - 1), max_size=6).map(lambda arcs: v2c.ObjectIdentifier((1, 3, *arcs))),
    st.just(None),
)


class Snmp(Target):
    """Several devices polled at once by the true client; each hears its answers spoilt in its own way."""

    per_input = 16
    waits = True
    deadline_s = 0.12
    allowed_s = deadline_s
    inputs = st.lists(
        st.tuples(st.lists(edits, min_size=1, max_size=3), st.lists(_snmp_value, min_size=1, max_size=6)),
        min_size=per_input,
        max_size=per_input,
    )

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._spoil: list[tuple[list[tuple[Edit, ...]], list[Any]]] = [([()], [1])] * self.per_input
        self._books: list[list[Request]] = []  # what the peers wrote down, which would be taken for a leak
        self._devices: list[DevicePoller] = self._runner.run(self._open())

    async def _open(self) -> list[DevicePoller]:
        devices = [await self._v3(at) for at in range(V3_DEVICES)]
        for at in range(V3_DEVICES, self.per_input):
            port, heard = await self._stack.enter_async_context(awkward_agent(self._answers(at)))
            self._books.append(heard)
            version = "v1" if at % 4 == 0 else "v2c"
            target = SnmpTarget("127.0.0.1", port=port, version=version, community="public", timeout_s=0.04)
            devices.append(poller(target, ups(), deadline_s=self.deadline_s, interval_s=0.0001))
        return devices

    async def _v3(self, at: int) -> DevicePoller:
        """net-snmp's agent behind a relay that spoils its reports and answers."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        agent = self._stack.enter_context(Snmpd(folder, overrides=[(oid, "integer", n) for oid, n in HELD.items()]))
        port, between = await self._stack.enter_async_context(relay(agent.port))

        def meddle(request: bytes, answer: bytes, before: list[bytes]) -> list[bytes]:
            before.clear()
            return [spoilt(answer, each) for each in self._spoil[at][0]]

        between.meddle = meddle
        user = agent.v3
        target = SnmpTarget(
            "127.0.0.1",
            port=port,
            version="v3",
            user=user.name,
            auth="sha256",
            auth_key=user.auth_password,
            priv="aes128",
            priv_key=user.priv_password,
            timeout_s=0.04,
        )
        return poller(target, ups(), deadline_s=self.deadline_s, interval_s=0.0001)

    def _answers(self, at: int) -> Callable[[Request], list[bytes]]:
        def answer(request: Request) -> list[bytes]:
            changes, said = self._spoil[at]
            named = [(oid, said[n % len(said)]) for n, oid in enumerate(request.oids)]
            if request.kind:  # a walk goes on below what was asked
                named = [(f"{oid}.{n + 1}", value) for n, (oid, value) in enumerate(named)]
            good = request.reply(named)
            return [spoilt(good, each) for each in changes]

        return answer

    def feed(self, value: Any) -> str:
        self._spoil = value
        for book in self._books:
            book.clear()
        outcomes = self._runner.run(self._poll())
        return "some read" if "good" in outcomes else "none read"

    async def _poll(self) -> list[str]:
        return [sane(done.readings) for done in await asyncio.gather(*(each.poll() for each in self._devices))]

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()


_block = st.builds(Block, st.sampled_from(Table), st.integers(0, 60000), st.integers(1, 125))
_modbus_input = st.tuples(_block, st.integers(1, 247), edits, edits, st.integers(1, 64), st.binary(max_size=250))


class Modbus(Target):
    """Answers spoilt, in pieces, at the ears of TCP and RTU; each fiftieth through the true client and a gateway."""

    waits = False
    deadline_s = 0.15
    inputs = _modbus_input

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._turn = 0
        self._now: Any = None
        self._books: list[list[Frame]] = []
        self._devices: list[tuple[DevicePoller, ModbusLinks]] = self._runner.run(self._open())

    async def _open(self) -> list[tuple[DevicePoller, ModbusLinks]]:
        async def reply(frame: Frame, say: Say) -> None:
            _, _, first, second, _, data = self._now
            words = [int.from_bytes(data[n % max(1, len(data)) :][:2], "big") for n in range(frame.count)]
            good = frame.answer(values=words)
            await say(spoilt(good, first) or b"\x00")
            await say(spoilt(good, second) or b"\x00")

        devices = []
        for rtu in (False, True):
            port, heard = await self._stack.enter_async_context(odd_gateway(reply, rtu=rtu))
            self._books.append(heard)
            links = ModbusLinks(clock=system_clock())
            framing = Framing.RTU if rtu else Framing.TCP
            target = ModbusTarget("127.0.0.1", port=port, timeout_s=0.03, framing=framing)
            device = poller(target, probes([1, 2, 40]), links=links, deadline_s=self.deadline_s, interval_s=0.0001)
            devices.append((device, links))
        return devices

    def feed(self, value: Any) -> str:
        self._now = value
        self._turn += 1
        if self._turn % 50 == 0:
            return "client " + self._runner.run(self._poll())
        heard = [self._listen(ear, value, rtu=isinstance(ear, Ear)) for ear in (TcpEar(), Ear())]
        return "heard" if any(heard) else "nothing heard"

    async def _poll(self) -> str:
        for book in self._books:
            book.clear()
        done = await asyncio.gather(*(device.poll() for device, _ in self._devices))
        return max(sane(each.readings) for each in done)

    def _listen(self, ear: Ear | TcpEar, value: Any, *, rtu: bool) -> bool:
        block, unit, first, second, piece, data = value
        size = (block.count + 7) // 8 if block.table in (Table.COIL, Table.DISCRETE) else 2 * block.count
        body = bytes([unit, block.table.function, size]) + (data * (size // max(1, len(data)) + 1))[:size].ljust(size)
        good = (
            body + crc(body).to_bytes(2, "little") if rtu else b"\x00\x07\x00\x00" + len(body).to_bytes(2, "big") + body
        )
        ear.ask(unit, block)
        if isinstance(ear, TcpEar):
            ear.sent(b"\x00\x07")
        sent = spoilt(good, first) + spoilt(good, second)
        found = False
        for at in range(0, len(sent), piece):
            frame = ear.hear(sent[at : at + piece])
            if frame:
                self._right(frame, block, unit, size, rtu=rtu)
                found = True
        if len(ear._heard) > 2 * MAX_FRAME:
            raise AssertionError(f"{len(ear._heard)} bytes kept")
        return found

    @staticmethod
    def _right(frame: bytes, block: Block, unit: int, size: int, *, rtu: bool) -> None:
        body = frame if rtu else frame[6:]
        function = block.table.function
        long = (5 if rtu else 3) + size
        if body[0] != unit or (body[1] == function and len(body) != long) or body[1] & 0x7F != function:
            raise AssertionError(f"{frame.hex(' ')} was taken for the answer to {block} of unit {unit}")
        if rtu and crc(body[:-2]) != int.from_bytes(body[-2:], "little"):
            raise AssertionError("a wrong checksum was taken")

    def close(self) -> None:
        async def end() -> None:
            for _, links in self._devices:
                await links.close()
            await self._stack.aclose()

        self._runner.run(end())
        self._runner.close()


class Traps(Target):
    """Datagrams of net-snmp's snmptrap, spoilt, at the receiver; what comes through goes on to the event's words."""

    seeds: ClassVar[list[bytes]] = []
    inputs = st.tuples(st.integers(0, 100), edits)

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._heard: list[tuple[Notification, Answer | None]] = []
        self._word = ""
        table = (ROOT / "collectors/profiles/apc/ups-powernet.yaml").read_text(encoding="utf-8")
        self._table = TrapTable(profile_of(table, "apc/ups-powernet").traps)
        self._repeats = Repeats()
        self._receiver = self._runner.run(self._open())

    async def _open(self) -> TrapReceiver:
        self.seeds[:] = await _recorded_traps()
        user = TrapSender(1, ROOT).user
        known = TrapUser(user.name, "sha256", user.auth_password, "aes128", user.priv_password)
        access = TrapAccess(("public",), (known, TrapUser("nobody")))
        receiver = TrapReceiver(
            access,
            engine_id=b"\x80\x00\x4f\xb8\x05fuzz",
            boots=1,
            admit=lambda source: True,
            take=lambda notification, answer: self._heard.append((notification, answer)),
            lost=self._lost,
        )
        await receiver.open("127.0.0.1", 0)
        return receiver

    def _lost(self, result: TrapResult, source: str, why: str) -> None:
        self._word = str(result)

    def feed(self, value: Any) -> str:
        which, changes = value
        self._heard, self._word = [], "ignored"
        return self._runner.run(self._receive(spoilt(self.seeds[which % len(self.seeds)], changes)))

    async def _receive(self, datagram: bytes) -> str:
        self._receiver._received(datagram, ("127.0.0.1", 40000))
        for notification, answer in self._heard:
            self._word = "taken"
            self._repeats.again(notification, 0.0)
            trap_detail(notification, TrapResult.UNDERSTOOD, self._table.find(notification), ["ups-1"])
            if answer is not None:
                answer()
        return self._word

    def close(self) -> None:
        self._runner.run(self._receiver.close())
        self._runner.close()


async def _recorded_traps() -> list[bytes]:
    """One datagram of each kind as net-snmp sends it; an inform's first question for v3."""
    heard: list[bytes] = []

    class Listen(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            heard.append(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Listen, local_addr=("127.0.0.1", 0))
    bind = ("1.3.6.1.4.1.318.2.3.3.0", "s", "UPS: on battery power."), ("1.3.6.1.2.1.1.3.0", "t", "12345")
    with tempfile.TemporaryDirectory() as folder:
        sender = TrapSender(transport.get_extra_info("sockname")[1], Path(folder))
        await sender.v1("1.3.6.1.4.1.318", 6, 5, *bind)
        await sender.v2c("1.3.6.1.4.1.318.0.5", *bind)
        await sender.v2c("1.3.6.1.4.1.318.0.5", *bind, inform=True, timeout=0.1)
        await sender.v3("1.3.6.1.4.1.318.0.5", *bind)
        await sender.v3("1.3.6.1.4.1.318.0.5", *bind, level="authNoPriv")
        await asyncio.sleep(0.05)
    transport.close()
    # By hand: of a user who proves nothing, so that what is behind the head is reached by every change.
    return [*heard, heard[3].replace(b"\x04\x01\x03", b"\x04\x01\x00")]
