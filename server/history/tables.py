"""Tables of the history store, past the ORM. On SQLite a file of their own, on PostgreSQL beside the main tables."""

from pathlib import Path

from server.config import ServerConfig
from server.db.migrate import Migrations
from server.db.session import async_url

MIGRATIONS = Migrations(Path(__file__).parent / "migrations", version_table="alembic_version_history")
FILE = "history.db"


def history_url(config: ServerConfig) -> str:
    """Where history lives: `history.db` beside the main SQLite file, or the main PostgreSQL database itself."""
    url = async_url(config.url)
    if url.get_backend_name() != "sqlite":
        return config.url
    return f"sqlite:///{Path(str(url.database)).with_name(FILE)}"
