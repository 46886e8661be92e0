"""The shipped broker configuration on the real mosquitto: topic follows identity."""

import asyncio
import getpass
import re
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from tests.support.mosquitto import password_file
from tests.support.peers import answers_tcp, free_port, require
from tests.support.programs import Program

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
TOP = "coldaisle/v1"
EDGE, OTHER = "shanghai-1/edge-1", "shanghai-1/edge-2"
USERS = {EDGE: "edge-1-word", OTHER: "edge-2-word", "server": "server-word", "+/+": "sly-word"}

pytestmark = pytest.mark.peer("mosquitto")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """The shipped mosquitto.conf with only port, paths and account replaced; gives the port."""
    port = free_port()
    text = (SHIPPED / "mosquitto.conf").read_text()
    for shipped, here in {
        "listener 1883": f"listener {port} 127.0.0.1\nuser {getpass.getuser()}",
        "/mosquitto/secrets/passwords": str(password_file(tmp_path / "passwords", USERS)),
        "/mosquitto/config/acl": str(tmp_path / "acl"),
        "/mosquitto/data/": f"{tmp_path}/",
    }.items():
        assert len(re.findall(f"^[^#]*{re.escape(shipped)}", text, re.MULTILINE)) == 1, shipped
        text = re.sub(f"^([^#]*){re.escape(shipped)}", rf"\g<1>{here}", text, flags=re.MULTILINE)
    (tmp_path / "acl").write_text((SHIPPED / "acl").read_text())
    (tmp_path / "acl").chmod(0o600)
    (tmp_path / "mosquitto.conf").write_text(text)
    command = [require("mosquitto"), "-c", str(tmp_path / "mosquitto.conf")]
    with Program("mosquitto", command, folder=tmp_path, ready=lambda: answers_tcp(port)):
        yield port


@asynccontextmanager
async def client(port: int, user: str) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", port, username=user, password=USERS[user], timeout=5) as connected:
        yield connected


async def take(listener: aiomqtt.Client, count: int) -> list[tuple[str, bytes]]:
    """The next messages, as topic and payload."""
    found: list[tuple[str, bytes]] = []
    async with asyncio.timeout(10):
        async for message in listener.messages:
            assert isinstance(message.payload, bytes)
            found.append((str(message.topic), message.payload))
            if len(found) == count:
                return found
    raise AssertionError("the broker ended the conversation")


@pytest.mark.parametrize("kind", ["alarms", "events", "catalog", "readings", "health"])
async def test_an_agent_publishes_its_own_blocks_and_the_server_gets_them(broker: int, kind: str) -> None:
    topic = f"{TOP}/{EDGE}/blocks/{kind}"
    async with client(broker, "server") as server, client(broker, EDGE) as edge:
        await server.subscribe(f"{TOP}/+/+/blocks/+", qos=1)
        await edge.publish(topic, b"block", qos=1)
        assert await take(server, 1) == [(topic, b"block")]


async def test_ingest_workers_share_the_blocks(broker: int) -> None:
    async with client(broker, "server") as worker, client(broker, EDGE) as edge:
        await worker.subscribe(f"$share/ingest/{TOP}/+/+/blocks/+", qos=1)
        await edge.publish(f"{TOP}/{EDGE}/blocks/readings", b"block", qos=1)
        assert await take(worker, 1) == [(f"{TOP}/{EDGE}/blocks/readings", b"block")]


@pytest.mark.parametrize(
    "forged",
    [
        f"{TOP}/{OTHER}/blocks/readings",
        f"{TOP}/{OTHER}/status",
        f"{TOP}/{EDGE}/blocks/invented",
    ],
)
async def test_an_agent_cannot_publish_under_another_topic(broker: int, forged: str) -> None:
    own = f"{TOP}/{EDGE}/blocks/health"
    async with client(broker, "server") as server, client(broker, EDGE) as edge:
        await server.subscribe([(f"{TOP}/+/+/blocks/+", 1), (f"{TOP}/+/+/status", 1)])
        await edge.publish(forged, b"forged", qos=1)
        # The broker keeps the order of one sender: what comes after the refused message proves that it was refused.
        await edge.publish(own, b"own", qos=1)
        assert await take(server, 1) == [(own, b"own")]


