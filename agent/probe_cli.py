"""`coldaisle agent probe`: ask one live device who it is and what it says now."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from agent.loading import extra_folders, load_config
from agent.site import snmp_target
from collectors.library import Library, UnknownProfileError
from collectors.modbus.target import ModbusTarget
from collectors.probe import ProbeReport, parse_address
from collectors.probe import probe as look
from collectors.snmp.target import SnmpTarget
from facility.clock import SystemClock
from facility.config import ConfigErrors
from facility.metrics import metric
from facility.units import symbol

USAGE = 2
NO_ANSWER = 1


def probe(
    address: Annotated[
        str,
        typer.Argument(
            help="HOST[:PORT], snmp://[COMMUNITY@]HOST[:PORT], snmpv1://[COMMUNITY@]HOST[:PORT], "
            "modbus://HOST[:PORT]/UNIT, rtu://HOST[:PORT]/UNIT (RTU frames through a gateway) or "
            "rtu:///dev/ttyUSB0?unit=1&baudrate=9600&parity=N&stopbits=1"
        ),
    ],
    profile: Annotated[str | None, typer.Option("--profile", "-p", help="Read it by this profile.")] = None,
    credentials: Annotated[
        str | None, typer.Option("--credentials", help="Named credentials of --config (SNMPv3 needs them).")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="A configuration with credentials.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.05, max=20, help="Seconds to wait for one answer; the profile's, else 2.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recognise a device, read it once and print what it says. Only reads; nothing is stored."""
    try:
        target = _target(address, credentials, config)
        library = Library.load(extra_folders(config) if config is not None else [])
        report = asyncio.run(
            look(target, library=library, clock=SystemClock(asyncio.sleep), profile_id=profile, timeout_s=timeout)
        )
    except (ValueError, UnknownProfileError, ConfigErrors) as exc:
        _fail(str(exc))
    if as_json:
        _print_json(report)
    else:
        _print(report)
    if report.problem is not None:
        raise typer.Exit(NO_ANSWER)


def _target(address: str, name: str | None, config: Path | None) -> SnmpTarget | ModbusTarget:
    plain = parse_address(address)
    if name is None:
        return plain
    if config is None:
        raise ValueError("--credentials names an entry of a configuration: give --config too")
    if isinstance(plain, ModbusTarget):
        raise ValueError("Modbus knows no credentials")  # noqa: TRY004 - what was typed is wrong, not its type
    loaded = load_config(config, only=(name,))
    found = loaded.config.credentials.get(name)
    if found is None:
        known = ", ".join(sorted(loaded.config.credentials)) or "none"
        raise ValueError(f"{config} has no credentials {name!r}; there are: {known}")
    return snmp_target(plain.host, plain.port, name, found, loaded, plain.timeout_s)


def _print(report: ProbeReport) -> None:
    console = Console(highlight=False)
    console.print(report.target, style="bold", markup=False)
    for key, value in report.device.items():
        console.print(f"  {key}: {value}", markup=False)
    if report.profile is not None:
        doubt = " (a generic one: nothing more fitting is known)" if report.fallback else ""
        console.print(f"  profile: {report.profile.id}{doubt}", markup=False)
    if report.problem is not None:
        console.print(f"{report.problem}: {report.detail}", style="red", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("metric", "subject", "value", "unit", "quality", "source"):
        table.add_column(title, no_wrap=True)
    for each in report.readings:
        reading = each.reading
        entry = metric(reading.metric)
        value = (
            "-"
            if reading.value is None
            else f"{reading.value:g}"
            if isinstance(reading.value, float)
            else reading.value
        )
        quality = reading.quality if reading.reason is None else f"{reading.quality}: {reading.reason}"
        unit = "" if entry.states is not None else symbol(entry.unit)
        table.add_row(reading.metric, reading.subject, str(value), unit, quality, each.source)
    console.print(table)
    console.print("what a poll asks:", markup=False)
    for line in report.costs:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(
        f"{len(report.readings)} readings, {report.requests} requests, one poll took {report.seconds:.2f} s; "
        f"not answered: {len(report.unanswered)}",
        markup=False,
    )


def _print_json(report: ProbeReport) -> None:
    print(
        json.dumps(
            {
                "target": report.target,
                "profile": report.profile.id if report.profile is not None and not report.fallback else None,
                "candidates": list(report.candidates),
                "device": report.device,
                "plan": list(report.plan),
                "readings": [
                    {
                        "metric": each.reading.metric,
                        "subject": each.reading.subject,
                        "value": each.reading.value,
                        "raw": each.raw,
                        "unit": metric(each.reading.metric).unit,
                        "quality": each.reading.quality,
                        "source": each.source,
                    }
                    for each in report.readings
                ],
                "unanswered": report.unanswered,
                "holes": list(report.holes),
                "costs": list(report.costs),
                "requests": report.requests,
                "seconds": round(report.seconds, 3),
                "problem": report.problem,
                "detail": report.detail,
            },
            ensure_ascii=False,
        )
    )


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(USAGE)
