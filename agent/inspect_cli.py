"""`coldaisle agent history`, `journal` and `quarantine`: what the agent has kept, read beside the running agent."""

import asyncio
import json
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from agent.capacity import DAY_S, left_s
from agent.config import Journal
from agent.journal.reading import Aside, JournalReader, JournalUnreadable
from agent.loading import load_config
from agent.values import parse_duration
from facility.clock import SystemClock, from_ms, now_ms, to_ms
from facility.config import ConfigErrors
from facility.ids import is_slug
from facility.metrics import UnknownMetricError, metric
from facility.reading import Reading
from facility.units import symbol
from facility.wire import WireError, decode

DEFAULT_CONFIG = Path("/etc/coldaisle/agent.yaml")
USAGE = 2
FAILED = 1

Config = Annotated[Path, typer.Option("--config", "-c", help="The agent's configuration; its journal is read.")]
JournalPath = Annotated[Path | None, typer.Option("--journal", help="The journal file itself, in place of --config.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_AGO = re.compile(r"\d+(?:\.\d+)?\s*(?:ms|s|m|h|d)")


def history(
    device: Annotated[str, typer.Option("--device", "-d", help="The device's id.")],
    metric_name: Annotated[str | None, typer.Option("--metric", "-m", help="A metric; all when absent.")] = None,
    start: Annotated[str, typer.Option("--from", help="RFC 3339 time, or how long ago: 2h, 3d.")] = "1h",
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339 time, or how long ago; now when absent.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", "-s", help="e.g. phase/L2; all when absent.")] = None,
    as_json: AsJson = False,
    config: Config = DEFAULT_CONFIG,
    journal_path: JournalPath = None,
) -> None:
    """Readings of a device from the local journal, also without any connection to the centre."""
    if not is_slug(device):
        _fail(f"{device!r} is no device id", USAGE)
    if metric_name is not None:
        try:
            metric(metric_name)
        except UnknownMetricError as exc:
            _fail(str(exc), USAGE)
    now = now_ms(SystemClock(asyncio.sleep))
    from_ms, to_ms = _time(start, now), now + 1 if end is None else _time(end, now)
    reader = JournalReader(_journal(config, journal_path))
    try:
        found = reader.history(device, metric=metric_name, from_ms=from_ms, to_ms=to_ms, subject=subject)
        count = _print_json(found) if as_json else _print_table(found)
    except JournalUnreadable as exc:
        _fail(str(exc), FAILED)
    if not count and not as_json:
        what = f"{device} {metric_name}" if metric_name else device
        print(f"no readings of {what} from {_shown(from_ms)} to {_shown(to_ms)}", file=sys.stderr)


def journal(as_json: AsJson = False, config: Config = DEFAULT_CONFIG, journal_path: JournalPath = None) -> None:
    """What the journal holds: blocks by kind, what the centre has not answered for, losses, quarantine."""
    path, settings = _settings(config, journal_path)
    try:
        status = JournalReader(path).status()
    except JournalUnreadable as exc:
        _fail(str(exc), FAILED)
    now = now_ms(SystemClock(asyncio.sleep))
    oldest = None if status.oldest_unsent_at is None else max(0, now - status.oldest_unsent_at) / 1000
    left = None if settings is None else left_s(status, settings, now=now)
    if as_json:
        print(
            json.dumps(
                {
                    "kinds": {
                        each.kind: {
                            "blocks": each.blocks,
                            "bytes": each.size,
                            "count": each.count,
                            "unsent": each.unsent,
                            "unsent_bytes": each.unsent_bytes,
                            "quarantined": each.quarantined,
                        }
                        for each in status.kinds
                    },
                    "used_bytes": status.used_bytes,
                    "oldest_unsent_s": oldest,
                    "left_s": left,
                    "drops": status.drops,
                    "quarantined": [
                        {"kind": kind, "reason": reason, "blocks": count}
                        for (kind, reason), count in sorted(status.quarantined.items())
                    ],
                    "quarantined_files": list(status.files),
                }
            )
        )
        return
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("kind", "blocks", "readings or items", "size", "unsent", "quarantined", "from", "to"):
        table.add_column(title, justify="left" if title in ("kind", "from", "to") else "right", no_wrap=True)
    for each in status.kinds:
        table.add_row(
            each.kind, str(each.blocks), str(each.count), _size(each.size), str(each.unsent), str(each.quarantined),
            _shown(each.first_at), _shown(each.last_at),
        )  # fmt: skip
    console.print(table)
    console.print(f"file: {path}, {_size(status.used_bytes)} used", markup=False)
    console.print("unsent: none" if oldest is None else f"unsent: the oldest for {oldest:.0f} s", markup=False)
    if left is not None:
        console.print(f"room: the centre may be away for {left / DAY_S:.1f} days before readings go", markup=False)
    for (kind, reason), count in sorted(status.quarantined.items()):
        console.print(f"quarantined: {count} {kind} block(s), {reason}", style="yellow", markup=False)
    for reason, count in sorted(status.drops.items()):
        console.print(f"lost: {count} readings or items, {reason}", style="red", markup=False)
    for name in status.files:
        console.print(f"corrupt file set aside: {name}", style="red", markup=False)


def quarantine(
    number: Annotated[
        int | None, typer.Argument(min=1, help="Show what this block holds; all are listed without.")
    ] = None,
    as_json: AsJson = False,
    config: Config = DEFAULT_CONFIG,
    journal_path: JournalPath = None,
) -> None:
    """Blocks the centre refused, or the disk changed: kept to be looked at, never sent again."""
    try:
        found = JournalReader(_journal(config, journal_path)).aside(number)
    except JournalUnreadable as exc:
        _fail(str(exc), FAILED)
    if number is not None and not found:
        _fail(f"no block {number} is in quarantine", FAILED)
    if as_json:
        for each in found:
            print(
                json.dumps(_aside(each) | ({"items": _items(each)} if number is not None else {}), ensure_ascii=False)
            )
        return
    if not found:
        print("nothing is in quarantine")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("number", "kind", "reason", "count", "size", "from"):
        table.add_column(title, no_wrap=True)
    for each in found:
        block = each.block
        row = (each.number, block.kind, each.reason, block.count, _size(block.size), _shown(block.first_at))
        table.add_row(*(str(cell) for cell in row))
    Console(highlight=False).print(table)
    if number is not None:
        for item in _items(found[0]):
            print(json.dumps(item, ensure_ascii=False))


def _aside(each: Aside) -> dict[str, object]:
    block = each.block
    return {
        "number": each.number, "kind": block.kind, "reason": each.reason, "stream": block.key.stream,
        "seq": block.key.seq, "count": block.count, "bytes": block.size, "from": _shown(block.first_at),
        "to": _shown(block.last_at),
    }  # fmt: skip


def _items(each: Aside) -> list[object]:
    """What a block holds, as it was sent; of one that cannot be read any more, why."""
    try:
        return [json.loads(item) for item in decode(each.block.payload()).items]
    except (WireError, ValueError) as exc:
        return [{"unreadable": str(exc)}]


def _journal(config: Path, path: Path | None) -> Path:
    return _settings(config, path)[0]


def _settings(config: Path, path: Path | None) -> tuple[Path, Journal | None]:
    """The journal's file and its bounds; those are not known of a file that was named itself."""
    if path is not None:
        return path, None
    try:
        loaded = load_config(config)
    except ConfigErrors as exc:
        _fail(f"{exc}\nname the file itself with --journal", FAILED)
    return loaded.folder / loaded.config.journal.path, loaded.config.journal


def _time(text: str, now: int) -> int:
    if _AGO.fullmatch(text.strip()):
        return now - parse_duration(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        _fail(f"{text!r} is no time: write 2026-11-23T08:00:00+08:00, or how long ago, like 2h", USAGE)
    # A person at the machine means the machine's own zone.
    return to_ms(at if at.tzinfo is not None else at.astimezone(UTC))


def _print_json(readings: Iterable[Reading]) -> int:
    count = 0
    for each in readings:
        count += 1
        print(
            json.dumps(
                {
                    "at": from_ms(each.taken_at).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "metric": each.metric,
                    "subject": each.subject,
                    "value": each.value,
                    "unit": metric(each.metric).unit,
                    "quality": each.quality,
                    "reason": each.reason,
                },
                ensure_ascii=False,
            )
        )
    return count


def _print_table(readings: Iterable[Reading]) -> int:
    count = 0
    for each in readings:
        count += 1
        entry = metric(each.metric)
        unit = "" if entry.states is not None else symbol(entry.unit)
        value = "-" if each.value is None else f"{each.value:g}" if isinstance(each.value, float) else str(each.value)
        doubt = "" if each.reason is None else f"  {each.quality}: {each.reason}"
        name = f"{each.metric}{'#' + each.subject if each.subject else ''}"
        print(f"{_shown(each.taken_at)}  {name}  {value} {unit}{doubt}".rstrip())
    return count


def _shown(ms: int) -> str:
    return from_ms(ms).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count / 1024:.1f} KiB"


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)
