"""The UDP port traps come to: SNMPv1, v2c and v3 decoded and authenticated by pysnmp, whose types stay in here.

- A datagram is judged cheaply first (sender's rate, shape), so that a flood does not reach the decoder.
- An inform is answered by calling its `answer`, and never before: the caller commits first.
- Devices sign SNMPv3 traps with an engine id of their own. It is learnt from the trap itself, which must still prove
  that it knows the user's passwords; so nobody has to collect engine ids by hand. The newest `MAX_ENGINES` are kept.
- A replayed or forged trap could at most cause an event and a confirming poll: what holds is asked of the device.
"""

import asyncio
import hashlib
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.entity import config, engine
from pysnmp.proto import rfc1902, rfc1905, rfc3411
from pysnmp.proto.api import v1, v2c
from pysnmp.proto.proxy import rfc2576
from pysnmp.proto.secmod.cache import Cache

from collectors.snmp.target import AuthProtocol, KeyExpansion, PrivProtocol
from collectors.traps.access import TrapAccess, TrapUser
from collectors.traps.addresses import plain_address
from collectors.traps.notification import (
    SNMP_TRAP_OID,
    SYS_UPTIME,
    TRAP_ADDRESS,
    TRAP_COMMUNITY,
    TRAP_ENTERPRISE,
    Answer,
    Notification,
    SnmpWord,
    TrapResult,
    VarBind,
)
from collectors.traps.peek import Head, NotSnmp, peek

log = logging.getLogger(__name__)

# A room of devices that all lose their mains at once, while the loop is busy: 1 MiB holds about a thousand traps.
RECEIVE_BUFFER = 1 << 20
# Real traps fit into one Ethernet frame; the decoder takes about 10 ms for each kilobyte of tiny values.
MAX_DATAGRAM = 8192
MAX_ENGINES = 512
# Real traps carry up to a dozen values; the rest of a longer one is not kept.
MAX_VARBINDS = 32
MAX_VALUE = 200
# RFC 3414 A.2: the key of a password is the digest of one megabyte of it.
_STRETCH = 1_048_576
# Engine ids have 5 to 32 octets (RFC 3411 section 5).
_ENGINE_SIZES = range(5, 33)
# States of failed messages pysnmp forgets to free are dropped together after so many.
_FAILED_STATES = 256
# Unless an inform came just now: its answer needs its state. So many are dropped in any case, and it is sent again.
_INFORM_S = 5.0
_MAX_FAILED_STATES = 4096
_TRAP_PDUS = (v1.TrapPDU.tagSet, v2c.SNMPv2TrapPDU.tagSet, v2c.InformRequestPDU.tagSet)
_CARRIERS = {SYS_UPTIME, SNMP_TRAP_OID, TRAP_ADDRESS, TRAP_COMMUNITY, TRAP_ENTERPRISE}

_AUTH = {
    AuthProtocol.MD5: (config.USM_AUTH_HMAC96_MD5, "md5"),
    AuthProtocol.SHA1: (config.USM_AUTH_HMAC96_SHA, "sha1"),
    AuthProtocol.SHA224: (config.USM_AUTH_HMAC128_SHA224, "sha224"),
    AuthProtocol.SHA256: (config.USM_AUTH_HMAC192_SHA256, "sha256"),
    AuthProtocol.SHA384: (config.USM_AUTH_HMAC256_SHA384, "sha384"),
    AuthProtocol.SHA512: (config.USM_AUTH_HMAC384_SHA512, "sha512"),
}
_PRIV = {
    (PrivProtocol.DES, KeyExpansion.BLUMENTHAL): config.USM_PRIV_CBC56_DES,
    (PrivProtocol.DES, KeyExpansion.REEDER): config.USM_PRIV_CBC56_DES,
    (PrivProtocol.AES128, KeyExpansion.BLUMENTHAL): config.USM_PRIV_CFB128_AES,
    (PrivProtocol.AES128, KeyExpansion.REEDER): config.USM_PRIV_CFB128_AES,
    (PrivProtocol.AES192, KeyExpansion.BLUMENTHAL): config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    (PrivProtocol.AES192, KeyExpansion.REEDER): config.USM_PRIV_CFB192_AES,
    (PrivProtocol.AES256, KeyExpansion.BLUMENTHAL): config.USM_PRIV_CFB256_AES_BLUMENTHAL,
    (PrivProtocol.AES256, KeyExpansion.REEDER): config.USM_PRIV_CFB256_AES,
}

