"""Settings, the running program, the command line, languages and templates."""

import asyncio
import json
import logging
import stat
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from facility.config import ConfigErrors
from server.app import build
from server.cli import app
from server.config import ServerConfig, load_config, resolve_secret
from server.fleet import repository
from server.fleet import service as fleet
from server.kit.context import Component
from server.kit.i18n import Translations, match_language
from server.kit.logs import KeyValueFormatter
from server.kit.scope import Scope
from server.kit.templates import Templates


def settings(folder: Path, text: str, environment: dict[str, str] | None = None) -> ServerConfig:
    path = folder / "server.yaml"
    path.write_text(text)
    return load_config(path, environment=environment or {})


def test_every_error_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = "version: 1\nhtpp: {}\nhttp:\n  port: 99999\nmqtt:\n  password_from: hunter2\nrole: wb\n"
    with pytest.raises(ConfigErrors) as caught:
        settings(tmp_path, text)
    told = [str(problem).split("server.yaml:")[1] for problem in caught.value.problems]
    assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in told] == [
        "2 htpp",
        "4 http.port",
        "6 mqtt.password_from",
        "7 role",
    ]
    assert "did you mean 'http'" in told[0]
    assert "did you mean 'web'" in told[3]


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    environment = {"COLDAISLE_SERVER_HTTP__PORT": "9001", "COLDAISLE_SERVER_HTTP__HOST": "127.0.0.2"}
    path = tmp_path / "server.yaml"
    path.write_text("version: 1\nhttp:\n  port: 9000\n  public_url: https://noc.example.org\n")
    found = load_config(path, overrides={"http": {"port": 9002}}, environment=environment)
    assert (found.http.port, found.http.host, found.secure_cookies) == (9002, "127.0.0.2", True)


def test_a_role_of_its_own_needs_postgresql(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="needs PostgreSQL"):
        settings(tmp_path, "version: 1\nrole: ingest\n")
    assert settings(tmp_path, "version: 1\nrole: ingest\ndatabase_url: postgresql://u@h/d\n").role == "ingest"


def test_a_password_in_the_database_url_is_not_shown(tmp_path: Path) -> None:
    found = settings(tmp_path, "version: 1\ndatabase_url: postgresql://u:s3cret@h/d\n")
    assert "s3cret" in found.url
    assert "s3cret" not in repr(found)
    assert "s3cret" not in found.model_dump_json()


def test_a_secret_that_is_not_there_is_named_by_its_reference(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    assert resolve_secret(f"file:{tmp_path / 'password'}") == "s3cret"
    with pytest.raises(ValueError, match="COLDAISLE_ABSENT"):
        resolve_secret("env:COLDAISLE_ABSENT")


async def test_the_program_listens_runs_its_parts_and_stops(tmp_path: Path) -> None:
    config = load_config(overrides={"data_dir": str(tmp_path), "http": {"port": 0}}, environment={})
    async with build(config) as server, asyncio.timeout(30):
        running = asyncio.create_task(server.run())
        await server.started.wait()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{server.url}/readyz")).json() == {"ready": True, "checks": {"database": None}}
        assert {part.name for part in server.components} >= {"jobs", "outbox"}
        server.stop()
        await running
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"{server.url}/healthz")
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


class Broken:
    name = "broken"

    async def run(self) -> None:
        raise RuntimeError("cannot go on")


async def test_a_part_that_fails_ends_the_program(tmp_path: Path) -> None:
    config = load_config(overrides={"data_dir": str(tmp_path), "http": {"port": 0}}, environment={})
    broken: Component = Broken()
    async with build(config) as server, asyncio.timeout(30):
        server.components = [*server.components, broken]
        with pytest.raises(ExceptionGroup) as caught:
            await server.run()
    assert caught.group_contains(RuntimeError, match="cannot go on")


