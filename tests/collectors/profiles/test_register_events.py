"""One alarm bit at a time on the healthy example: exactly the readings worked by hand change, no others."""

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.convert import Converter
from collectors.exchange import Cell, ModbusAnswer, Table
from collectors.library import Library
from tests.collectors.profiles.examples import DATA, modbus_answer, register_examples

LIBRARY = Library.load()
HEALTHY = {example.profile: example for example in register_examples() if example.healthy}
# Each file: {"profile": ID, "cases": [[cells that differ from the healthy example, readings that then differ], ...]}.
FILES = sorted((DATA / "registers" / "events").glob("*.json"))


def _read(profile_id: str, cells: dict[Cell, int]) -> dict[str, Any]:
    converter = Converter(LIBRARY.get(profile_id), device="bench")
    readings = converter.convert(ModbusAnswer(values=cells), taken_at=1)
    return {f"{each.metric}#{each.subject}".rstrip("#"): each.value if each.good else each.reason for each in readings}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_event_changes_what_it_means_and_nothing_else(path: Path) -> None:
    told = json.loads(path.read_text("utf-8"))
    calm = dict(modbus_answer(HEALTHY[told["profile"]]).values)
    before = _read(told["profile"], calm)
    assert told["cases"]
    for changed, expected in told["cases"]:
        cells = calm.copy()
        for name, raw in changed.items():
            table, at = name.split(":")
            cells[Table(table), int(at)] = raw
        after = _read(told["profile"], cells)
        difference = {key: value for key, value in after.items() if before.get(key) != value}
        assert after.keys() >= before.keys(), changed
        assert difference == expected, changed
