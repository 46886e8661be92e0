"""The embedded broker of the demo. It forgets its queue when it ends; the agent's journal makes that harmless."""

import logging
from types import TracebackType
from typing import Self

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig

# It reports every connection at INFO, which would drown what the demo has to say.
logging.getLogger("amqtt").setLevel(logging.WARNING)
logging.getLogger("transitions").setLevel(logging.WARNING)


class EmbeddedBroker:
    """An MQTT 3.1.1 broker on loopback, without authentication: for a demo, never for a site."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._broker = Broker(
            BrokerConfig(
                listeners={"default": ListenerConfig(bind=f"127.0.0.1:{port}")},
                plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            )
        )

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._broker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._broker.shutdown()
