"""The files of the centre, read past the server's code."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from facility.clock import to_ms
from facility.reading import Reading

Name = tuple[str, str, str]  # of a point: device, metric, subject


class Files:
    """What is committed in a folder's `main.db` and `history.db`.

    Read only, so that nothing is changed by looking; let go before the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, sqlite3.Connection] = {}

    def ask(self, file: str, query: str, *values: object) -> list[Any]:
        if file not in self._open:
            path = quote(str(self._folder / f"{file}.db"))
            self._open[file] = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        return self._open[file].execute(query, values).fetchall()

    def let_go(self) -> None:
        for db in self._open.values():
            db.close()
        self._open.clear()


@dataclass(frozen=True)
class Row:
    """An alarm as the centre has it; times in ms."""

    id: str
    origin: str
    device: str
    rule: str
    subject: str
    revision: int
    severity: str
    worst: str
    end_reason: str | None
    active: bool
    succeeded: bool
    raised_at: int
    ended_at: int | None


def alarm_rows(files: Files, where: str, *values: object) -> Sequence[tuple[int, Row]]:
    """Alarms with their places in the table."""
    query = (
        "SELECT rowid, id, origin, device, rule, subject, revision, severity, worst_severity, end_reason, active,"
        f" succeeded_at IS NOT NULL, raised_at, ended_at FROM alarms WHERE {where}"
    )
    return [(row[0], _row(*row[1:])) for row in files.ask("main", query, *values)]


def _row(*columns: Any) -> Row:
    names = [each.name for each in fields(Row)]
    row = dict(zip(names, columns, strict=True))
    row["active"], row["succeeded"] = bool(row["active"]), bool(row["succeeded"])
    row["raised_at"] = _ms(row["raised_at"])
    row["ended_at"] = None if row["ended_at"] is None else _ms(row["ended_at"])
    return Row(**row)


def _ms(text: str | int) -> int:
    if isinstance(text, int):
        return text // 1000
    return to_ms(datetime.fromisoformat(text))


def same(found: float | None, reading: Reading) -> bool:
    """Whether what is in history is what was read."""
    if isinstance(reading.value, float | None):
        return found == reading.value
    return found is not None  # a state, kept as its code
