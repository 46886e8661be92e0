"""The empty point table to hand to a maker: headings, examples, an explanation and the metrics that may be named."""

from pathlib import Path

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from facility.metrics import REGISTER
from facility.units import symbol

# Heading, width, Chinese and English explanation
_COLUMNS: tuple[tuple[str, int, str, str], ...] = (
    ("name 名称", 22, "测点中文名称。必填", "The point's name in Chinese. Required"),
    ("name_en 英文名称", 24, "测点英文名称", "The point's name in English"),
    (
        "address 地址",
        12,
        "寄存器地址。必填。报文地址（从 0 起）100、0x0064，或 40101 记法；按位 100.3（文本）",
        "Register address, required. On the wire, from 0: 100, 0x0064; or like 40101; a bit: 100.3 (as text)",
    ),
    (
        "function 功能码",
        10,
        "1 线圈、2 离散输入、3 保持寄存器、4 输入寄存器",
        "1 coils, 2 discrete, 3 holding, 4 input",
    ),
    (
        "type 数据类型",
        12,
        "uint16（默认）、int16、uint32、int32、float32、bit；双寄存器可加字序：float32 CDAB",
        "uint16 (default), int16, uint32, int32, float32, bit; with a word order: float32 CDAB",
    ),
    ("words 寄存器个数", 10, "1、2 或 4；空为按类型", "1, 2 or 4; by the type if empty"),
    ("bit 位", 6, "告警字中的位号 0 至 15", "The bit of an alarm word, 0 to 15"),
    ("scale 倍率(乘)", 10, "实际值 = 原始值 × 倍率。设备上送十分之一时填 0.1", "value = raw x scale: 0.1 for tenths"),
    ("offset 偏移量", 10, "乘倍率后再加的数", "Added after the scale"),
    ("unit 单位", 8, "℃、%、V、A、kW、kVA、Hz、Pa、min、h ……", "Cel, %, V, A, kW, kVA, Hz, Pa, min, h ..."),
    (
        "states 取值",
        28,
        "枚举：0:停机 1:运行；或告警位：Bit0:高温 Bit1:低温",
        "0:off 1:on; or bits: Bit0:high Bit1:low",
    ),
    ("sentinels 无效值", 12, "表示“无数据”的原始值：0x7FFF，多个用逗号隔开", "Raw values that mean no data: 0x7FFF"),
    ("metric 指标", 30, "规范指标名，见 metrics 表；空为按名称推断", "A metric of the sheet metrics; guessed if empty"),
    (
        "subject 子对象",
        16,
        "如 phase/L1、compressor/2；空为按名称推断",
        "Like phase/L1, compressor/2; guessed if empty",
    ),
    ("note 备注", 30, "说明", "Anything else"),
)
_EXAMPLES: tuple[tuple[object, ...], ...] = (
    ("回风温度", "Return air temperature", 0, 3, "int16", "", "", 0.1, "", "℃", "", "0x7FFF", "", "", "删除示例行"),
    ("回风湿度", "Return air humidity", 1, 3, "uint16", "", "", 0.1, "", "%", "", "0x7FFF", "", "", "example rows"),
    ("运行状态", "Unit state", 2, 3, "uint16", "", "", "", "", "", "0:停机 1:运行 2:待机", "", "", "", ""),
    ("压缩机1运行时间", "Compressor 1 run hours", 4, 3, "uint32", 2, "", "", "", "h"),
    ("告警字1", "Alarm word 1", 6, 3, "uint16", "", "", "", "", "", "Bit0:高温告警 Bit1:低温告警 Bit4:压缩机1高压"),
    ("漏水告警", "Water leak", 7, 3, "bit", "", 0, "", "", "", "0:正常 1:漏水"),
)  # fmt: skip


def write_template(path: Path) -> None:
    """Write the template as .xlsx; OSError where it cannot be written."""
    book = Workbook()
    points = book.active
    points.title = "points"
    points.append([heading for heading, *_ in _COLUMNS])
    for example in _EXAMPLES:
        points.append(list(example))
    for at, (_, width, *_) in enumerate(_COLUMNS, start=1):
        points.column_dimensions[get_column_letter(at)].width = width
    for row in range(2, 500):
        points.cell(row=row, column=3).number_format = "@"  # text: a number loses the zero of 40010.10
    points.freeze_panes = "A2"
    _bold(points)
    help_sheet = book.create_sheet("help 说明")
    help_sheet.append(["列 column", "说明", "explanation"])
    for heading, _, zh, en in _COLUMNS:
        help_sheet.append([heading, zh, en])
    metrics = book.create_sheet("metrics")
    metrics.append(["metric", "中文", "English", "unit", "states"])
    for entry in REGISTER.values():
        words = ", ".join(entry.states.words) if entry.states is not None else ""
        metrics.append([entry.name, entry.zh, entry.en, symbol(entry.unit), words])
    for sheet in (help_sheet, metrics):
        for letter, width in (("A", 34), ("B", 50), ("C", 50), ("E", 60)):
            sheet.column_dimensions[letter].width = width
        for cells in sheet.iter_rows():
            for cell in cells:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
        _bold(sheet)
    book.save(path)


def _bold(sheet: object) -> None:
    for cell in sheet[1]:  # type: ignore[index]  # openpyxl has no types
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DDE6F0")
