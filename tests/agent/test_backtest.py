"""Rules over the history an agent has kept: the command, on a journal file."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from agent.backtest_cli import _play, app
from agent.journal import Store
from agent.journal.block import Draft, seal_draft
from agent.journal.reading import JournalReader
from agent.site import read_site
from facility.catalog import Catalog, CatalogDevice, CatalogPoint
from facility.ids import new_id
from facility.reading import Reading
from facility.wire import Kind
from rules.engine import Engine
from rules.facts import DeviceFacts
from rules.model import RuleSet
from tests.rules.support import good, high

BEGIN = 1_790_000_000_000
MINUTE = 60_000
STRICTER = """
version: 1
overrides:
  - {name: trial, rules: [room-temperature-high-gb], select: {}, set: {levels: {hi: {limit: 25}}}, source: a trial}
"""

GONE = """
version: 1
rules:
  - id: gone
    title: {en: Gone, zh: 无数据}
    metric: room.temperature
    absent: {after: 10m, severity: minor}
    source: a trial
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of two rooms with two hours of history: each sensor is at 26 degrees, and for half an hour at 28.5."""
    devices = [
        {"id": f"th-{room}", "profile": "generic/xy-md02", "address": "127.0.0.1", "unit": 1, "port": port,
         "room": room, "zone": "cold-aisle"} for room, port in (("north", 1502), ("south", 1503))
    ]  # fmt: skip
    content = {
        "version": 1, "site": "s", "agent": "edge-1", "devices": devices, "journal": {"path": "journal.db"},
        "rooms": [{"id": "north"}, {"id": "south"}], "rules": {"disable": ["room-temperature-heading-high"]},
    }  # fmt: skip
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(content))
    store = Store(tmp_path / "journal.db", max_bytes=1 << 30, max_age_ms=1 << 50)
    store.open()
    points = (CatalogPoint("room.temperature"),)
    catalog = Catalog(
        "1", devices=tuple(CatalogDevice(f"th-{room}", "sensor", points=points) for room in ("north", "south"))
    )
    numbers = iter(range(1, 100))
    written: list[tuple[Kind, list[Any], int]] = [(Kind.CATALOG, [catalog], BEGIN)]
    for hour in range(2):
        taken = [
            Reading(each.id, "room.temperature", "", 28.5 if 60 <= minute < 90 else 26.0, BEGIN + minute * MINUTE)
            for minute in range(hour * 60, hour * 60 + 60)
            for each in catalog.devices
        ]
        written.append((Kind.READINGS, taken, taken[-1].taken_at))
    for kind, items, last in written:
        first = items[0].taken_at if kind is Kind.READINGS else last
        draft = Draft(kind, items, first, last, "", catalog.digest() if kind is Kind.CATALOG else "")
        blocks, _ = seal_draft(draft, stream=new_id(BEGIN), number=lambda: next(numbers), now_ms=last)
        store.commit(blocks, now_ms=BEGIN)
    store.close()
    return tmp_path


def run(site: Path, *more: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["-c", str(site / "agent.yaml"), "--json", *more])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def test_it_says_what_the_rules_would_have_raised(site: Path) -> None:
    report = run(site)
    assert (report["samples"], report["raised"]) == (240, {"room-temperature-high-gb": 2})
    alarms = report["alarms"]
    assert [(each["device"], each["raised_ms"] - BEGIN, each["ended_ms"] - BEGIN) for each in alarms] == [
        ("th-north", 62 * MINUTE, 91 * MINUTE), ("th-south", 62 * MINUTE, 91 * MINUTE),
    ]  # fmt: skip


def test_a_device_that_was_silent_within_a_wide_block_gives_no_absence(site: Path) -> None:
    """Its communication is a column of its own, behind the temperature: by the column it would come too late."""
    silent = range(20, 50)
    taken = [
        Reading("th-north", "room.temperature", "", 22.0, BEGIN + minute * MINUTE)
        for minute in range(60)
        if minute not in silent
    ] + [
        Reading("th-north", "device.communication", "", "lost" if minute in silent else "ok", BEGIN + minute * MINUTE)
        for minute in range(60)
    ]
    (site / "journal.db").unlink()
    store = Store(site / "journal.db", max_bytes=1 << 30, max_age_ms=1 << 50)
    store.open()
    catalog = Catalog("1", devices=(CatalogDevice("th-north", "sensor", points=(CatalogPoint("room.temperature"),)),))
    numbers = iter(range(1, 9))
    for draft in (
        Draft(Kind.CATALOG, [catalog], BEGIN, BEGIN, "", catalog.digest()),
        Draft(Kind.READINGS, taken, BEGIN, BEGIN + 59 * MINUTE, ""),
    ):
        blocks, _ = seal_draft(draft, stream=new_id(BEGIN), number=numbers.__next__, now_ms=BEGIN)
        store.commit(blocks, now_ms=BEGIN)
    store.close()
    (site / "gone.yaml").write_text(GONE)
    assert run(site, str(site / "gone.yaml"))["raised"] == {"device-communication-lost": 1}


def test_a_trial_file_is_laid_over_the_sites_rules(site: Path) -> None:
    (site / "trial.yaml").write_text(STRICTER)
    report = run(site, str(site / "trial.yaml"))
    assert report["raised"] == {"room-temperature-high-gb-trial": 2}
    assert [each["ended_ms"] for each in report["alarms"]] == [None, None]


def test_only_the_last_days_asked_for_are_played(site: Path) -> None:
    assert run(site, "--days", "0.02")["samples"] == 120


def test_the_bar_advances_to_the_end_where_somebody_looks_on(site: Path) -> None:
    shown = StringIO()
    made = read_site(site / "agent.yaml")
    console = Console(file=shown, force_terminal=True, width=100)
    _play(JournalReader(site / "journal.db"), made, made.rules, 1 << 40, console)
    text = shown.getvalue()
    assert 0 <= text.find(" 0/240") < text.find("240/240")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_no_bar_is_drawn_into_a_pipe(site: Path, more: list[str]) -> None:
    result = CliRunner().invoke(app, ["-c", str(site / "agent.yaml"), *more])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "240/240" not in result.stdout


def test_the_time_the_agent_was_off_is_said_and_raises_nothing(site: Path) -> None:
    store = Store(site / "journal.db", max_bytes=1 << 30, max_age_ms=1 << 50)
    store.open()
    later = BEGIN + 6 * 60 * MINUTE
    taken = [
        Reading(f"th-{room}", "room.temperature", "", 22.0, later + minute * MINUTE)
        for minute in range(60)
        for room in ("north", "south")
    ]
    draft = Draft(Kind.READINGS, taken, later, taken[-1].taken_at, "")
    blocks, _ = seal_draft(draft, stream=new_id(BEGIN), number=iter((900,)).__next__, now_ms=later)
    store.commit(blocks, now_ms=later)
    store.close()
    (site / "gone.yaml").write_text(GONE)
    report = run(site, str(site / "gone.yaml"))
    assert report["raised"] == {"room-temperature-high-gb": 2}
    assert report["holes"] == [{"agent": "", "from_ms": BEGIN + 119 * MINUTE, "until_ms": later}]
    shown = CliRunner().invoke(app, ["-c", str(site / "agent.yaml"), str(site / "gone.yaml")]).stdout
    assert "for 4:01:00: it counts for nobody" in shown
    assert "over the devices of this agent alone: site-ups-several-on-battery" in shown


def test_a_wrong_rule_file_and_a_missing_journal_are_said(site: Path) -> None:
    (site / "trial.yaml").write_text("version: 1\nruels: []\n")
    bad = CliRunner().invoke(app, ["-c", str(site / "agent.yaml"), str(site / "trial.yaml")])
    assert (bad.exit_code, "ruels" in bad.output) == (2, True)
    (site / "journal.db").unlink()
    missing = CliRunner().invoke(app, ["-c", str(site / "agent.yaml")])
    assert (missing.exit_code, "there is no journal" in missing.output) == (1, True)


def test_a_column_of_samples_is_judged_like_the_samples() -> None:
    rule, facts = high(for_="1m"), DeviceFacts("d1", "sensor")
    values = [26.0, 28.0, 28.0, None, 28.0, 28.0, 28.0, 20.0]
    one, other = (Engine(RuleSet((rule,)), [facts], origin="a", new_id=new_id, started_ms=0) for _ in range(2))
    readings = [good(30 * i, 0.0 if value is None else value) for i, value in enumerate(values)]
    events = one.series(readings[0].point, [r.taken_at for r in readings], [r.value for r in readings],
                        [value is not None for value in values])  # fmt: skip
    expected = []
    for reading, value in zip(readings, values, strict=True):
        bad = Reading(reading.device, reading.metric, "", None, reading.taken_at)
        expected += other.sample(reading if value is not None else bad)
    assert [(event.at, event.kind, event.reason) for event in events] == [
        (event.at, event.kind, event.reason) for event in expected
    ]
    assert len(events) == 2
