"""`coldaisle drill`: break something in a simulated machine room and say what should follow.

Speaks to the room's control API with the standard library alone, so a drill can be run from any machine that has the
command and can reach the room.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import quote, urlsplit

import typer
from rich.console import Console
from rich.table import Table

from simulator.faults import CATALOGUE, Fault, FaultName, UnknownFault, find

SIMULATOR_ENV = "COLDAISLE_SIMULATOR"
DEMO_FILE = Path("demo-data/demo.json")
TIMEOUT_S = 5.0
MAX_ANSWER = 1_000_000  # bytes; the room's largest answer is a few kilobytes
USAGE, FAILED = 2, 1

app = typer.Typer(help="Cause a fault in the simulated room / 在模拟机房中制造故障.", no_args_is_help=True)

SimulatorOption = Annotated[
    str | None,
    typer.Option("--simulator", help=f"URL of the room; default {SIMULATOR_ENV}, else the one in {DEMO_FILE}."),
]


@dataclass(frozen=True, slots=True)
class DrillError(Exception):
    """A drill that could not be run; `message` is for a person, `code` for the shell."""

    message: str
    code: int = FAILED

    def __str__(self) -> str:
        return self.message


@app.command("list")
def list_faults(simulator: SimulatorOption = None) -> None:
    """Every drill by name; with a room at hand, also what is broken there now."""
    console = Console()
    table = Table(title="Drills / 演练", show_lines=True)
    table.add_column("name / 名称", no_wrap=True, style="bold")
    # Chinese has no spaces to break at: without "fold" the end of a sentence would be cut off.
    table.add_column("drill / 演练", overflow="fold", ratio=2)
    table.add_column("what follows / 预期", overflow="fold", ratio=3)
    for fault in CATALOGUE:
        titles = [fault.title_en, fault.title_zh, *_strikes(fault)]
        table.add_row(fault.name.value, "\n".join(titles), f"{fault.expect_en}\n{fault.expect_zh}")
    console.print(table)
    try:
        url = _find_simulator(simulator)
        active = _faults(_call(url, "/faults"))
    except DrillError as error:
        # The list itself needs no room; only somebody who named one must be told that it is not there.
        if simulator is not None:
            _fail(error)
        return
    console.print(f"Room {url}: " + (", ".join(active) if active else "nothing is broken / 无故障"))


@app.command("run")
def run_fault(
    name: Annotated[str, typer.Argument(help="The drill; `coldaisle drill list` shows all.")],
    simulator: SimulatorOption = None,
    device: Annotated[str | None, typer.Option("--device", help="The device to strike instead of the usual.")] = None,
) -> None:
    """Break something, or repair everything with `clear`."""
    try:
        fault = _find_fault(name)
        url = _find_simulator(simulator)
        answer = _call(url, f"/faults/{quote(fault.name.value)}", body={"device": device} if device else {})
    except DrillError as error:
        _fail(error)
    console = Console(soft_wrap=True)
    struck = device or fault.device
    console.print(f"{fault.name.value}: {fault.title_en} / {fault.title_zh}" + (f" ({struck})" if struck else ""))
    console.print(fault.expect_en)
    console.print(fault.expect_zh)
    active = _faults(answer)
    if fault.name is not FaultName.CLEAR:
        console.print(f"In force now / 当前故障: {', '.join(active)}. Repair with / 恢复: coldaisle drill run clear")


def _strikes(fault: Fault) -> list[str]:
    """The struck device and the choice there is, as one dim line; nothing where a fault strikes the room."""
    if fault.device is None:
        return []
    choice = f"{fault.devices[0]} ... {fault.devices[-1]}" if fault.devices else "any device / 任一设备"
    return [f"[dim]{fault.device} (--device {choice})[/dim]"]


def _find_fault(name: str) -> Fault:
    try:
        return find(name)
    except UnknownFault as error:
        raise DrillError(str(error), USAGE) from error


def _find_simulator(given: str | None) -> str:
    """The URL from the option, the environment or the running demo's file, in this order."""
    if given:
        return _checked(given, "--simulator")
    if from_environment := os.environ.get(SIMULATOR_ENV):
        return _checked(from_environment, SIMULATOR_ENV)
    try:
        demo = json.loads(DEMO_FILE.read_text(encoding="utf-8"))
        return _checked(str(demo["simulator_url"]), str(DEMO_FILE))
    except FileNotFoundError:
        raise DrillError(
            f"no simulated room is known: start `coldaisle demo` here ({DEMO_FILE} is not there), "
            f"or give --simulator URL or {SIMULATOR_ENV}.",
            USAGE,
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DrillError(f"{DEMO_FILE} does not name a simulated room: {error!r}. Give --simulator URL.") from error


def _checked(url: str, source: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise DrillError(f"{source} is {url!r}, not the URL of a room, such as http://127.0.0.1:9900.", USAGE)
    return url.rstrip("/")


def _call(url: str, path: str, *, body: dict[str, str] | None = None) -> object:
    """GET without a body, else POST it as JSON. Every failure becomes a `DrillError`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, headers={"Content-Type": "application/json"})
    # The room is on loopback or in the lab: a proxy from the environment would only be in the way.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            detail = _detail(error.read(MAX_ANSWER))
        raise DrillError(detail or f"{url} answered {error.code} {error.reason}; is this a simulated room?") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise DrillError(f"the simulated room at {url} cannot be reached ({reason}). Is it running?") from error
    except ValueError as error:
        raise DrillError(f"{url} did not answer as a simulated room does ({error}).") from error


def _detail(answer: bytes) -> str | None:
    try:
        problem = json.loads(answer)
    except ValueError:
        return None
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return detail if isinstance(detail, str) else None


def _faults(answer: object) -> list[str]:
    """The faults in force, in words."""
    if not isinstance(answer, dict) or not isinstance(answer.get("active"), list):
        raise DrillError("the answer names no faults; is this a simulated room?")
    words = []
    for fault in answer["active"]:
        where = f" ({fault['device']})" if fault.get("device") else ""
        words.append(f"{fault['name']}{where} since {fault['since']}")
    return words


def _fail(error: DrillError) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"[red]drill:[/red] {error.message}", highlight=False)
    raise typer.Exit(error.code)
