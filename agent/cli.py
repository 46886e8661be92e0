"""`coldaisle agent`: run the edge program, check its configuration, ask a device, look into the journal."""

import asyncio
import gc
import logging
import math
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from agent.app import build
from agent.capacity import (
    DAY_S,
    PROMISED_S,
    budget_that_does,
    bytes_short,
    keepalive_that_does,
    kept_s,
    rated_load,
    without_readings_mb,
)
from agent.discover_cli import discover_devices
from agent.inspect_cli import history, journal, quarantine
from agent.kernel_clock import clock_is_kept
from agent.logs import configure
from agent.probe_cli import probe
from agent.service import ServiceManager
from agent.site import Site, read_site
from facility.clock import SystemClock
from facility.config import ConfigErrors

app = typer.Typer(no_args_is_help=True, help="The edge program: poll devices, judge alarms, keep and send.")

log = logging.getLogger(__name__)

CONFIG = Path("/etc/coldaisle/agent.yaml")
# sysexits.h EX_CONFIG: systemd's RestartPreventExitStatus knows it by this number.
BAD_CONFIG = 78
# After the first polls of most devices, and after the slowest usual interval: points and judges are all there.
SETTLED_S = (20.0, 300.0)
CANNOT_START = 1

Config = Annotated[Path, typer.Option("--config", "-c", help="The agent's configuration file.")]


@app.command()
def run(
    config: Config = CONFIG,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log repeated failures and details too.")] = False,
) -> None:
    """Poll, judge, keep and send until stopped (SIGTERM); SIGHUP reads the configuration again."""
    configure(logging.DEBUG if verbose else logging.INFO)
    site = _read(config)
    _warn(site)
    try:
        asyncio.run(_run(config, site), debug=False)
    except* OSError as group:
        for exc in group.exceptions:
            Console(stderr=True).print(f"the agent cannot start: {exc}", style="red", highlight=False)
        raise typer.Exit(CANNOT_START) from group


async def _run(config: Path, site: Site) -> None:
    clock = SystemClock(asyncio.sleep, kept=clock_is_kept)
    agent = build(site, clock=clock, reread=lambda: _warn(read_site(config)), service=ServiceManager(os.environ))
    loop = asyncio.get_running_loop()
    async with agent:
        running = asyncio.create_task(agent.run(), name="agent")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        loop.add_signal_handler(signal.SIGHUP, agent.reload)
        for seconds in SETTLED_S:
            loop.call_later(seconds, _settle_memory)
        try:
            await running
        except asyncio.CancelledError:
            log.info("agent stops")


def _warn(site: Site) -> Site:
    for warning in (*site.loaded.warnings, *site.idle):
        log.warning("configuration", extra={"warning": str(warning)})
    return site


def _settle_memory() -> None:
    """What is alive by now stays: the collector need not walk it again and again, a tenth of a large site's work."""
    gc.collect()
    gc.freeze()


@app.command()
def check(config: Config = CONFIG) -> None:
    """Read the configuration, the profiles and the rules it names; print every problem at once."""
    site = _read(config)
    console = Console(highlight=False)
    for warning in site.loaded.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    if site.idle:
        _refuse(ConfigErrors(list(site.idle)), "the agent starts all the same")
    settings = site.loaded.config
    active = sum(1 for rule in site.rules if rule.enabled)
    console.print(
        f"{config}: good. Site {settings.site}, agent {settings.agent}: {len(site.devices)} devices, {active} rules.",
        markup=False,
    )
    load = rated_load(site.devices)
    console.print(
        f"At {load:.4g} values a second, or more where tables are read, the journal keeps"
        f" {kept_s(settings.journal, load) / DAY_S:.3g} days for a centre that is away.",
        markup=False,
    )
    short = bytes_short(settings.journal, load)
    if short:
        console.print(
            f"warning: journal.max_bytes is too little for {PROMISED_S / DAY_S:g} days, or for max_age;"
            f" {math.ceil(short / (1 << 20))}MiB would do",
            style="yellow", markup=False,
        )  # fmt: skip
    uplink = settings.uplink
    if uplink is not None and (budget := budget_that_does(uplink)):
        keepalive = keepalive_that_does(uplink)
        console.print(
            f"warning: of uplink.budget_mb_month {uplink.budget_mb_month:g}, keep-alives and health alone take"
            f" {without_readings_mb(uplink):.3g}, more than half;"
            + (f" a keepalive of {keepalive}s would do, or" if keepalive else "")
            + f" a budget of {budget} would do",
            style="yellow", markup=False,
        )  # fmt: skip


def _read(config: Path) -> Site:
    try:
        return read_site(config)
    except ConfigErrors as exc:
        _refuse(exc)


def _refuse(errors: ConfigErrors, outcome: str = "nothing was started") -> NoReturn:
    for problem in errors.problems:
        print(problem, file=sys.stderr)
    count = len(errors.problems)
    print(f"{count} problem{'' if count == 1 else 's'} found; {outcome}.", file=sys.stderr)
    raise typer.Exit(BAD_CONFIG)


app.command()(probe)
app.command("discover")(discover_devices)
app.command()(history)
app.command()(journal)
app.command()(quarantine)