Admit = Callable[[str], bool]
Take = Callable[[Notification, Answer | None], None]
# What became of a datagram that is no notification: result, source address, and why in words.
Lost = Callable[[TrapResult, str, str], None]


class TrapReceiver:
    """One port. `open` it, be handed notifications by `take` on the event loop, `close` it.

    engine_id: ours, the same after a restart, since senders of v3 informs remember it; boots: higher at each start.
    admit: asked per datagram by source address; False drops it (the one who says so counts it).
    answer: None where the sender wants none; call it once, at most 5 minutes later, or never.
    """

    def __init__(
        self, access: TrapAccess, *, engine_id: bytes, boots: int, admit: Admit, take: Take, lost: Lost
    ) -> None:
        self._access = access
        self._engine_id = engine_id
        self._boots = boots
        self._admit = admit
        self._take = take
        self._lost = lost
        self._communities = {community.encode() for community in access.communities}
        self._users = {user.name.encode(): user for user in access.users}
        self._keys = {user.name: _master_keys(user) for user in access.users}
        self._engines: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()
        self._snmp: Any = None
        self._domain: Any = None
        self._transport: Any = None
        self._inform_at = 0.0
        self._failed_states = 0
        # Of the datagram being decoded; decoding is one uninterrupted step.
        self._source: tuple[str, int] = ("", 0)
        self._head = Head(SnmpWord.V2C)
        self._handled = False
        self._failure = ""
        self._heard: tuple[Notification, Answer | None] | None = None
        self.port = 0

    # --- life ------------------------------------------------------------------------------------------------------

    async def open(self, host: str, port: int) -> None:
        """Listen on an address; port 0 takes a free one, see `port`. OSError says why it cannot."""
        bound = _bind(host, port)
        self.port = bound.getsockname()[1]
        v6 = bound.family is socket.AF_INET6
        self._snmp = self._engine()
        self._transport = (udp6.Udp6AsyncioTransport if v6 else udp.UdpAsyncioTransport)()
        self._domain = udp6.DOMAIN_NAME if v6 else udp.DOMAIN_NAME
        # asyncio looks the method up per datagram: this is where ours come in.
        self._transport.datagram_received = self._received
        config.add_transport(self._snmp, self._domain, self._transport.open_server_mode(sock=bound))
        await self._transport._lport

    async def close(self) -> None:
        """Free the port. Closing twice is harmless."""
        if self._snmp is not None:
            self._snmp.close_dispatcher()
            self._snmp = None
            # asyncio closes a datagram socket one turn of the loop after it was asked to.
            await asyncio.sleep(0)

    def _engine(self) -> Any:
        snmp = engine.SnmpEngine()
        builder = snmp.get_mib_builder()
        own, boots = builder.import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots")
        # Not by the constructor: given an id, it keeps its boot count in the shared temporary folder.
        own.syntax = own.syntax.clone(self._engine_id)
        boots.syntax = boots.syntax.clone(self._boots)
        snmp.snmpEngineID = own.syntax
        for number, community in enumerate(self._access.communities):
            config.add_v1_system(snmp, f"community-{number}", community)
        for user in self._access.users:
            self._add_user(snmp, user, None)
        snmp.message_dispatcher.register_context_engine_id(b"", _TRAP_PDUS, self._decoded)
        snmp.observer.register_observer(
            self._failed, "rfc2576.prepareDataElements:sm-failure", "rfc3412.prepareDataElements:sm-failure"
        )
        return snmp

    def _add_user(self, snmp: Any, user: TrapUser, engine_id: bytes | None) -> None:
        auth, auth_key, priv, priv_key = self._keys[user.name]
        config.add_v3_user(
            snmp,
            user.name,
            auth,
            auth_key,
            priv,
            priv_key,
            securityEngineId=None if engine_id is None else rfc1902.OctetString(engine_id),
            authKeyType=config.USM_KEY_TYPE_MASTER,
            privKeyType=config.USM_KEY_TYPE_MASTER,
        )

    # --- datagrams -------------------------------------------------------------------------------------------------

    def _received(self, datagram: bytes, address: tuple[Any, ...]) -> None:
        source = plain_address(str(address[0]))
        if self._snmp is None or not self._admit(source):
            return
        try:
            if len(datagram) > MAX_DATAGRAM:
                raise NotSnmp(f"{len(datagram)} bytes")
            head = peek(datagram)
        except NotSnmp as exc:
            self._lost(TrapResult.MALFORMED, source, str(exc))
            return
        if not head.is_trap:
            self._lost(TrapResult.NOT_A_TRAP, source, f"a PDU of tag {head.pdu:#x}")
            return
        if not self._may_be_ours(head):
            self._lost(TrapResult.REFUSED, source, "a community or user we do not know")
            return
        if head.version is SnmpWord.V3:
            self._learn(head)
        self._begin((source, int(address[1])), head)
        try:
            self._snmp.message_dispatcher.receive_message(
                self._snmp, self._domain, self._transport.ADDRESS_TYPE(address), datagram
            )
        except Exception as exc:  # noqa: BLE001 - bytes of a stranger in a decoder that is not ours
            log.debug("a datagram the decoder failed on", extra={"source": source, "cause": repr(exc)})
            self._failure = ""
        if not self._handled:
            self._unhandled(source, head)
        self._free_states()
        if self._heard is not None:
            # Outside of the decoder, so that a fault of ours is not taken for a bad message.
            self._take(*self._heard)

    def _begin(self, source: tuple[str, int], head: Head) -> None:
        self._source, self._head = source, head
        self._handled, self._failure, self._heard = False, "", None

    def _may_be_ours(self, head: Head) -> bool:
        """Known by name; what it proves, the decoder says. A v3 inform's first question has no user yet."""
        if head.version is SnmpWord.V3:
            return not head.user or head.user in self._users
        return head.community in self._communities

    def _unhandled(self, source: str, head: Head) -> None:
        self._failed_states += head.version is SnmpWord.V3
        # A v3 inform begins by asking who we are and what our time is; that is how it is meant to go.
        if head.version is SnmpWord.V3 and (not head.engine or "time window" in self._failure.lower()):
            return
        if self._failure:
            self._lost(TrapResult.REFUSED, source, self._failure)
        else:
            self._lost(TrapResult.MALFORMED, source, "it does not decode")

    def _failed(self, _snmp: Any, _point: str, variables: dict[str, Any], _context: object) -> None:
        status = variables.get("statusInformation") or {}
        self._failure = str(status.get("errorIndication") or "refused")

    def _free_states(self) -> None:
        # pysnmp keeps the security state of each v3 message that fails; bad ones would fill the memory.
        if self._failed_states < _FAILED_STATES:
            return
        quiet = asyncio.get_running_loop().time() - self._inform_at > _INFORM_S
        if quiet or self._failed_states >= _MAX_FAILED_STATES:
            self._snmp.security_models[3]._cache = Cache()
            self._failed_states = 0

    def _learn(self, head: Head) -> None:
        user = self._users.get(head.user)
        if user is None or head.engine == self._engine_id or len(head.engine) not in _ENGINE_SIZES:
            return
        key = (head.engine, head.user)
        if key in self._engines:
            self._engines.move_to_end(key)
            return
        if len(self._engines) >= MAX_ENGINES:
            (old, name), _ = self._engines.popitem(last=False)
            config.delete_v3_user(self._snmp, self._users[name].name, rfc1902.OctetString(old))
        self._add_user(self._snmp, user, head.engine)
        self._engines[key] = None

    # --- notifications ---------------------------------------------------------------------------------------------

    def _decoded(
        self,
        snmp: Any,
        model: int,
        security_model: int,
        security_name: Any,
        security_level: int,
        context_engine: Any,
        context_name: Any,
        version: int,
        pdu: Any,
        max_size: int,
        state: int,
    ) -> None:
        """What pysnmp calls with an authenticated PDU."""
        self._handled = True
        inform = pdu.tagSet in rfc3411.CONFIRMED_CLASS_PDUS
        if self._head.version is SnmpWord.V3:
            wanted = self._users[bytes(security_name)].level
            if int(security_level) < wanted:
                self._lost(TrapResult.REFUSED, self._source[0], "below the security level of its user")
                return
        notification = self._notification(pdu, inform)
        if notification is None:
            self._lost(TrapResult.MALFORMED, self._source[0], "a notification without snmpTrapOID")
            return
        answer: Answer | None = None
        if inform:
            self._inform_at = asyncio.get_running_loop().time()

            def respond() -> None:
                if self._snmp is not snmp:
                    return  # closed meanwhile: the sender will ask again
                response = v2c.apiPDU.get_response(pdu)
                v2c.apiPDU.set_error_status(response, 0)
                v2c.apiPDU.set_error_index(response, 0)
                v2c.apiPDU.set_varbinds(response, v2c.apiPDU.get_varbinds(pdu))
                try:
                    snmp.message_dispatcher.return_response_pdu(
                        snmp, model, security_model, security_name, security_level, context_engine, context_name,
                        version, response, max_size, state, {},
                    )  # fmt: skip
                except Exception as exc:  # noqa: BLE001 - the state expired, or a network that is not there
                    log.debug("an inform could not be answered", extra={"cause": repr(exc)})

            answer = respond
        self._heard = notification, answer

    def _notification(self, pdu: Any, inform: bool) -> Notification | None:
        if self._head.version is SnmpWord.V1:
            request_id = None
            pdu = rfc2576.v1_to_v2(pdu, snmpTrapCommunity=b"")
        elif self._head.version is SnmpWord.V2C:
            # pysnmp puts a number of its own into an inform's PDU.
            request_id = self._head.request_id
        else:
            request_id = int(v2c.apiPDU.get_request_id(pdu))
        pairs = [(str(name), value) for name, value in v2c.apiPDU.get_varbinds(pdu)]
        first = {name: value for name, value in reversed(pairs) if name in _CARRIERS}
        oid = first.get(SNMP_TRAP_OID)
        if not isinstance(oid, rfc1902.univ.ObjectIdentifier):
            return None
        uptime = first.get(SYS_UPTIME)
        agent = text_of(first[TRAP_ADDRESS]) if TRAP_ADDRESS in first else ""
        return Notification(
            source=self._source[0],
            port=self._source[1],
            version=self._head.version,
            inform=inform,
            oid=str(oid),
            request_id=request_id,
            uptime=int(uptime) if isinstance(uptime, rfc1902.univ.Integer) else None,
            enterprise=text_of(first[TRAP_ENTERPRISE]) if TRAP_ENTERPRISE in first else "",
            agent_address="" if agent == "0.0.0.0" else plain_address(agent),
            varbinds=tuple(VarBind(name, text_of(value)[:MAX_VALUE]) for name, value in pairs if name not in _CARRIERS)[
                :MAX_VARBINDS
            ],
        )


