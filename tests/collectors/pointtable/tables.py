"""Point tables as makers hand them over, written for these tests."""

import io
from collections.abc import Sequence

from openpyxl import Workbook

from collectors.pointtable.columns import Told, parse_map
from collectors.pointtable.importing import Imported, Wish, import_table
from collectors.pointtable.sheets import parse_table
from facility.config import parse_yaml
from facility.profile import Profile

# A precision air conditioner in the manner of several makers at once.
CRAC_CSV = """\
精密空调通讯点表 V1.0,,,,,,,,
9600 8N1,,,,,,,,
序号,寄存器地址,信号名称,功能码,数据类型,精度,单位,读写,备注
,,模拟量,,,,,,
1,40001,回风温度,03,INT16,0.1,℃,R,
2,40002,回风湿度,03,UINT16,0.1,%RH,R,
3,40003,送风温度1,03,INT16,0.1,℃,R,
4,40004,送风温度2,03,INT16,0.1,℃,R,
5,40007,吸气压力,03,INT16,0.01,MPa,R,
6,40008,A相电压,03,UINT16,0.1,V,R,
7,40010,压缩机1运行时间,03,UINT32,1,小时,R,
8,40012,回风温度高告警设定,03/06,INT16,0.1,℃,R/W,
9,40020,机组运行状态,03,ENUM,,,R,0：停机；1：运行；2：待机；4~10：保留
10,40021,1#压缩机状态,03,UINT16,,,R,"0-停止,1-运行"
11,40022,油压差,03,UINT16,0.1,kPa,R,
12,40030,告警字1,03,UINT16,,,R,"Bit0:高温告警
Bit3:压缩机1高压告警
Bit8:漏水告警
Bit11:火警"
13,40031,保留,03,UINT16,,,R,
14,40040,远程开关机,06,UINT16,,,W,
15,40041,版本号,03,STRING,,,R,
"""


def imported(text: str | bytes, *maps: str, profile_id: str = "acme/crac9", **wish: object) -> Imported:
    sheets = parse_table(text.encode() if isinstance(text, str) else text, "t")
    told = parse_map(maps, sheets) if maps else Told()
    return import_table(sheets, Wish(profile_id=profile_id, told=told, **wish), source="t.csv")  # type: ignore[arg-type]


def profile_of(done: Imported, profile_id: str = "acme/crac9") -> Profile:
    """The text as the agent would load it."""
    return Profile.model_validate({"id": profile_id, **parse_yaml(done.text, "t").data})


def points(done: Imported) -> dict[str, dict[str, object]]:
    """`metric subject` to what its source says, in the file's order."""
    return {
        f"{point.metric} {point.subject}".strip(): point.sources[0].model_dump(
            mode="json", by_alias=True, exclude_unset=True
        )
        for point in profile_of(done).points
    }


def said(done: Imported) -> list[str]:
    return [str(remark) for remark in done.remarks]


def workbook(sheets: dict[str, Sequence[Sequence[object]]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
