"""The template, filled in, imported by the command, read from a Modbus server: the values that were put there."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from typer.testing import CliRunner

from collectors.library import Library, read_file
from collectors.probe import probe
from collectors.profile_cli import app
from tests.collectors.pointtable.tables import CRAC_CSV
from tests.collectors.speaking.profiles import system_clock

RUN = CliRunner()
ROWS: tuple[tuple[object, ...], ...] = (
    ("回风温度", "", "40001", 3, "int16", "", "", 0.1, "", "℃", "", "0x7FFF"),
    ("送风温度", "", "40002", 3, "int16", "", "", 0.1, "", "℃", "", "0x7FFF"),
    ("回风湿度", "", "40003", 3, "uint16", "", "", 0.1, "", "%"),
    ("压缩机2运行时间", "", "40004", 3, "uint32 CDAB", 2, "", "", "", "h"),
    ("室外温度", "", "40006", 3, "float32", "", "", "", "", "℃"),
    ("运行状态", "", "40008", 3, "uint16", "", "", "", "", "", "0:停机 1:运行 2:待机"),
    ("告警字1", "", "40009", 3, "uint16", "", "", "", "", "", "Bit0:高温告警 Bit4:压缩机1高压告警 Bit9:漏水告警"),
    ("蒸发器进口角度", "", "40010", 3, "uint16", "", "", 0.1),
    ("温差", "", "40011", 3, "int16", "", "", 0.1, -40, "℃", "", "", "crac.control.temperature"),
)
# -5.5 degrees, not available, 45.6 %, 70000 h low word first, 21.25 degrees, standby, bits 4 and 9, 12.3, 0.5 degrees
WORDS = [65536 - 55, 0x7FFF, 456, 70000 & 0xFFFF, 70000 >> 16, 0x41AA, 0x0000, 2, 1 << 4 | 1 << 9, 123, 405]


@asynccontextmanager
async def serving(words: list[int]) -> AsyncIterator[int]:
    """A unit 1 whose holding registers from 0 on hold these words; yields its port."""
    device = SimDevice(1, simdata=[SimData(0, values=words, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer([device], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        listening: Any = server.transport
        yield listening.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


async def test_from_template_to_readings(tmp_path: Path) -> None:
    table = tmp_path / "points.xlsx"
    assert RUN.invoke(app, ["import", "--template", str(table)]).exit_code == 0
    book = load_workbook(table)
    sheet = book["points"]
    sheet.delete_rows(2, sheet.max_row)
    for row in ROWS:
        sheet.append(list(row))
    book.save(table)
    done = RUN.invoke(app, ["import", str(table), "--id", "acme/crac9", "--kind", "crac", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    profile = read_file(tmp_path / "acme" / "crac9.yaml", Library([]))
    async with serving(WORDS) as port:
        report = await probe(
            f"modbus://127.0.0.1:{port}/1", library=Library([profile]), clock=system_clock(), profile_id="acme/crac9"
        )
    assert report.problem is None
    assert {
        f"{each.reading.metric} {each.reading.subject}".strip(): each.reading.value or each.reading.reason
        for each in report.readings
    } == {
        "crac.return_air.temperature": -5.5,
        "crac.supply_air.temperature": "sentinel",
        "crac.return_air.humidity": 45.6,
        "crac.compressor.run_hours compressor/2": 70000 * 3600.0,
        "outdoor.temperature": 21.25,
        "crac.state": "standby",
        "crac.temperature.high.state": "normal",
        "crac.compressor.high_pressure.state compressor/1": "alarm",
        "crac.leak.state": "leak",
        "unmapped.acme.holding-9": 12.3,
        "crac.control.temperature": 0.5,
    }


def test_the_untouched_template_can_be_imported(tmp_path: Path) -> None:
    table = tmp_path / "t.xlsx"
    RUN.invoke(app, ["import", "--template", str(table)])
    done = RUN.invoke(app, ["import", str(table)])
    assert done.exit_code == 0, done.output
    assert "8 points of kind crac, 0 of them unmapped; 0 rows not understood" in done.stderr
    again = RUN.invoke(app, ["import", "--template", str(table)])
    assert again.exit_code == 1
    assert "is there already" in again.stderr


def test_a_table_with_a_bad_row_writes_nothing_unless_told_to(tmp_path: Path) -> None:
    table = tmp_path / "点表.csv"
    table.write_text(CRAC_CSV + "16,4005x,湿度,03,UINT16,0.1,%,R,\n", encoding="gb18030")
    out = tmp_path / "profiles"
    refused = RUN.invoke(app, ["import", str(table), "--id", "acme/crac9", "--out", str(out)])
    assert refused.exit_code == 1
    assert "点表!B20: '4005x' is no register address" in refused.stderr
    assert "1 rows are not understood; nothing is written" in refused.stderr
    assert not out.exists()
    taken = RUN.invoke(app, ["import", str(table), "--id", "acme/crac9", "--out", str(out), "--partial"])
    assert taken.exit_code == 0
    assert RUN.invoke(app, ["import", str(table), "--id", "acme/crac9", "--partial", "--out", str(out)]).exit_code == 1
    read_file(out / "acme" / "crac9.yaml", Library([]))


def test_mistakes_are_answered_with_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("甲,乙,丙\n回风温度,7,3\n送风温度,8,3\n", encoding="utf-8")

    def said(*words: str) -> str:
        done = RUN.invoke(app, ["import", *words])
        assert done.exit_code == 1
        return done.stderr

    assert "no column is seen to hold name or address; say it with --map COLUMN=FIELD" in said(str(table))
    assert "The columns: A '甲', B '乙', C '丙'" in said(str(table))
    assert "did you mean 't'" in said(str(table), "--sheet", "tt")
    assert "write vendor/model" in said(str(table), "--id", "Acme")
    assert "cannot be read" in said(str(tmp_path / "none.csv"))
    assert "name a table to import" in said()
    assert "a template is an .xlsx file" in said("--template", "t.csv")
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    assert "save it as .xlsx" in said(str(tmp_path / "old.xls"))
    told = RUN.invoke(app, ["import", str(table), "--map", "A=name", "--map", "乙=address", "--map", "C=function"])
    assert told.exit_code == 0, told.stderr
    assert "holding: 7" in told.stdout


def test_a_person_at_a_terminal_is_asked_for_the_columns(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("甲,乙,丙\n回风温度,7,4\n送风温度,8,4\n", encoding="utf-8")
    # A pseudo terminal of its own: `script` of util-linux would be a further peer, pty is at hand.
    program = (
        "import pty, sys, os\n"
        "pid, fd = pty.fork()\n"
        "if pid == 0:\n"
        "    os.execvp(sys.executable, [sys.executable, '-m', 'coldaisle', *sys.argv[1:]])\n"
        "said = b''\n"
        "for answer in (b'A\\n', b'B\\n', b'C\\n'):\n"
        "    while not said.rstrip().endswith((b'letter:', b'[]:')):\n"
        "        said += os.read(fd, 4096)\n"
        "    os.write(fd, answer); said += b'>'\n"
        "try:\n"
        "    while True:\n"
        "        said += os.read(fd, 4096)\n"
        "except OSError:\n"
        "    pass\n"
        "_, status = os.waitpid(pid, 0)\n"
        "sys.stdout.buffer.write(said); sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "profile", "import", str(table), "--out", str(tmp_path / "p")],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert "input: 7" in (tmp_path / "p" / "imported" / "t.yaml").read_text(encoding="utf-8")
