"""What the centre refused or the disk changed, as an operator sees it: `coldaisle agent quarantine`."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from agent.cli import app
from agent.journal import BlockState
from facility.wire import Kind
from tests.agent.journals import event, manual_clock, opened, reading


def quarantine(path: Path, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["quarantine", "--journal", str(path), *more])
    return result.exit_code, result.output


def listed(path: Path, *more: str) -> list[dict[str, Any]]:
    code, output = quarantine(path, "--json", *more)
    assert code == 0, output
    return [json.loads(line) for line in output.splitlines()]


async def filled(path: Path) -> None:
    """Two good blocks, a refused one of events and one of readings that the disk changed."""
    clock = manual_clock()
    journal = await opened(path, clock)
    for value in (21.0, 22.0, 23.0):
        journal.take([reading(clock, value)])
        await journal.commit()
        clock.advance(1)
    journal.append(Kind.EVENTS, [event(clock, "refused")], at=0)
    await journal.commit()
    (refused,) = await journal.unsent(Kind.EVENTS, limit=1)
    journal.settle(refused.block.key, BlockState.REJECTED, "bad_time")
    await journal.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE blocks SET body = x'00' || substr(body, 2) WHERE position = 2")
    db.close()
    journal = await opened(path, clock)
    await journal.unsent(Kind.READINGS, limit=9)
    await journal.close()


def test_an_operator_lists_and_looks_into_what_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    asyncio.run(filled(path))
    assert [(each["kind"], each["reason"], each["count"]) for each in listed(path)] == [
        ("events", "bad_time", 1),
        ("readings", "corrupt", 1),
    ]
    events, readings = (each["number"] for each in listed(path))
    (shown,) = listed(path, str(events))
    assert [item["detail"] for item in shown["items"]] == [{"note": "refused"}]
    (shown,) = listed(path, str(readings))
    assert "unreadable" in shown["items"][0]
    code, output = quarantine(path)
    assert (code, "bad_time" in output, "corrupt" in output) == (0, True, True)
    assert '"note": "refused"' in quarantine(path, str(events))[1]
    assert quarantine(path, "1") == (1, "no block 1 is in quarantine\n")
    status = json.loads(CliRunner().invoke(app, ["journal", "--json", "--journal", str(path)]).output)
    assert status["quarantined"] == [
        {"kind": "events", "reason": "bad_time", "blocks": 1},
        {"kind": "readings", "reason": "corrupt", "blocks": 1},
    ]


def test_nothing_is_set_aside(tmp_path: Path) -> None:
    async def made() -> None:
        await (await opened(tmp_path / "j.db", manual_clock())).close()

    asyncio.run(made())
    assert quarantine(tmp_path / "j.db") == (0, "nothing is in quarantine\n")
