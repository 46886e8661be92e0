"""The store behind `store.History` that runs by default: SQLite or PostgreSQL."""

from server.db.session import Database
from server.history.reading import SqlReader
from server.history.sql import SqlHistory


class SqlStore(SqlHistory, SqlReader):
    """Writes and reads one history database."""

    def __init__(self, db: Database) -> None:
        SqlHistory.__init__(self, db)
        SqlReader.__init__(self, db)
