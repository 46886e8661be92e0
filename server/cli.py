"""`coldaisle server ...`: run, migrate, check, agents, tokens and users."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from facility.clock import SystemClock
from facility.config import ConfigErrors
from server.app import build, rules_of
from server.config import Role as ProcessRole
from server.config import ServerConfig, load_config, resolve_secret
from server.db import migrate as migrations
from server.db.session import Database
from server.fleet import repository as fleet_repository
from server.fleet import service as fleet
from server.fleet.watch import AgentWatchers
from server.kit.logs import configure_logging
from server.kit.paging import MAX_LIMIT, PageRequest
from server.kit.principal import SYSTEM, Role
from server.kit.problems import NotFound, Problem
from server.kit.scope import Scope
from server.people import repository, service
from server.people.passwords import MIN_LENGTH, Passwords
from server.people.schemas import TokenIn, UserChange, UserIn

app = typer.Typer(no_args_is_help=True, help="The centre: pages, API, ingest and jobs.")
token_app = typer.Typer(no_args_is_help=True, help="Bearer tokens of the API.")
user_app = typer.Typer(no_args_is_help=True, help="People who sign in.")
agent_app = typer.Typer(no_args_is_help=True, help="Agents the centre hears.")
app.add_typer(agent_app, name="agent")
app.add_typer(token_app, name="token")
app.add_typer(user_app, name="user")

SYSTEM_SCOPE = Scope.system()
T = TypeVar("T")
console = Console()
errors = Console(stderr=True)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with the settings.")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/NAME; default: DATA_DIR/main.db")
]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the embedded database, keys and attachments.")]


def _fail(message: str, *, code: int = 2) -> typer.Exit:
    errors.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(code)


def _settings(
    config: Path | None,
    *,
    database_url: str | None,
    data_dir: Path | None,
    host: str | None = None,
    port: int | None = None,
    role: ProcessRole | None = None,
) -> ServerConfig:
    http = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    given: dict[str, Any] = {
        "database_url": database_url,
        "data_dir": None if data_dir is None else str(data_dir),
        "role": None if role is None else role.value,
        "http": http or None,
    }
    try:
        return load_config(config, overrides={name: value for name, value in given.items() if value is not None})
    except ConfigErrors as error:
        raise _fail(str(error)) from error


@app.command()
def run(
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8080 by default; 0 takes a free one.")] = None,
    role: Annotated[ProcessRole | None, typer.Option(help="Which parts this process runs.")] = None,
) -> None:
    """Run the server until SIGINT or SIGTERM."""
    settings = _settings(config, database_url=database_url, data_dir=data_dir, host=host, port=port, role=role)
    configure_logging()
    try:
        asyncio.run(_run(settings))
    except (OSError, migrations.MigrationError) as error:
        raise _fail(str(error), code=1) from error


async def _run(settings: ServerConfig) -> None:
    loop = asyncio.get_running_loop()
    async with build(settings) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        await server.run()


@app.command()
def migrate(config: Config = None, database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """Bring the database to this version; the server does so by itself at start."""
    settings = _settings(config, database_url=database_url, data_dir=data_dir)

    async def work() -> tuple[str | None, str | None]:
        before = await migrations.current(settings.url)
        await migrations.upgrade(settings.url)
        return before, await migrations.current(settings.url)

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        before, after = asyncio.run(work())
    except (OSError, migrations.MigrationError) as error:
        raise _fail(str(error), code=1) from error
    console.print(f"{before or 'empty'} -> {after}" if before != after else f"already at {after}", highlight=False)


@app.command()
def check(config: Config = None, database_url: DatabaseUrl = None, data_dir: DataDir = None) -> None:
    """Check the settings and what they point at; print every error at once."""
    settings = _settings(config, database_url=database_url, data_dir=data_dir)
    wrong = []
    if settings.mqtt.password_from is not None:
        try:
            resolve_secret(settings.mqtt.password_from)
        except ValueError as error:
            wrong.append(f"mqtt.password_from: {error}")
    if settings.mqtt.ca_file is not None and not settings.mqtt.ca_file.is_file():
        wrong.append(f"mqtt.ca_file: {settings.mqtt.ca_file} is no file")
    try:
        wrong += [str(problem) for problem in rules_of(settings).idle]
    except ConfigErrors as error:
        wrong.append(str(error))
    try:
        found = asyncio.run(_revision(settings))
        if found is not None and found not in migrations.heads():
            console.print(f"the database is at {found}: `migrate` or `run` brings it to {migrations.heads()[0]}")
    except Exception as error:  # noqa: BLE001 - every driver has its own errors; the operator gets the sentence
        wrong.append(f"database_url: the database does not answer: {type(error).__name__}: {error}")
    if wrong:
        raise _fail("\n".join(wrong))
    console.print("ok")


async def _revision(settings: ServerConfig) -> str | None:
    if settings.url.startswith("sqlite") and not (settings.data_dir / "main.db").exists():
        return None
    return await migrations.current(settings.url)


def _with_database(settings: ServerConfig, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on the migrated database; a refusal becomes a sentence and exit code 1."""

    async def opened() -> T:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        await migrations.upgrade(settings.url)
        async with contextlib.AsyncExitStack() as stack:
            db = Database(settings.url)
            stack.push_async_callback(db.close)
            return await work(db)

    try:
        return asyncio.run(opened())
    except (Problem, ValueError, migrations.MigrationError, OSError) as error:
        raise _fail(str(error), code=1) from error


def _table(first: str, *others: str) -> Table:
    """A table whose first column, an id to copy, is never cut."""
    table = Table()
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, overflow="fold")
    return table


def _clock() -> SystemClock:
    return SystemClock(asyncio.sleep)


