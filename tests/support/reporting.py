"""Pytest hooks: count the tests that ran against each real peer, and show the peers' last words on a failure."""

from collections import Counter
from collections.abc import Generator

import pytest

from tests.support.programs import running

# Fixtures that bring a real peer: using one is what counts.
PEER_FIXTURES = frozenset({"mosquitto", "snmpd", "postgresql", "prometheus", "chromium"})

_counts: pytest.StashKey[Counter[str]] = pytest.StashKey()
_used: pytest.StashKey[set[str]] = pytest.StashKey()


def note_peer(request: pytest.FixtureRequest, name: str) -> None:
    """For a fixture that decides while running which peer it brings."""
    request.node.stash.setdefault(_used, set()).add(name)


def peers_of(item: pytest.Item) -> set[str]:
    """By fixture, by `@pytest.mark.peer("name")`, or noted while running."""
    fixtures = set(PEER_FIXTURES.intersection(getattr(item, "fixturenames", ())))
    marked = {str(name) for mark in item.iter_markers("peer") for name in mark.args}
    noted: set[str] = item.stash.get(_used, set())
    return fixtures | marked | noted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and not report.skipped:
        item.config.stash.setdefault(_counts, Counter()).update(peers_of(item))
    if report.failed:
        # The run's one PostgreSQL is running beside every test; its words belong to those that used it.
        own = [program for program in running if program.name != "postgresql" or program.name in peers_of(item)]
        report.sections.extend((f"last words of {program.name}", program.tail()) for program in own)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash.get(_counts, Counter())
    if counts:
        line = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        terminalreporter.write_line(f"real peers: {line}")
