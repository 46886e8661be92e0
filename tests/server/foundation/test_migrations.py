"""Migrations and models say the same, on both databases."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from server.app import domains_of
from server.db import migrate
from server.db.base import Base
from server.db.session import async_url

# Importing the composition root fills Base.metadata with every domain's models.
assert callable(domains_of)


def describe(connection: sa.Connection) -> dict[str, Any]:
    """Everything about the main database's tables that a migration could have got wrong."""
    inspector = sa.inspect(connection)
    found: dict[str, Any] = {}
    for table in inspector.get_table_names():
        if table.startswith("alembic_version"):
            continue
        found[table] = {
            "columns": {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)},
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": sorted(
                (k["name"], k["constrained_columns"], k["referred_table"], k["options"])
                for k in inspector.get_foreign_keys(table)
            ),
            "unique": sorted((u["name"], u["column_names"]) for u in inspector.get_unique_constraints(table)),
            "indexes": sorted(
                (
                    str(i["name"]),
                    i["column_names"],
                    bool(i["unique"]),
                    str(i.get("dialect_options", {}).get(f"{connection.dialect.name}_where")),
                )
                for i in inspector.get_indexes(table)
            ),
            "checks": sorted((c["name"], c["sqltext"]) for c in inspector.get_check_constraints(table)),
        }
    return found


async def ask(url: str, question: Any) -> Any:
    engine = create_async_engine(async_url(url))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(question)
    finally:
        await engine.dispose()


async def test_models_match_migrations_and_migrations_come_down_again(database_url: str) -> None:
    await migrate.upgrade(database_url)
    migrated = await ask(database_url, describe)
    await migrate.upgrade(database_url, revision="base")
    assert await ask(database_url, describe) == {}
    await ask(database_url, Base.metadata.create_all)
    modelled = await ask(database_url, describe)
    for table, model in modelled.items():
        assert table in migrated, f"no migration makes {table}"
        for aspect, value in model.items():
            assert migrated[table][aspect] == value, f"{table}: {aspect}"
    assert migrated.keys() == modelled.keys()


def test_the_chain_is_one_line() -> None:
    assert len(migrate.heads()) == 1


async def test_two_processes_that_migrate_at_once_both_end_well(database_url: str) -> None:
    await asyncio.gather(*(migrate.upgrade(database_url) for _ in range(3)))
    assert await migrate.current(database_url) == migrate.heads()[0]


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    await migrate.upgrade(database_url)
    await ask(
        database_url, lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num='9999_x'"))
    )
    with pytest.raises(migrate.MigrationError, match=r"9999_x.*newer"):
        await migrate.upgrade(database_url)


async def test_the_audit_log_cannot_be_changed_even_by_sql(database_url: str) -> None:
    await migrate.upgrade(database_url)
    row = (
        "INSERT INTO audit_entries (id, at, actor_id, actor_kind, actor_name, action, entity, entity_id) "
        "VALUES ('1', '2026-01-01T00:00:00.000000Z', 'a', 'user', 'a', 'x', 'y', 'z')"
    )
    await ask(database_url, lambda connection: connection.execute(sa.text(row)))
    for statement in ("UPDATE audit_entries SET action = 'other'", "DELETE FROM audit_entries"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            await ask(database_url, lambda connection, text=statement: connection.execute(sa.text(text)))


async def test_a_second_set_of_migrations_lives_beside_the_first_in_one_database(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "set" / "versions").mkdir(parents=True)
    (tmp_path / "set" / "versions" / "m0001_other.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "revision, down_revision = '0001_other', None\n"
        "def upgrade():\n    op.create_table('other', sa.Column('id', sa.Integer(), primary_key=True))\n"
        "def downgrade():\n    op.drop_table('other')\n"
    )
    other = migrate.Migrations(tmp_path / "set", version_table="alembic_version_other")
    await migrate.upgrade(database_url)
    await migrate.upgrade(database_url, other)
    assert await migrate.current(database_url, other) == "0001_other"
    assert await migrate.current(database_url) == migrate.heads()[0]
    assert "other" in await ask(database_url, describe)
