"""Raw values that mean "no data" stand in the texts of a table more often than in a column of their own."""

import pytest

from collectors.pointtable.sentinels import no_data
from facility.profile import DeviceKind
from tests.collectors.pointtable.tables import imported, points, said

HEAD = "名称,地址,功能码,类型,倍率,单位,备注\n"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("65535 = invalid", (65535,)),
        ("0x7FFF 无效", (32767,)),
        ("0xFFFF表示无数据", (65535,)),
        ("无效值：65535", (65535,)),
        ("invalid value is 0x8000", (32768,)),
        ("-32768: not available; 0x7FFF: no data", (-32768, 32767)),
        ("精度0.1，32767：未接传感器", (32767,)),
        ("数值为65535时无效", (65535,)),
        ("65535（无效）", (65535,)),
        ("N/A = 0xFFFFFFFF", (4294967295,)),
        ("32767/-32768为无效值", (32767, -32768)),
        # Words of a state, a range and a date are none.
        ("0:无效 1:有效", ()),
        ("范围 0~65535", ()),
        ("2019-07-01 起无效", ()),
        ("0.1", ()),
        ("范围0-1000，1000以上无效", ()),
        ("回风温度", ()),
    ],
)
def test_values_named_in_a_text(text: str, values: tuple[int, ...]) -> None:
    assert no_data(text) == values


def test_they_are_taken_over_and_told() -> None:
    done = imported(
        HEAD
        + "回风温度,0,3,INT16,0.1,℃,0x7FFF 无效\n"
        + "送风温度,1,3,INT16,0.1,℃,65535 = invalid\n"
        + "回风湿度,2,3,UINT16,0.1,%,65535:无效\n"
        + "冷冻水进水温度,4,3,float,1,℃,无效值:32767\n"
        + "机组运行状态,6,3,UINT16,,,0:停机 1:运行 65535:无效\n",
        kind=DeviceKind.CRAC,
    )
    made = points(done)
    assert made["crac.return_air.temperature"]["sentinels"] == ["32767"]
    assert made["crac.supply_air.temperature"]["sentinels"] == ["-1"]
    assert made["crac.return_air.humidity"]["sentinels"] == ["65535"]
    assert made["crac.water.inlet.temperature"]["sentinels"] == ["32767.0"]
    assert made["crac.state"] == {"holding": 6, "sentinels": ["65535"], "states": {"0": "off", "1": "on"}}
    assert any('5 points have values that mean "no data", named in their texts' in hint for hint in done.hints)
    assert said(done) == []


def test_a_column_for_them_has_the_last_word() -> None:
    text = "名称,地址,功能码,类型,倍率,单位,无效值,备注\n回风温度,0,3,INT16,0.1,℃,0x8000,0x7FFF 无效\n"
    assert points(imported(text))["crac.return_air.temperature"]["sentinels"] == ["-32768"]
