"""Each fixture proved against its real peer."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import asyncpg
import pytest
from playwright.async_api import Browser
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support import peers
from tests.support.mosquitto import Mosquitto
from tests.support.peers import free_port, require, until, until_async
from tests.support.postgresql import Postgresql
from tests.support.prometheus import Prometheus
from tests.support.snmpd import Snmpd


async def carries(broker: Mosquitto, **login: str) -> bytes:
    """Publish one message and receive it back."""
    async with aiomqtt.Client(broker.host, broker.port, timeout=5, **login) as client:  # type: ignore[arg-type]
        await client.subscribe("room/1", qos=1)
        await client.publish("room/1", b"21.5", qos=1)
        message = await anext(aiter(client.messages))
        assert isinstance(message.payload, bytes)
        return message.payload


async def test_mosquitto_carries_a_message_and_comes_back_after_a_kill(mosquitto: Mosquitto) -> None:
    assert await carries(mosquitto) == b"21.5"
    mosquitto.kill()
    with pytest.raises(aiomqtt.MqttError):
        await carries(mosquitto)
    mosquitto.start()
    assert await carries(mosquitto) == b"21.5"


async def test_mosquitto_called_gives_a_broker_with_users_and_an_acl(mosquitto: Mosquitto) -> None:
    closed = mosquitto(users={"agent": "secret-1"}, acl="user agent\ntopic readwrite room/#\n")
    assert closed.port != mosquitto.port
    assert await carries(closed, username="agent", password="secret-1") == b"21.5"
    with pytest.raises(aiomqtt.MqttError):
        await carries(closed, username="agent", password="wrong")


@pytest.mark.parametrize("version", ["1", "2c", "3"])
def test_snmpd_answers_every_version_with_the_served_value(snmpd: Snmpd, version: str) -> None:
    snmpd.serve([("1.3.6.1.2.1.33.1.2.4.0", "integer", 87), ("1.3.6.1.2.1.33.1.1.2.0", "octet_str", "Model 3000")])
    assert snmpd.get("1.3.6.1.2.1.33.1.2.4.0", version=version) == ".1.3.6.1.2.1.33.1.2.4.0 = INTEGER: 87"
    assert snmpd.get("1.3.6.1.2.1.33.1.1.2.0", version=version).endswith('"Model 3000"')


def test_snmpd_refuses_a_wrong_community(snmpd: Snmpd) -> None:
    snmpd.community = "guessed"
    with pytest.raises(ConnectionError, match="Timeout"):
        snmpd.get("1.3.6.1.2.1.1.3.0")


async def test_postgresql_gives_databases_apart_and_copies_of_one(postgresql: Postgresql) -> None:
    first = postgresql.new_database()
    postgresql.sql("create table asset (id int); insert into asset values (7)", first)
    copy, empty = postgresql.new_database(template=first), postgresql.new_database()
    assert postgresql.sql("select id from asset", copy) == "7"
    assert postgresql.sql("select count(*) from pg_tables where tablename = 'asset'", empty) == "0"
    connection = await asyncpg.connect(copy.replace("+asyncpg", ""))
    assert "PostgreSQL" in await connection.fetchval("select version()")
    await connection.close()
    for url in (first, copy, empty):
        postgresql.drop_database(url)


async def test_database_url_is_an_empty_database_on_each_store(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("create table ticket (id integer primary key)"))
        await connection.execute(text("insert into ticket values (1)"))
        assert (await connection.execute(text("select count(*) from ticket"))).scalar_one() == 1
    await engine.dispose()


def test_prometheus_scrapes_itself(prometheus: Callable[[str], Prometheus]) -> None:
    port = free_port()  # nobody is there: a target that is down is told apart from one that is up
    server = prometheus(
        "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\n"
        f"scrape_configs: [{{job_name: dead, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    )
    until(lambda: server.value('up{job="dead"}') == 0, what="the dead target being seen as down")
    assert server.query("vector(42)")[0]["value"][1] == "42"
    with pytest.raises(AssertionError, match="parse error"):
        server.query("sum(")


async def test_chromium_takes_a_picture_of_a_page(chromium: Browser) -> None:
    page = await chromium.new_page(viewport={"width": 320, "height": 200})
    await page.set_content("<h1>一级紧急</h1>")
    assert await page.inner_text("h1") == "一级紧急"
    picture = await page.screenshot()
    assert picture.startswith(b"\x89PNG")
    await page.close()


def test_a_missing_peer_is_a_skip_and_a_failure_where_peers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLDAISLE_REQUIRE_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-peer is not installed"):
        require("no-such-peer")
    monkeypatch.setenv("COLDAISLE_REQUIRE_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-peer is not installed"):
        require("no-such-peer")


def test_free_port_can_be_bound_at_once() -> None:
    assert free_port() != free_port()
    assert 1024 < free_port("udp") < 65536


async def test_until_returns_the_answer_and_names_what_did_not_come() -> None:
    answers = iter([0, 0, 5])
    assert until(lambda: next(answers), what="a number") == 5

    async def refused() -> bool:
        raise ConnectionRefusedError("nobody there")

    with pytest.raises(AssertionError, match=r"the broker did not come true .*nobody there"):
        await until_async(refused, timeout=0.05, what="the broker")


SUITE = """
import pytest
def test_one(mosquitto): pass
def test_two(mosquitto): assert mosquitto.port == 0, "planted"
def test_three(mosquitto): pytest.skip("planted")
@pytest.mark.peer("npm")
def test_four(): pass
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_five(database_url): pass
"""


def test_a_run_counts_its_peers_and_shows_their_last_words(tmp_path: Path) -> None:
    root = Path(peers.__file__).parents[2]
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import database_url, mosquitto, pytest_runtest_makereport, pytest_terminal_summary\n"
    )
    (tmp_path / "test_planted.py").write_text(SUITE)
    place = ["-c", str(root / "pyproject.toml"), "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *place, str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 3 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "real peers: mosquitto 2, npm 1" in done.stdout
    assert "last words of mosquitto" in done.stdout