@agent_app.command("retire")
def agent_retire(
    site: Annotated[str, typer.Argument(help="Code of its site.")],
    code: Annotated[str, typer.Argument(help="Code of the agent.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Take an agent that is gone for good out of use: its devices are retired, its alarms end."""
    settings = _settings(config, database_url=database_url, data_dir=data_dir)

    async def work(_: Database) -> None:
        # What is to happen to alarms and tickets only the whole server knows.
        async with build(settings) as server, server.kit.db.write() as session:
            row = await fleet_repository.find_agent(session, SYSTEM_SCOPE, site, code)
            if row is None:
                raise NotFound("agent", f"{site}/{code}")
            watchers = next(found for domain in server.domains if (found := domain.services.get(AgentWatchers)))
            now = _clock().now()
            await fleet.retire_agent(session, SYSTEM_SCOPE, row.id, watchers=watchers.all, now=now)

    _with_database(settings, work)
    console.print("retired")


@token_app.command("create")
def token_create(
    login: Annotated[str, typer.Option("--user", help="Whose token it is.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    days: Annotated[int, typer.Option(min=0, max=3650, help="Days until it expires; 0 for never.")] = 365,
    role: Annotated[list[Role] | None, typer.Option(help="Narrow it to these roles.")] = None,
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token and print it, this once."""

    async def work(db: Database) -> str:
        body = TokenIn(name=name, roles=role or None, days=days or None)
        async with db.write() as session:
            owner = await repository.user_by_login(session, login)
            if owner is None:
                raise ValueError(f"no user {login!r}: make one with `coldaisle server user add`")
            _, secret = await service.create_token(session, SYSTEM, owner, body, now=_clock().now())
        return secret

    settings = _settings(config, database_url=database_url, data_dir=data_dir)
    # Alone on standard output, so that scripts can take it.
    typer.echo(_with_database(settings, work))


@token_app.command("list")
def token_list(
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List tokens, newest first; their secrets are stored nowhere."""

    async def work(db: Database) -> Table:
        table = _table("id", "user", "name", "expires", "last used", "revoked")
        async with db.read() as session:
            tokens, _ = await repository.list_tokens(session, PageRequest(limit=MAX_LIMIT), owner=None)
            for one in tokens:
                owner = await repository.get_user(session, one.user_id)
                times = [
                    at.isoformat(timespec="seconds") if at else "-"
                    for at in (one.expires_at, one.last_used_at, one.revoked_at)
                ]
                table.add_row(one.id, owner.login, one.name, *times)
        return table

    console.print(_with_database(_settings(config, database_url=database_url, data_dir=data_dir), work))


@token_app.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(help="The id shown by `list`.")],
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token useless from now on."""

    async def work(db: Database) -> None:
        async with db.write() as session:
            await service.revoke_token(session, SYSTEM, token_id, owner=None, now=_clock().now())

    _with_database(_settings(config, database_url=database_url, data_dir=data_dir), work)
    console.print("revoked")


def _password(from_stdin: bool) -> str:
    """Asked for without echo, or a line of standard input; never an argument, which the process list shows."""
    if from_stdin:
        text = sys.stdin.readline().rstrip("\n")
    else:
        text = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    if len(text) < MIN_LENGTH:
        raise _fail(f"a password has at least {MIN_LENGTH} characters")
    return str(text)


Stdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@user_app.command("add")
def user_add(
    login: Annotated[str, typer.Argument(help="Lower-case name to sign in with.")],
    role: Annotated[list[Role], typer.Option(help="May be given several times.")],
    name: Annotated[str | None, typer.Option(help="Name shown to others.")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Limit to this customer id.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="Limit to this site id.")] = None,
    language: str = "en",
    zone: str = "Asia/Shanghai",
    password_stdin: Stdin = False,
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Add a person."""
    settings = _settings(config, database_url=database_url, data_dir=data_dir)
    password = _password(password_stdin)

    async def work(db: Database) -> str:
        body = UserIn(
            login=login,
            name=name or login,
            roles=role,
            customers=customer or None,
            sites=site or None,
            language=language,
            zone=zone,
        )
        hashed = await Passwords().hash(password)
        async with db.write() as session:
            user = await service.create_user(session, SYSTEM, body, password_hash=hashed, now=_clock().now())
        return user.id

    typer.echo(_with_database(settings, work))


@user_app.command("passwd")
def user_passwd(
    login: str,
    password_stdin: Stdin = False,
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Set a new password; it ends the person's sessions."""
    settings = _settings(config, database_url=database_url, data_dir=data_dir)
    password = _password(password_stdin)

    async def work(db: Database) -> None:
        hashed = await Passwords().hash(password)
        async with db.write() as session:
            user = await repository.user_by_login(session, login)
            if user is None:
                raise ValueError(f"no user {login!r}")
            await service.change_user(
                session, SYSTEM, user.id, UserChange(), password_hash=hashed, if_match="*", now=_clock().now()
            )

    _with_database(settings, work)
    console.print("changed")


@user_app.command("list")
def user_list(
    as_json: Annotated[bool, typer.Option("--json")] = False,
    config: Config = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """List people."""

    async def work(db: Database) -> list[dict[str, Any]]:
        async with db.read() as session:
            users, _ = await repository.list_users(session, PageRequest(limit=MAX_LIMIT))
        return [{name: getattr(user, name) for name in ("id", "login", "name", "roles", "active")} for user in users]

    people = _with_database(_settings(config, database_url=database_url, data_dir=data_dir), work)
    if as_json:
        typer.echo(json.dumps(people, ensure_ascii=False))
        return
    table = _table("id", "login", "name", "roles", "active")
    for person in people:
        table.add_row(person["id"], person["login"], person["name"], ", ".join(person["roles"]), str(person["active"]))
    console.print(table)
