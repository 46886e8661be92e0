"""The file and wire readers `bench.fuzz` feeds: profiles, point tables, blocks and messages."""

import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import strategies as st
from openpyxl.utils.exceptions import IllegalCharacterError

from bench.fuzz_edits import Edit, edits, reworded, rewordings, spoilt
from bench.fuzz_target import ROOT, Target, profile_of, sane
from collectors.convert import Converter
from collectors.exchange import ModbusAnswer, ModbusNeeds, SnmpAnswer
from collectors.plan import needed_cells
from collectors.pointtable.cells import CellError
from collectors.pointtable.columns import MappingError
from collectors.pointtable.importing import Wish, import_table
from collectors.pointtable.sheets import TableError, parse_table
from facility import items, wire
from facility.config import ConfigErrors
from tests.collectors.pointtable.tables import CRAC_CSV, workbook

SHIPPED = sorted((ROOT / "collectors" / "profiles").glob("*/*.yaml"))
# Longer profiles are cut to some of their points: what is looked for is in the shapes, not in their number.
POINTS = 8


def _short(path: Path) -> str:
    """A shipped profile with some of its points."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    dice = random.Random(path.name)
    if len(data.get("points", ())) > POINTS:
        data["points"] = dice.sample(data["points"], POINTS)
    if len(data.get("traps", ())) > 2:
        data["traps"] = data["traps"][:2]
    text: str = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    return text


class Profiles(Target):
    """Shipped profiles reworded and their bytes changed; what still loads converts answers it did not expect."""

    inputs = st.tuples(
        st.integers(0, 1000),
        rewordings,
        edits,
        st.lists(
            st.one_of(st.integers(-(2**31), 2**64), st.binary(max_size=30), st.text(max_size=10), st.floats()),
            min_size=1,
            max_size=5,
        ),
    )

    def __init__(self) -> None:
        self._texts = [_short(path) for path in SHIPPED]

    def feed(self, value: Any) -> str:
        which, words, changes, said = value
        text = reworded(self._texts[which % len(self._texts)], words)
        if which % 4 == 0:
            text = spoilt(text.encode(), changes).decode(errors="replace")
        try:
            profile = profile_of(text)
        except ConfigErrors:
            return "refused"
        converter = Converter(profile, device="d")
        needs = converter.needs()
        answer: SnmpAnswer | ModbusAnswer
        for turn in range(2):
            if isinstance(needs, ModbusNeeds):
                cells = needed_cells(needs.spans)
                words_ = [one for one in said if isinstance(one, int)] or [0x8000]
                answer = ModbusAnswer({cell: words_[n % len(words_)] & 0xFFFF for n, cell in enumerate(cells)})
            else:
                rows = [f"{walk}.{n}" for walk in needs.walks for n in (1, 2)]
                answer = SnmpAnswer({oid: said[n % len(said)] for n, oid in enumerate([*needs.gets, *rows])})
            sane(converter.convert(answer, taken_at=1_800_000_000_000 + turn))
        return "loaded"


class PointTables(Target):
    """CSV and workbooks, other words and cells in them, or broken bytes; what is understood must load as a profile."""

    _cell = st.one_of(
        st.text(max_size=20), st.integers(-(2**40), 2**40), st.floats(), st.booleans(), st.none(), st.dates(),
        st.sampled_from(["回风温度", "Bit0:高温告警\nBit1:低温", "0：停机；1：运行", "40001.10", "0x0064", "03/06",
                         "INT16", "℃", "float32 CDAB", "16#10", "1~0", "0~99999999", "B" * 5000]),
    )  # fmt: skip
    inputs = st.tuples(
        st.integers(0, 9),
        rewordings,
        edits,
        st.lists(st.tuples(st.integers(1, 15), st.integers(0, 8), _cell), max_size=6),
    )

    def __init__(self) -> None:
        import_csv = [row.split(",") for row in CRAC_CSV.replace('"', "").replace("\n", "\n").splitlines()]
        self._rows: list[list[object]] = [list(row) for row in import_csv]

    def feed(self, value: Any) -> str:
        kind, words, changes, cells = value
        if kind < 6:
            raw = reworded(CRAC_CSV, words).encode(["utf-8", "gb18030", "utf-16"][kind % 3], errors="surrogatepass")
            raw = spoilt(raw, changes) if kind > 2 else raw
        else:
            rows = [list(row) for row in self._rows]
            for row, column, cell in cells:
                if row < len(rows):
                    rows[row][column : column + 1] = [cell]
            try:
                raw = workbook({"点表": rows})
            except (ValueError, IllegalCharacterError):  # what no spreadsheet can hold
                return "not made"
            raw = spoilt(raw, changes) if kind == 9 else _inside(raw, changes) if kind == 8 else raw
        try:
            done = import_table(parse_table(raw, "t"), Wish("fuzz/table"), source="t")
        except (TableError, MappingError, CellError):
            return "refused"
        return "points" if done.points else "no point"


def _inside(raw: bytes, changes: tuple[Edit, ...]) -> bytes:
    """The workbook with the XML of its sheet spoilt, and the zip around it right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, spoilt(content, changes) if "sheet1" in name else content)
    return out.getvalue()


