"""One SNMP agent (v2c or v3) on loopback, answering from an `OidTable`. pysnmp's own types stay in here."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Callable, Mapping

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.proto.api import v2c
from pysnmp.smi import error as smi_error

from simulator.oid_table import Bound, Missing, Oid, OidTable, Syntax, Value, parse_oid
from simulator.ups_traps import Spoken

_ENCODERS: dict[Syntax, Callable[[Value], object]] = {
    Syntax.INTEGER: lambda value: rfc1902.Integer32(value),
    Syntax.GAUGE: lambda value: rfc1902.Gauge32(value),
    Syntax.COUNTER: lambda value: rfc1902.Counter32(value),
    Syntax.TICKS: lambda value: rfc1902.TimeTicks(value),
    Syntax.TEXT: lambda value: rfc1902.OctetString(str(value).encode()),
    Syntax.OID: lambda value: rfc1902.ObjectIdentifier(value),
}
_SEQUENCE = b"\x30"  # first byte of every SNMP message (BER)
KEY_STRETCH_BYTES = 1_048_576
SYS_UPTIME = parse_oid("1.3.6.1.2.1.1.3.0")
SNMP_TRAP_OID = parse_oid("1.3.6.1.6.3.1.1.4.1.0")
# Message processing model, security model and level (RFC 3411): v2c by community, v3 authPriv by the user model.
_V2C, _V3 = (1, 2, 1), (3, 3, 3)


class _Instrument:
    """What pysnmp's responders call. It must raise pysnmp's own errors for a refusal to reach the wire."""

    def __init__(self, table: OidTable) -> None:
        self._table = table

    def read_variables(self, *bindings: tuple[Oid, object], **_request: object) -> list[tuple[object, object]]:
        return [(name, self._read(tuple(name))) for name, _ in bindings]

    def read_next_variables(self, *bindings: tuple[Oid, object], **_request: object) -> list[tuple[object, object]]:
        answers: list[tuple[object, object]] = []
        for name, _ in bindings:
            found = self._table.next(tuple(name))
            if found is None:
                answers.append((name, rfc1905.endOfMibView))
            else:
                answers.append((rfc1902.ObjectName(found[0]), _encode(found[1])))
        return answers

    def write_variables(self, *bindings: tuple[Oid, object], **_request: object) -> list[tuple[object, object]]:
        # The devices of the room are measured, never commanded.
        raise smi_error.NotWritableError(name=bindings[0][0], idx=0)

    def _read(self, oid: Oid) -> object:
        answer = self._table.get(oid)
        if isinstance(answer, Bound):
            return _encode(answer)
        return rfc1905.noSuchInstance if answer is Missing.NO_SUCH_INSTANCE else rfc1905.noSuchObject


def _encode(bound: Bound) -> object:
    return _ENCODERS[bound.syntax](bound.value)


def _master_key(password: str) -> bytes:
    """The SHA-256 key of a password before it is tied to one engine (RFC 3414 A.2: digest of one megabyte of it).

    Done here in one call of hashlib: pysnmp's own loop takes 0.2 s a key, most of the room's start.
    """
    secret = password.encode()
    return hashlib.sha256((secret * (KEY_STRETCH_BYTES // len(secret) + 1))[:KEY_STRETCH_BYTES]).digest()


class SnmpAgent:
    """Serves one table on one UDP port. Open it, read `port` back, close it.

    `alive` is asked per datagram: a dead device drops everything, discovery of its engine included.
    """

    def __init__(
        self, table: OidTable, *, version: str, credentials: Mapping[str, str], alive: Callable[[], bool]
    ) -> None:
        self._table = table
        self._version = version
        self._credentials = credentials
        self._alive = alive
        self._engine: engine.SnmpEngine | None = None
        self.port = 0

    async def open(self, port: int = 0) -> None:
        """Bind 127.0.0.1 and start answering. OSError when the port is taken."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.bind(("127.0.0.1", port))
        except OSError:
            bound.close()
            raise
        bound.setblocking(False)
        self.port = bound.getsockname()[1]
        snmp = engine.SnmpEngine()
        transport = _transport(self._alive)
        config.add_transport(snmp, udp.DOMAIN_NAME, transport.open_server_mode(sock=bound))
        # Who is not added here, or comes with less security than he was given, is refused by the security models;
        # past them everybody may read the whole table, so there is no view-based access control on top.
        self._add_user(snmp)
        served = context.SnmpContext(snmp)
        served.unregister_context_name(b"")
        served.register_context_name(b"", _Instrument(self._table))
        for responder in (
            cmdrsp.GetCommandResponder,
            cmdrsp.NextCommandResponder,
            cmdrsp.BulkCommandResponder,
            cmdrsp.SetCommandResponder,
        ):
            responder(snmp, served)
        self._engine = snmp
        # open_server_mode only schedules the endpoint; wait until it really listens.
        await transport._lport

    def _add_user(self, snmp: engine.SnmpEngine) -> None:
        given = self._credentials
        if self._version == "v2c":
            config.add_v1_system(snmp, "room", given["community"])
            return
        config.add_v3_user(
            snmp,
            given["user"],
            config.USM_AUTH_HMAC192_SHA256,
            _master_key(given["auth_key"]),
            config.USM_PRIV_CFB128_AES,
            _master_key(given["priv_key"]),
            authKeyType=config.USM_KEY_TYPE_MASTER,
            privKeyType=config.USM_KEY_TYPE_MASTER,
        )

    def say(self, spoken: Spoken, sink: tuple[str, int]) -> None:
        """Send a trap from the port the agent answers on; a dead device says nothing."""
        if self._engine is None or not self._alive():
            return
        uptime = self._table.get(SYS_UPTIME)
        pdu = v2c.SNMPv2TrapPDU()
        v2c.apiTrapPDU.set_defaults(pdu)
        v2c.apiTrapPDU.set_varbinds(
            pdu,
            [
                (rfc1902.ObjectName(SYS_UPTIME), rfc1902.TimeTicks(uptime.value if isinstance(uptime, Bound) else 0)),
                (rfc1902.ObjectName(SNMP_TRAP_OID), rfc1902.ObjectIdentifier(spoken.oid)),
                *((rfc1902.ObjectName(oid), _encode(Bound(syntax, value))) for oid, syntax, value in spoken.values),
            ],
        )
        model, security, level = _V2C if self._version == "v2c" else _V3
        # pysnmp finds communities by its own texts, which hash unlike ours.
        name = rfc1902.OctetString("room" if self._version == "v2c" else self._credentials["user"])
        engine_id, context = self._engine.snmpEngineID, rfc1902.OctetString(b"")
        self._engine.message_dispatcher.send_pdu(
            self._engine, udp.DOMAIN_NAME, sink, model, security, name, level, engine_id, context, 1, pdu, False
        )

    async def close(self) -> None:
        """Stop answering and free the port. Closing twice is harmless."""
        if self._engine is not None:
            self._engine.close_dispatcher()
            self._engine = None
            # asyncio closes a datagram socket one turn of the loop after it was asked to.
            await asyncio.sleep(0)


def _transport(alive: Callable[[], bool]) -> udp.UdpAsyncioTransport:
    transport = udp.UdpAsyncioTransport()
    receive = transport.datagram_received

    def receive_if_alive(datagram: bytes, source: object) -> None:
        # A scanner's bytes would end in a traceback of the decoder; a real card drops what is no SNMP message.
        if alive() and datagram[:1] == _SEQUENCE:
            receive(datagram, source)

    # Shadowing the bound method keeps pysnmp's transport as it is; asyncio looks it up per datagram.
    transport.datagram_received = receive_if_alive
    return transport
