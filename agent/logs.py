"""Log lines for a terminal or journald: the message, then its details as key=value."""

import logging

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}


class KeyValueFormatter(logging.Formatter):
    """`WARNING agent.live: device does not answer device=ups-1 problem=timeout`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        details = " ".join(
            f"{key}={_quoted(str(value))}"
            for key, value in vars(record).items()
            if key not in _STANDARD and value != ""
        )
        return f"{text} {details}" if details else text


def _quoted(text: str) -> str:
    """Text of devices and libraries goes on one line, whatever it holds."""
    return repr(text) if any(mark in text for mark in (" ", "\n", "\r", "=", '"')) else text


def configure(level: int) -> None:
    """Send everything to standard error; libraries speak up from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("pymodbus", "aiomqtt", "paho", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
