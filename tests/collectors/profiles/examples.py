"""The worked examples of every shipped profile: walks and registers with the readings they must give.

Files are named `VENDOR-MODEL.CASE`; `readings` are [metric, subject, value] in the register's base unit and complete,
`bad` are [metric, subject, reason] of readings that carry no believable value. `healthy` is each profile's good day.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.exchange import ModbusAnswer, Table

DATA = Path(__file__).resolve().parents[2] / "data"


@dataclass(frozen=True)
class Example:
    """One example: `name` for people, the profile it belongs to, and what must come out."""

    name: str
    profile: str | None
    expected: dict[str, Any]
    walk: Path | None = None

    @property
    def healthy(self) -> bool:
        return self.name.endswith(".healthy")


def walk_examples() -> list[Example]:
    """Examples that are walks."""
    found = []
    for path in sorted((DATA / "walks").glob("*.snmprec")):
        expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
        found.append(Example(path.stem, expected["profile"] or expected["candidates"][0], expected, path))
    return found


def register_examples() -> list[Example]:
    """Examples that are Modbus registers."""
    paths = sorted((DATA / "registers").glob("*.json"))
    loaded = [(path, json.loads(path.read_text("utf-8"))) for path in paths]
    return [Example(path.stem, expected["profile"], expected) for path, expected in loaded]


def modbus_answer(example: Example) -> ModbusAnswer:
    """The registers of an example as a device would answer them."""
    values = {}
    for cell, value in example.expected["cells"].items():
        table, address = cell.split(":")
        values[Table(table), int(address)] = value
    return ModbusAnswer(values=values)