@dataclass(frozen=True)
class _Golden:
    kind: wire.Kind
    body: bytes


class Wire(Target):
    """Blocks and messages spoilt from outside, and blocks rightly packed whose items are spoilt."""

    inputs = st.tuples(st.integers(0, 2), st.integers(0, 100), edits, rewordings)

    def __init__(self) -> None:
        folder = ROOT / "tests/data/wire/v1"
        self._items = [
            _Golden(wire.Kind(path.name.partition(".")[0]), path.read_bytes()) for path in folder.glob("*.items.json")
        ]
        names: tuple[tuple[str, Any], ...] = (
            ("answers", wire.Answers), ("status", wire.Status), ("control", wire.Control)
        )  # fmt: skip
        self._messages = [((folder / f"{name}.json").read_bytes(), kind) for name, kind in names]

    def feed(self, value: Any) -> str:
        how, which, changes, words = value
        if how == 2:
            raw, kind = self._messages[which % len(self._messages)]
            try:
                wire.load(spoilt(raw, changes), kind)
            except wire.WireError as error:
                return str(error.reason)
            return "loaded"
        golden = self._items[which % len(self._items)]
        body = golden.body
        if how == 1:
            body = spoilt(reworded(body.decode(), words).encode(errors="surrogatepass"), changes)
        codec = wire.Codec.NONE if how == 1 or which % 2 else wire.Codec.ZLIB
        if codec is wire.Codec.ZLIB:
            body = wire.pack(msgspec.json.decode(body))
        block = wire.encode(
            stream="018f0000-0000-7000-8000-000000000001", seq=1, kind=golden.kind, body=body, codec=codec
        )
        try:
            decoded = wire.decode(spoilt(block, changes) if how == 0 else block)
        except wire.WireError as error:
            return str(error.reason)
        return self._read(decoded)

    @staticmethod
    def _read(block: wire.Block) -> str:
        decoders: dict[wire.Kind, Callable[[tuple[bytes, ...]], tuple[list[Any], list[Any]]]] = {
            wire.Kind.ALARMS: items.decode_alarms,
            wire.Kind.EVENTS: items.decode_events,
            wire.Kind.CATALOG: items.decode_catalogs,
            wire.Kind.HEALTH: items.decode_health,
            wire.Kind.READINGS: lambda each: items.decode_series(each, now_ms=1_800_000_000_000),
        }
        taken, refused = decoders[block.header.kind](block.items)
        if block.header.kind is wire.Kind.READINGS:
            for series in taken:
                sane(series.readings())
        return "taken" if taken and not refused else "in part" if taken else "nothing taken"