def test_an_agent_is_retired_at_the_command_line(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path))
    config = load_config(overrides={"data_dir": str(tmp_path)}, environment={})

    async def agent(*, make: bool = False) -> str:
        async with build(config) as server, server.db.write() as session:
            if make:
                now = datetime(2026, 3, 10, tzinfo=UTC)
                await fleet.enrol(session, site_code="home", code="edge1", zone="Asia/Shanghai", now=now)
            row = await repository.find_agent(session, Scope.system(), "home", "edge1")
            assert row is not None
            return row.status.value

    assert asyncio.run(agent(make=True)) == "never"
    status, said = cli("agent", "retire", "home", "edge2", *where)
    assert (status, "home/edge2" in said) == (1, True)
    assert cli("agent", "retire", "home", "edge1", *where) == (0, "retired\n")
    assert asyncio.run(agent()) == "retired"


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    config = load_config(overrides={"data_dir": str(tmp_path), "http": {"port": 0}}, environment={})
    async with build(config) as server, asyncio.timeout(30):
        running = asyncio.create_task(server.run())
        await server.started.wait()
        taken = load_config(overrides={"data_dir": str(tmp_path), "http": {"port": server.port}}, environment={})
        async with build(taken) as second:
            with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{server.port}"):
                await second.run()
        server.stop()
        await running


def cli(*words: str, text: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words), input=text)
    return done.exit_code, done.output


def test_a_first_person_and_a_token_are_made_at_the_command_line(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path))
    assert cli("check", *where) == (0, "ok\n")
    assert cli("user", "add", "ann", "--role", "admin", "--password-stdin", *where, text="short\n")[0] == 2
    assert cli("user", "add", "ann", "--role", "admin", "--password-stdin", *where, text="long enough\n")[0] == 0
    status, again = cli("user", "add", "ann", "--role", "admin", "--password-stdin", *where, text="long enough\n")
    assert (status, "is taken" in again) == (1, True)
    status, token = cli("token", "create", "--user", "ann", "--name", "ci", *where)
    assert (status, len(token.strip())) == (0, 43)
    assert cli("token", "create", "--user", "bob", "--name", "ci", *where)[0] == 1
    status, people = cli("user", "list", "--json", *where)
    assert [(person["login"], person["roles"]) for person in json.loads(people)] == [("ann", ["admin"])]
    assert "long enough" not in people
    assert cli("user", "passwd", "ann", "--password-stdin", *where, text="another long one\n")[0] == 0
    assert token.strip() not in cli("token", "list", *where)[1]


def test_a_bad_setting_ends_the_command_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nhttp:\n  prot: 1\n")
    status, said = cli("check", "--config", str(tmp_path / "bad.yaml"))
    assert status == 2
    assert "bad.yaml:3: http.prot: unknown setting; did you mean 'port'?" in said


def test_migrate_says_from_where_to_where(tmp_path: Path) -> None:
    status, said = cli("migrate", "--data-dir", str(tmp_path))
    assert (status, said.startswith("empty -> 0")) == (0, True)
    assert cli("migrate", "--data-dir", str(tmp_path))[1].startswith("already at 0")


@pytest.fixture
def translations(tmp_path: Path) -> Translations:
    folder = tmp_path / "zh_CN" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    (folder / "coldaisle.po").write_text(head + 'msgid "Tickets"\nmsgstr "工单"\n', encoding="utf-8")
    return Translations(tmp_path)


def test_a_page_speaks_the_readers_language_zone_and_units(translations: Translations, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        "{{ _('Tickets') }}|{{ at | local_time }}|{{ at | local_time('UTC') }}|{{ 23.456 | quantity('°C') }}"
        "|{{ 'critical' | severity }}|{{ '<b>' }}|{{ none | quantity('%') }}"
    )
    templates = Templates(translations, [tmp_path])
    values = {"at": datetime(2026, 3, 10, 2, 0, tzinfo=UTC), "none": None}
    chinese = templates.render("page.html", language="zh_CN", zone="Asia/Shanghai", **values)
    english = templates.render("page.html", language="en", zone="Europe/Berlin", **values)
    assert chinese == "工单|2026-03-10 10:00:00|2026-03-10 02:00:00|23.5\u202f°C|一级 紧急|&lt;b&gt;|–"
    assert english == "Tickets|2026-03-10 03:00:00|2026-03-10 02:00:00|23.5\u202f°C|Critical|&lt;b&gt;|–"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh_CN"),
        ("de,en;q=0.5,zh;q=0.4", "en"),
        ("zh", "zh_CN"),
        ("", "en"),
        ("*;q=x", "en"),
    ],
)
def test_the_browsers_wish_picks_the_language(header: str, language: str) -> None:
    assert match_language(header) == language


def test_one_record_is_one_line() -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "a\nforged INFO line", "path": "b c"})
    line = KeyValueFormatter().format(record)
    assert "\n" not in line
    assert line.endswith('path="b c"')
