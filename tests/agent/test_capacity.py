"""How long the journal keeps what the centre has not got, and where that is said."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.capacity import DAY_S, bytes_short, kept_s, left_s
from agent.cli import app
from agent.config import Journal
from agent.journal.reading import JournalReader
from facility.clock import now_ms
from tests.agent.journals import MIB, commit_each, manual_clock, opened
from tests.agent.running import ups, write_config


def bounds(max_bytes: int, days: float = 7.0) -> Journal:
    return Journal.model_construct(max_bytes=max_bytes, max_age=round(days * DAY_S * 1000))


@pytest.mark.parametrize(
    ("max_bytes", "load", "days", "short"),
    [
        (1 << 30, 300.0, 7.0, 0),  # max_age is the bound
        (1 << 30, 600.0, 3.93, 1_910_000_000),
        (2 << 30, 600.0, 7.0, 0),
        (1 << 30, 0.0, 7.0, 0),
    ],
)
def test_how_many_days_a_journal_keeps(max_bytes: int, load: float, days: float, short: int) -> None:
    journal = bounds(max_bytes)
    assert kept_s(journal, load) / DAY_S == pytest.approx(days, rel=0.01)
    assert bytes_short(journal, load) == pytest.approx(short, rel=0.01)
    assert bytes_short(bounds(max_bytes, 3.5), load) == 0, "no more than max_age is wanted"


def test_check_says_what_the_journal_keeps_and_what_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMUNITY", "public")
    devices = [ups(161 + i, device=f"ups-{i}") for i in range(20)]
    config = write_config(tmp_path, devices=devices, rooms=[{"id": "hall"}])
    said = " ".join(CliRunner().invoke(app, ["check", "--config", str(config)]).output.split())
    assert "values a second" in said
    assert "MiB would do" in said
    enough = said.rpartition(" would do")[0].rpartition(" ")[2]
    config = write_config(tmp_path, devices=devices, rooms=[{"id": "hall"}], journal={"max_bytes": enough})
    said = " ".join(CliRunner().invoke(app, ["check", "--config", str(config)]).output.split())
    assert "keeps 7 days" in said
    assert "would do" not in said


async def test_the_journal_says_how_long_the_centre_may_still_be_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMUNITY", "public")
    config = write_config(tmp_path, journal={"path": "j.db", "max_bytes": "4MiB"})
    clock = manual_clock()
    journal = await opened(tmp_path / "j.db", clock, max_bytes=4 * MIB)
    await commit_each(journal, clock, range(60))
    begun = left_s(JournalReader(tmp_path / "j.db").status(), bounds(4 * MIB), now=now_ms(clock))
    assert begun is None, "a minute is no day"
    clock.advance(2 * 3600)
    await commit_each(journal, clock, range(60))
    now = now_ms(clock)
    left = left_s(JournalReader(tmp_path / "j.db").status(), bounds(4 * MIB), now=now)
    assert left is not None
    assert 2 * 3600 < left < 7 * DAY_S
    late = left_s(JournalReader(tmp_path / "j.db").status(), bounds(4 * MIB, 3 / 24), now=now)
    assert late == pytest.approx(3 * 3600 - 2 * 3600 - 120, abs=5), "what is too old goes, too"
    await journal.close()
    shown = CliRunner().invoke(app, ["journal", "--config", str(config)]).output
    assert "room: the centre may be away for" in shown
    told = json.loads(CliRunner().invoke(app, ["journal", "--json", "--config", str(config)]).output)
    assert told["left_s"] is not None
    named = json.loads(CliRunner().invoke(app, ["journal", "--json", "--journal", str(tmp_path / "j.db")]).output)
    assert named["left_s"] is None


@pytest.mark.parametrize(
    ("uplink", "said"),
    [
        ({"budget_mb_month": 10}, "alone take 59.5, more than half; a budget of 120 would do"),
        ({"budget_mb_month": 110}, "alone take 59.5, more than half; a keepalive of 45s would do, or a budget of 120"),
        ({"budget_mb_month": 110, "keepalive": "45s"}, None),
        ({"budget_mb_month": 120}, None),
        ({}, None),
    ],
)
def test_check_says_when_a_metered_link_carries_little_but_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uplink: dict[str, int | str], said: str | None
) -> None:
    monkeypatch.setenv("COMMUNITY", "public")
    config = write_config(tmp_path, devices=[ups(161)], rooms=[{"id": "hall"}], uplink={"broker": "mqtt://c", **uplink})
    shown = " ".join(CliRunner().invoke(app, ["check", "--config", str(config)]).output.split())
    assert "values a second" in shown
    assert ("keep-alives" in shown) is (said is not None)
    assert said is None or said in shown
