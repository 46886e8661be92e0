"""`coldaisle agent discover`: look for SNMP and Modbus devices in a range of addresses, and write what to configure."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent.config import AgentConfig, Credentials
from agent.loading import Loaded, extra_folders, load_config
from agent.site import snmp_target
from agent.snippet import Plan, described, printable, snippet
from agent.values import SecretMissing, SecretRef, resolve
from collectors.discover import PER_ADDRESS, TOTAL, Found, RangeError, Search, Spoken, addresses, discover
from collectors.library import Library
from facility.clock import SystemClock
from facility.config import ConfigErrors, did_you_mean

BROKEN_OFF = 130
# Where a community was typed in plain, the configuration still only refers to it.
TYPED = "COLDAISLE_COMMUNITY"
_V3 = ("user", "auth", "auth_password", "priv", "priv_password", "key_expansion")


def discover_devices(
    where: Annotated[str, typer.Argument(metavar="RANGE", help="10.0.0.0/24, 10.0.0.5-10.0.0.9 or 10.0.0.5,10.0.0.7")],
    snmp_community: Annotated[
        list[str] | None,
        typer.Option(help="Search SNMP v2c: env:NAME or file:PATH, or the community itself. May be given again."),
    ] = None,
    v1: Annotated[bool, typer.Option("--v1", help="Where v2c is silent try the communities over v1.")] = False,
    v3: Annotated[
        list[str] | None,
        typer.Option(
            help="Search SNMPv3: user=U,auth=sha256,auth_password=env:A,priv=aes128,priv_password=file:P; or again."
        ),
    ] = None,
    credentials: Annotated[
        list[str] | None, typer.Option(help="Search SNMP with these credentials of --config. May be given again.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A configuration to take credentials of.")
    ] = None,
    modbus: Annotated[bool, typer.Option("--modbus", help="Search Modbus TCP.")] = False,
    units: Annotated[str, typer.Option(help="Modbus units to ask for, like 1-16 or 1,3,17.")] = "1",
    rate: Annotated[float, typer.Option(min=0.1, max=5, help="Requests a second to one address.")] = PER_ADDRESS,
    total_rate: Annotated[float, typer.Option(min=0.1, max=500, help="Requests a second in all.")] = TOTAL,
    timeout: Annotated[float, typer.Option(min=0.1, max=10, help="Seconds to wait for one answer.")] = 1.0,
    snmp_port: Annotated[int, typer.Option(min=1, max=65535)] = 161,
    modbus_port: Annotated[int, typer.Option(min=1, max=65535)] = 502,
    out: Annotated[Path | None, typer.Option(help="File for the configuration; the screen if left out.")] = None,
    yes_large: Annotated[bool, typer.Option("--yes-large", help="Yes, more than a /20.")] = False,
) -> None:
    """Search a range for devices, slowly, and write a configuration of what was found. Only reads. Ctrl-C keeps it."""
    try:
        if out is not None and out.exists():
            raise ValueError(f"{out} is there already; move it away first")
        hosts = addresses(where, large=yes_large)
        loaded = load_config(config, only=credentials or ()) if config is not None else None
        people = _logins(snmp_community or [], v1, v3 or [], credentials or [], loaded)
        search = Search(
            hosts,
            {
                name: snmp_target("0.0.0.0", snmp_port, name, entry, people, timeout)
                for name, entry in people.config.credentials.items()
            },
            _units(units) if modbus else (),
            modbus_port,
            timeout,
            rate,
            total_rate,
        )
        if not search.logins and not search.units:
            raise ValueError("say what to search for: --snmp-community, --v3, --credentials or --modbus")
        library = Library.load(extra_folders(config) if config is not None else [])
    except (ValueError, RangeError, ConfigErrors, SecretMissing) as exc:
        _fail(str(exc))
    found: list[Found] = []
    whole = _search(search, library, found)
    site = loaded.config if loaded is not None else people.config
    known = loaded.config if loaded is not None else None
    text = snippet(Plan(where, site.site, site.agent, people.config.credentials, known), found)
    _write(text, out)
    for name in _to_set(people.config, found):
        print(f"set {name} in the agent's environment to the community you typed", file=sys.stderr)
    if not whole:
        raise typer.Exit(BROKEN_OFF)


def _search(search: Search, library: Library, found: list[Found]) -> bool:
    """False where a person broke it off; `found` then holds what was known by then."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("addresses", total=len(search.hosts))

        def tell(each: Found) -> None:
            found.append(each)
            console.print(_line(each), markup=False, soft_wrap=True)

        look = discover(
            search,
            library=library,
            clock=SystemClock(asyncio.sleep),
            found=tell,
            done=lambda host: progress.advance(task),
        )
        try:
            asyncio.run(look)
        except KeyboardInterrupt:
            console.print("broken off; what was found by now is kept", style="yellow")
            return False
    console.print(f"{len(search.hosts)} addresses searched, {len(found)} devices found")
    return True


