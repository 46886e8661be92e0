"""Fixtures for everyone; what each gives and promises stands in tests/support/README.md."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.chromium import launched
from tests.support.mosquitto import Mosquitto
from tests.support.postgresql import Postgresql
from tests.support.prometheus import Prometheus
from tests.support.reporting import note_peer, pytest_runtest_makereport, pytest_terminal_summary
from tests.support.snmpd import Snmpd

__all__ = ["pytest_runtest_makereport", "pytest_terminal_summary"]

# A shell that starts a run in the background tells it to ignore Ctrl-C, which every program of the tests would inherit:
# those that are stopped by it would run on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DATABASES = {"sqlite": ("sqlite",), "postgresql": ("postgresql",), "both": ("sqlite", "postgresql")}


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker; call it for another one with its own settings."""
    with ExitStack() as stack:

        def launch(broker: Mosquitto) -> Mosquitto:
            return stack.enter_context(broker)

        yield launch(Mosquitto(tmp_path / "mosquitto")).launched_by(launch)


@pytest.fixture
def snmpd(tmp_path: Path) -> Iterator[Snmpd]:
    """A running SNMP agent; `serve` replaces what it answers."""
    with Snmpd(tmp_path / "snmpd") as agent:
        yield agent


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A running cluster, one for the whole run; every test takes a database of its own."""
    cluster = Postgresql()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.dispose()


@pytest.fixture(params=DATABASES[os.environ.get("COLDAISLE_TEST_DATABASE", "both")])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy's address of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'main.db'}"
        return
    cluster: Postgresql = request.getfixturevalue("postgresql")
    note_peer(request, "postgresql")
    url = cluster.new_database()
    yield url
    cluster.drop_database(url)


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], Prometheus]]:
    """Call it with the text of a prometheus.yml for a running server; it ends with the test."""
    with ExitStack() as stack:
        started = 0

        def launch(config: str) -> Prometheus:
            nonlocal started
            started += 1
            return stack.enter_context(Prometheus(tmp_path / f"prometheus-{started}", config))

        yield launch


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """A running browser; `await chromium.new_page()` in an async test."""
    async with launched() as browser:
        yield browser
