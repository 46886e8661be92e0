"""An SNMPv3 agent by pysnmp that knows many users: a second, independent implementation beside net-snmp's."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto import rfc1902, rfc1905

AUTH: dict[str, tuple[Any, str]] = {
    "md5": (config.USM_AUTH_HMAC96_MD5, "md5"),
    "sha1": (config.USM_AUTH_HMAC96_SHA, "sha1"),
    "sha224": (config.USM_AUTH_HMAC128_SHA224, "sha224"),
    "sha256": (config.USM_AUTH_HMAC192_SHA256, "sha256"),
    "sha384": (config.USM_AUTH_HMAC256_SHA384, "sha384"),
    "sha512": (config.USM_AUTH_HMAC384_SHA512, "sha512"),
}
PRIV: dict[tuple[str, str], Any] = {
    ("des", "blumenthal"): config.USM_PRIV_CBC56_DES,
    ("aes128", "blumenthal"): config.USM_PRIV_CFB128_AES,
    ("aes192", "blumenthal"): config.USM_PRIV_CFB192_AES_BLUMENTHAL,
    ("aes256", "blumenthal"): config.USM_PRIV_CFB256_AES_BLUMENTHAL,
    ("aes192", "reeder"): config.USM_PRIV_CFB192_AES,
    ("aes256", "reeder"): config.USM_PRIV_CFB256_AES,
}


def _master_key(password: str, algorithm: str) -> bytes:
    """A password's key before it is tied to an engine (RFC 3414 A.2); pysnmp's own loop takes 0.2 s for each."""
    secret = password.encode()
    return hashlib.new(algorithm, (secret * (1_048_576 // len(secret) + 1))[:1_048_576]).digest()


class _Served:
    """Reads of one agent: what it holds, noSuchObject for the rest."""

    def __init__(self, values: dict[str, int]) -> None:
        self._values = {tuple(int(arc) for arc in oid.split(".")): value for oid, value in values.items()}

    def read_variables(self, *bindings: tuple[Any, Any], **_request: Any) -> list[tuple[Any, Any]]:
        return [
            (
                name,
                rfc1902.Integer32(self._values[tuple(name)]) if tuple(name) in self._values else rfc1905.noSuchObject,
            )
            for name, _ in bindings
        ]


@contextmanager
def v3_agent(users: Sequence[tuple[str, str, str, str, str | None, str]], values: dict[str, int]) -> Iterator[int]:
    """The port of an agent that runs in a thread of its own.

    users: name, auth, auth password, key expansion, priv (None: no privacy), priv password.
    """
    started = threading.Event()
    loop = asyncio.new_event_loop()
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    bound.setblocking(False)

    async def serve() -> engine.SnmpEngine:
        snmp = engine.SnmpEngine()
        transport = udp.UdpAsyncioTransport()
        config.add_transport(snmp, udp.DOMAIN_NAME, transport.open_server_mode(sock=bound))
        for name, auth, auth_password, expansion, priv, priv_password in users:
            protocol, algorithm = AUTH[auth]
            config.add_v3_user(
                snmp,
                name,
                protocol,
                _master_key(auth_password, algorithm),
                config.USM_PRIV_NONE if priv is None else PRIV[priv, expansion],
                None if priv is None else _master_key(priv_password, algorithm),
                authKeyType=config.USM_KEY_TYPE_MASTER,
                privKeyType=config.USM_KEY_TYPE_MASTER,
            )
        served = context.SnmpContext(snmp)
        served.unregister_context_name(b"")
        served.register_context_name(b"", _Served(values))
        cmdrsp.GetCommandResponder(snmp, served)
        await transport._lport
        return snmp

    def run() -> None:
        asyncio.set_event_loop(loop)
        snmp = loop.run_until_complete(serve())
        started.set()
        loop.run_forever()
        snmp.close_dispatcher()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run, name="pysnmp agent", daemon=True)
    thread.start()
    try:
        assert started.wait(20), "the pysnmp agent did not start"
        yield bound.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
