"""The journal read beside the running agent: history and status for people. Opens the file read-only."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from agent.journal.block import Sealed
from agent.journal.eviction import ASIDE
from agent.journal.merging import OVERLAP_MS
from agent.journal.order import Stretch, in_order
from agent.journal.sql import COLUMNS, SCHEMA_VERSION, judged, stored, used
from facility.items import decode_catalogs, decode_series
from facility.reading import PointKey, Reading
from facility.wire import Kind, WireError, decode


class JournalUnreadable(Exception):
    """There is no journal there, or it cannot be read; says which and why."""


@dataclass(frozen=True, slots=True)
class KindStatus:
    """Blocks of one kind: all, those not answered, quarantined ones, their readings or items, and from when to when."""

    kind: Kind
    blocks: int
    size: int
    count: int
    unsent: int
    unsent_bytes: int
    quarantined: int
    first_at: int
    last_at: int


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """quarantined: (kind, reason) -> blocks; files: corrupt files set aside beside it."""

    kinds: tuple[KindStatus, ...]
    used_bytes: int
    oldest_unsent_at: int | None
    drops: dict[str, int]
    quarantined: dict[tuple[str, str], int]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aside:
    """A block that the centre refused, or the disk changed (reason `corrupt`). number names it in this journal."""

    number: int
    block: Sealed
    reason: str


class JournalReader:
    """A look into a journal file; the agent may be running or not."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _open(self) -> sqlite3.Connection:
        if not self._path.is_file():
            raise JournalUnreadable(f"there is no journal at {self._path}")
        try:
            db = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, isolation_level=None)
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error as exc:
            raise JournalUnreadable(f"{self._path} cannot be read: {judged(exc)}") from exc
        if version != SCHEMA_VERSION:
            db.close()
            raise JournalUnreadable(f"{self._path} is of version {version}; this program reads {SCHEMA_VERSION}")
        return db

    def history(
        self, device: str, *, metric: str | None = None, from_ms: int, to_ms: int, subject: str | None = None
    ) -> Iterator[Reading]:
        """Readings of a device with from <= taken_at < to, in time order."""
        for stretch in in_order(self._of(device, metric, subject, from_ms, to_ms)):
            found = [
                each for series in stretch.series for each in series.readings() if from_ms <= each.taken_at < to_ms
            ]
            yield from sorted(found, key=lambda each: each.taken_at)

    def _of(self, device: str, metric: str | None, subject: str | None, from_ms: int, to_ms: int) -> Iterator[Stretch]:
        for block in self._readings(from_ms, to_ms):
            found = [
                series
                for series in block.series
                if series.device == device and metric in (None, series.metric) and subject in (None, series.subject)
            ]
            yield Stretch(block.first_at, block.last_at, found)

    def _readings(self, from_ms: int, to_ms: int = 1 << 62) -> Iterator[Stretch]:
        """Each readable block of readings that reaches into a time, sorted by when it begins."""
        with closing(self._open()) as db:
            try:
                db.execute("BEGIN")  # what is found here still stands when it is read
                found = db.execute(
                    "SELECT position FROM blocks WHERE kind = ? AND last_at >= ? AND first_at < ?"
                    " ORDER BY first_at, position",
                    (Kind.READINGS, from_ms, to_ms),
                ).fetchall()
                for place in found:
                    row = db.execute(f"SELECT {COLUMNS} FROM blocks WHERE position = ?", place).fetchone()
                    try:
                        block = stored(row).block
                        items = decode(block.payload()).items
                    except (WireError, ValueError):
                        continue  # set aside by the agent when it meets it
                    # What stands in our own journal was judged when it was taken: no bound from here on.
                    yield Stretch(block.first_at, block.last_at, decode_series(items, now_ms=1 << 60)[0])
            except sqlite3.Error as exc:
                raise JournalUnreadable(f"{self._path} cannot be read further: {judged(exc)}") from exc

    def newest_at(self) -> int | None:
        """When the newest reading was taken, in ms UTC."""
        with closing(self._open()) as db:
            found = db.execute("SELECT max(last_at) FROM blocks WHERE kind = ?", (Kind.READINGS,)).fetchone()[0]
        return None if found is None else int(found)

    def points(self) -> set[PointKey]:
        """The points of the newest catalog."""
        with closing(self._open()) as db:
            row = db.execute(
                f"SELECT {COLUMNS} FROM blocks WHERE kind = ? ORDER BY position DESC LIMIT 1", (Kind.CATALOG,)
            ).fetchone()
        if row is None:
            return set()
        try:
            catalogs, _ = decode_catalogs(decode(stored(row).block.payload()).items)
        except (WireError, ValueError) as exc:
            raise JournalUnreadable(f"{self._path}: its newest catalog cannot be read: {exc}") from exc
        return {
            PointKey(device.id, point.metric, point.subject)
            for catalog in catalogs
            for device in catalog.devices
            for point in device.points
        }

    def count(self, *, from_ms: int) -> int:
        """How many readings the blocks since then hold."""
        with closing(self._open()) as db:
            query = "SELECT coalesce(sum(count), 0) FROM blocks WHERE kind = ? AND last_at >= ?"
            return int(db.execute(query, (Kind.READINGS, from_ms)).fetchone()[0])

    def stretches(self, *, from_ms: int) -> Iterator[Stretch]:
        """The readings since then in time order, block by block; blocks that overlap are laid together."""
        return in_order(self._readings(from_ms), slack_ms=OVERLAP_MS)

    def aside(self, number: int | None = None) -> list[Aside]:
        """The blocks set aside, the newest first; with a number only that one."""
        query = (
            f"SELECT {COLUMNS}, reason FROM blocks WHERE state IN (?, ?) AND ? IN (position, 0) ORDER BY position DESC"
        )
        with closing(self._open()) as db:
            try:
                rows = db.execute(query, (*ASIDE, number or 0)).fetchall()
                found = [stored(row[:-1]) for row in rows]
            except (sqlite3.Error, ValueError) as exc:
                raise JournalUnreadable(f"{self._path} cannot be read: {exc}") from exc
        return [Aside(each.position, each.block, str(row[-1])) for each, row in zip(found, rows, strict=True)]

    def status(self) -> JournalStatus:
        """Figures of the whole file."""
        with closing(self._open()) as db:
            try:
                return self._status(db)
            except sqlite3.Error as exc:
                raise JournalUnreadable(f"{self._path} cannot be read: {judged(exc)}") from exc

    def _status(self, db: sqlite3.Connection) -> JournalStatus:
        kinds = db.execute(
            "SELECT kind, count(*), sum(size), sum(count), sum(state = 0), sum(CASE state WHEN 0 THEN size ELSE 0 END),"
            " sum(state > 1), min(first_at), max(last_at) FROM blocks GROUP BY kind"
        ).fetchall()
        oldest = db.execute("SELECT min(born_at) FROM blocks WHERE state = 0").fetchone()[0]
        quarantined = db.execute(
            "SELECT kind, reason, count(*) FROM blocks WHERE state IN (?, ?) GROUP BY kind, reason",
            ASIDE,
        ).fetchall()
        beside = sorted(self._path.parent.glob(f"{self._path.name}.corrupt-*"))
        order = list(Kind)
        return JournalStatus(
            kinds=tuple(
                sorted((KindStatus(Kind(row[0]), *row[1:]) for row in kinds), key=lambda each: order.index(each.kind))
            ),
            used_bytes=used(db),
            oldest_unsent_at=oldest,
            drops={
                str(reason): int(count)
                for reason, count in db.execute("SELECT reason, sum(count) FROM dropped GROUP BY reason")
            },
            quarantined={(str(kind), str(reason)): int(count) for kind, reason, count in quarantined},
            files=tuple(path.name for path in beside if not path.name.endswith(("-wal", "-shm"))),
        )
