"""How the history domain presents itself to the composition root, and how its database is opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.config import ServerConfig
from server.db import migrate
from server.db.session import Database
from server.history.component import HistoryKeeper
from server.history.endpoints import router
from server.history.rolling import Roller, keep_of
from server.history.service import HistoryService
from server.history.stores import SqlStore
from server.history.tables import MIGRATIONS, history_url
from server.kit.context import Domain, Kit


@asynccontextmanager
async def open_database(config: ServerConfig, main: Database) -> AsyncIterator[Database]:
    """The migrated history database: `main` itself on PostgreSQL, a file beside it on SQLite."""
    url = history_url(config)
    await migrate.upgrade(url, MIGRATIONS)
    if main.dialect != "sqlite":
        yield main
        return
    db = Database(url)
    try:
        yield db
    finally:
        await db.close()


def build(kit: Kit, *, store: SqlStore) -> Domain:
    service = HistoryService(store)
    keeper = HistoryKeeper(Roller(store.db, keep_of(kit.config.retention)), kit.clock, kit.metrics)
    return Domain(name="history", api=[router], services={HistoryService: service}, components=[keeper])