@pytest.mark.parametrize("word", ["answers", "control"])
async def test_the_server_answers_the_agent_it_means_and_no_agent_answers(broker: int, word: str) -> None:
    async with client(broker, "server") as server, client(broker, EDGE) as edge, client(broker, OTHER) as other:
        await edge.subscribe(f"{TOP}/{EDGE}/{word}", qos=1)
        await other.publish(f"{TOP}/{EDGE}/{word}", b"forged", qos=1)
        await edge.publish(f"{TOP}/{EDGE}/{word}", b"to myself", qos=1)
        await server.publish(f"{TOP}/{EDGE}/{word}", b"committed", qos=1)
        assert await take(edge, 1) == [(f"{TOP}/{EDGE}/{word}", b"committed")]


async def test_an_agent_hears_nothing_that_is_meant_for_another(broker: int) -> None:
    async with client(broker, "server") as server, client(broker, OTHER) as other, client(broker, EDGE) as edge:
        await other.subscribe("#", qos=1)
        await edge.publish(f"{TOP}/{EDGE}/blocks/alarms", b"not for you", qos=1)
        await server.publish(f"{TOP}/{EDGE}/answers", b"not for you", qos=1)
        await server.publish(f"{TOP}/{OTHER}/answers", b"for you", qos=1)
        assert await take(other, 1) == [(f"{TOP}/{OTHER}/answers", b"for you")]


def connect_packet(user: str, *, will_topic: str, will: bytes) -> bytes:
    """MQTT 3.1.1 section 3.1: CONNECT with a clean session and a retained will of QoS 1."""

    def field(value: str | bytes) -> bytes:
        raw = value.encode() if isinstance(value, str) else value
        return struct.pack(">H", len(raw)) + raw

    flags = 0b1110_1110  # user name, password, will retained, will QoS 1, will, clean session
    body = field("MQTT") + bytes([4, flags]) + struct.pack(">H", 60)
    body += field("") + field(will_topic) + field(will) + field(user) + field(USERS[user])
    assert len(body) < 128, "one byte of remaining length"
    return bytes([0x10, len(body)]) + body


async def test_the_last_will_of_an_agent_arrives(broker: int) -> None:
    topic = f"{TOP}/{EDGE}/status"
    async with client(broker, "server") as server:
        await server.subscribe(f"{TOP}/+/+/status", qos=1)
        # By hand, because every client library says goodbye when it is closed.
        reader, writer = await asyncio.open_connection("127.0.0.1", broker)
        writer.write(connect_packet(EDGE, will_topic=topic, will=b"offline"))
        assert await reader.readexactly(4) == bytes([0x20, 2, 0, 0])
        writer.close()
        await writer.wait_closed()
        assert await take(server, 1) == [(topic, b"offline")]


async def test_a_user_name_with_wildcards_opens_nothing(broker: int) -> None:
    async with client(broker, "server") as server, client(broker, "+/+") as sly, client(broker, EDGE) as edge:
        await server.subscribe(f"{TOP}/+/+/blocks/+", qos=1)
        await sly.publish(f"{TOP}/{EDGE}/blocks/alarms", b"forged", qos=1)
        await edge.publish(f"{TOP}/{EDGE}/blocks/alarms", b"own", qos=1)
        assert await take(server, 1) == [(f"{TOP}/{EDGE}/blocks/alarms", b"own")]


@pytest.mark.parametrize(("user", "password"), [(None, None), ("server", "guess"), ("stranger", "guess")])
async def test_nobody_comes_in_without_the_password(broker: int, user: str | None, password: str | None) -> None:
    with pytest.raises(aiomqtt.MqttError, match=r"(?i)not authori[sz]ed"):
        async with aiomqtt.Client("127.0.0.1", broker, timeout=5, username=user, password=password):
            pass
