"""Log lines for people and for machines: one line per record, its extras as key=value."""

import logging
import sys
from datetime import UTC, datetime

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class KeyValueFormatter(logging.Formatter):
    """`2026-11-23T09:04:39.123Z INFO server.app listening url=http://127.0.0.1:8080`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        extras = "".join(f" {name}={_quoted(value)}" for name, value in record.__dict__.items() if name not in _PLAIN)
        # One record is one line: a newline in a message would let a caller forge another record.
        message = record.getMessage().replace("\n", "\\n")
        text = f"{at} {record.levelname} {record.name} {message}{extras}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _quoted(value: object) -> str:
    text = str(value).replace("\n", "\\n")
    return f'"{text}"' if " " in text or not text else text


def configure_logging(level: int = logging.INFO) -> None:
    """Log to standard error; for the program's start only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
