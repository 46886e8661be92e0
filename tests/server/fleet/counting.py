"""Which statements reach a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from tests.server.factories import World


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """The statements that reach the main database's writer."""
    found: list[str] = []

    def heard(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        found.append(statement)

    engine = world.server.db.writer.sync_engine
    event.listen(engine, "before_cursor_execute", heard)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", heard)
