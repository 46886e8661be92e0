"""Where the broker is, and who the agent is to it."""

import ssl
from dataclasses import dataclass

from agent.config import Uplink
from agent.loading import Loaded


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it. tls: None for plain TCP."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 30


def broker_of(loaded: Loaded, uplink: Uplink) -> Broker:
    """The broker a configuration names. OSError where a certificate cannot be read."""
    tls: ssl.SSLContext | None = None
    if uplink.tls:
        tls = ssl.create_default_context(cafile=str(loaded.folder / uplink.ca_file) if uplink.ca_file else None)
        if uplink.cert_file is not None and uplink.key_file is not None:
            tls.load_cert_chain(loaded.folder / uplink.cert_file, loaded.folder / uplink.key_file)
    return Broker(
        uplink.host,
        uplink.port,
        uplink.username,
        loaded.secret("uplink.password"),
        tls,
        uplink.keepalive // 1000,
    )
