"""An SNMP agent that answers what a test tells it to: for everything a well-behaved agent never sends.

Real UDP and real BER, encoded by pysnmp, which the product does not poll with.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped]
from pysnmp.proto import api

v1 = api.PROTOCOL_MODULES[api.SNMP_VERSION_1]
v2c = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]

TOO_BIG, NO_SUCH_NAME, GEN_ERR = 1, 2, 5
GET, GETNEXT, GETBULK = 0, 1, 5


class Request:
    """What was asked, over v1 or v2c."""

    def __init__(self, datagram: bytes) -> None:
        self.spoken: Any = api.PROTOCOL_MODULES[api.decodeMessageVersion(datagram)]
        self.message, _ = decoder.decode(datagram, asn1Spec=self.spoken.Message())
        self.pdu = self.spoken.apiMessage.get_pdu(self.message)
        self.kind: int = self.pdu.tagSet[-1].tagId
        self.oids = [str(name) for name, _ in self.spoken.apiPDU.get_varbinds(self.pdu)]

    def reply(self, values: Sequence[tuple[str, Any]] = (), *, error: int = 0, request_id: int | None = None) -> bytes:
        """Its answer; a plain int is an INTEGER, None is noSuchObject. An error repeats the names, as RFC 3416 says."""
        spoken = self.spoken
        message = spoken.apiMessage.get_response(self.message)
        pdu = spoken.apiMessage.get_pdu(message)
        if error in (GEN_ERR, NO_SUCH_NAME):
            values = [(oid, spoken.Null("")) for oid in self.oids]
        spoken.apiPDU.set_varbinds(pdu, [(spoken.ObjectIdentifier(oid), _typed(value)) for oid, value in values])
        if error:
            spoken.apiPDU.set_error_status(pdu, error)
            spoken.apiPDU.set_error_index(pdu, 1)
        if request_id is not None:
            spoken.apiPDU.set_request_id(pdu, request_id)
        return bytes(encoder.encode(message))


def arcs(oid: str) -> list[int]:
    """For putting object names in the order of the tree."""
    return [int(arc) for arc in oid.split(".")]


def _typed(value: Any) -> Any:
    if value is None:
        return v2c.NoSuchObject()
    return v2c.Integer(value) if isinstance(value, int) else value


Behaviour = Callable[[Request], list[bytes]]


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, behaviour: Behaviour, heard: list[Request]) -> None:
        self._behaviour = behaviour
        self._heard = heard

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        request = Request(data)
        self._heard.append(request)
        for answer in self._behaviour(request):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def awkward_agent(
    behaviour: Behaviour, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[int, list[Request]]]:
    """Its port, and every request it heard."""
    heard: list[Request] = []
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Protocol(behaviour, heard), local_addr=(host, port)
    )
    try:
        yield transport.get_extra_info("sockname")[1], heard
    finally:
        transport.close()


@asynccontextmanager
async def silent_socket() -> AsyncIterator[int]:
    """A device that is there and never answers: no ICMP says that the port is closed. Yields its port."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