def _line(found: Found) -> str:
    where = f"{found.host}:{found.port}"
    if found.spoken is Spoken.MODBUS:
        where += f"  Modbus unit {found.unit}" + (" (answers to every unit)" if found.all_units else "")
        if found.profile is None:
            return where
    if found.problem is not None and found.profile is None:
        return f"{where}  SNMP  {found.problem}: {printable(found.detail)}"
    if found.profile is None:
        return f"{where}  SNMP  not recognised: {described(found)}"
    generic = " (generic)" if found.fallback else ""
    return f"{where}  {found.profile.id}{generic}  {printable(' '.join(found.device.values()))}"


def _logins(communities: list[str], v1: bool, v3: list[str], named: list[str], loaded: Loaded | None) -> Loaded:
    """All credentials to try, by name and in this order: those named, v3, communities; with their secrets."""
    entries: dict[str, Credentials] = {}
    secrets: dict[str, SecretStr] = {}
    for name in named:
        known = loaded.config.credentials if loaded is not None else {}
        if name not in known:
            hint = did_you_mean(name, list(known)) if known else "; give --config FILE, where they stand"
            raise ValueError(f"there are no credentials {name!r}{hint}")
        entries[name] = known[name]
        secrets |= {
            path: value
            for path, value in (loaded.secrets if loaded else {}).items()
            if path.startswith(f"credentials.{name}.")
        }
    for number, text in enumerate(v3, start=1):
        name = f"found-v3-{number}"
        entries[name] = _v3(text)
        for key in ("auth_password", "priv_password"):
            ref: SecretRef | None = getattr(entries[name], key)
            if ref is not None:
                secrets[f"credentials.{name}.{key}"] = _resolved(ref)
    for number, text in enumerate(communities, start=1):
        ref = _ref(text)
        typed = ref or SecretRef(env=TYPED if number == 1 else f"{TYPED}_{number}")
        secret = _resolved(ref) if ref is not None else SecretStr(text)
        for version in ("v2c", "v1") if v1 else ("v2c",):
            name = f"found-{version}-{number}"
            entries[name] = Credentials(snmp=version, community=typed)
            secrets[f"credentials.{name}.community"] = secret
    config = AgentConfig(version=1, site="site-1", agent="edge-1", credentials=entries)
    return Loaded(config, Path(), "", secrets)


def _v3(text: str) -> Credentials:
    data: dict[str, object] = {"snmp": "v3"}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        key = key.strip()
        if not separator or key not in _V3:
            raise ValueError(
                f"--v3: {key!r} is no part of it{did_you_mean(key, list(_V3))}; write user=U,auth=sha256,..."
            )
        ref = _ref(value) if key.endswith("_password") else None
        if key.endswith("_password") and ref is None:
            raise ValueError(f"--v3: {key} is written as env:NAME or file:PATH, never itself")
        data[key] = ref.model_dump() if ref is not None else value.strip()
    try:
        return Credentials.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"--v3: {'.'.join(str(each) for each in first['loc'])} {first['msg']}") from None


def _ref(text: str) -> SecretRef | None:
    kind, _, rest = text.strip().partition(":")
    if kind == "env" and rest:
        return SecretRef(env=rest)
    return SecretRef(file=Path(rest)) if kind == "file" and rest else None


def _resolved(ref: SecretRef) -> SecretStr:
    return resolve(ref, folder=Path(), environ=os.environ)


def _units(text: str) -> list[int]:
    units: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise ValueError(f"--units {text!r}: write 1-16 or 1,3,17")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 255:
            raise ValueError(f"--units {text!r}: Modbus units are 0 to 255, the smaller first")
        units.update(dict.fromkeys(range(low, high + 1)))
    return list(units)


def _to_set(config: AgentConfig, found: list[Found]) -> list[str]:
    used: Mapping[str, Credentials] = {each.login: config.credentials[each.login] for each in found if each.login}
    refs = [entry.community.env for entry in used.values() if entry.community is not None and entry.community.env]
    return sorted({name for name in refs if name.startswith(TYPED) and name not in os.environ})


def _write(text: str, out: Path | None) -> None:
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as exc:
            print(f"{out}: cannot be written: {exc.strerror}; here it is:", file=sys.stderr)
        else:
            print(f"written: {out}. Now: coldaisle agent check --config {out}", file=sys.stderr)
            return
    print(text, end="")


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(2)