def text_of(value: Any) -> str:
    """A value of pysnmp as text: numbers and OIDs written out, text as text, other octets as 0x..."""
    if value.tagSet == rfc1902.IpAddress.tagSet:  # v1 and v2c have a class of their own for it
        return ".".join(str(part) for part in value.asNumbers())
    if isinstance(value, rfc1902.univ.OctetString):
        octets = bytes(value)
        try:
            text = octets.decode().rstrip("\0")
        except UnicodeDecodeError:
            text = "\0"
        return text if all(each.isprintable() or each in "\r\n\t" for each in text) else "0x" + octets.hex()
    if isinstance(value, rfc1902.univ.Null) or value is rfc1905.unSpecified:
        return ""
    return str(value)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _master_keys(user: TrapUser) -> tuple[Any, bytes | None, Any, bytes | None]:
    """Protocols and keys, not yet tied to an engine. By hashlib in one call: pysnmp's own loop takes 0.2 s a key."""
    if user.auth is None:
        return config.USM_AUTH_NONE, None, config.USM_PRIV_NONE, None
    protocol, digest = _AUTH[AuthProtocol(user.auth)]
    auth_key = _stretched(digest, user.auth_key or "")
    if user.priv is None:
        return protocol, auth_key, config.USM_PRIV_NONE, None
    cipher = _PRIV[PrivProtocol(user.priv), KeyExpansion(user.key_expansion)]
    return protocol, auth_key, cipher, _stretched(digest, user.priv_key or "")


def _stretched(digest: str, password: str) -> bytes:
    secret = password.encode()
    return hashlib.new(digest, (secret * (_STRETCH // len(secret) + 1))[:_STRETCH]).digest()
