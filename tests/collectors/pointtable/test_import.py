"""From a table to points: columns, metrics, subjects, states, and what is said of what was not understood."""

import pytest

from collectors.exchange import Table
from collectors.pointtable.addresses import Notation
from collectors.pointtable.columns import MappingError, parse_map
from collectors.pointtable.sheets import parse_table
from facility.profile import DeviceKind
from tests.collectors.pointtable.tables import CRAC_CSV, imported, points, profile_of, said, workbook

HEAD = "名称,地址,功能码,类型,倍率,单位,取值\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_makers_table_becomes_a_profile_in_every_encoding(encoding: str) -> None:
    done = imported(CRAC_CSV.encode(encoding))
    assert done.kind is DeviceKind.CRAC
    assert points(done) == {
        "crac.return_air.temperature": {"holding": 0, "type": "s16", "scale": 0.1, "unit": "Cel"},
        "crac.return_air.humidity": {"holding": 1, "scale": 0.1, "unit": "%"},
        "crac.supply_air.temperature probe/1": {"holding": 2, "type": "s16", "scale": 0.1, "unit": "Cel"},
        "crac.supply_air.temperature probe/2": {"holding": 3, "type": "s16", "scale": 0.1, "unit": "Cel"},
        # 0.01 MPa is 10 kPa
        "crac.refrigerant.suction.pressure": {"holding": 6, "type": "s16", "scale": 10.0, "unit": "kPa"},
        "crac.input.voltage phase/L1": {"holding": 7, "scale": 0.1, "unit": "V"},
        "crac.compressor.run_hours compressor/1": {"holding": 9, "type": "u32", "unit": "h"},
        "crac.temperature.high_limit": {"holding": 11, "type": "s16", "scale": 0.1, "unit": "Cel"},
        "crac.state": {"holding": 19, "states": {"0": "off", "1": "on", "2": "standby"}},
        "crac.compressor.state compressor/1": {"holding": 20, "states": {"0": "off", "1": "on"}},
        "unmapped.acme.holding-21": {"holding": 21, "scale": 0.1},
        "crac.temperature.high.state": {"holding": 29, "bits": {"0": "alarm"}, "otherwise": "normal"},
        "crac.compressor.high_pressure.state compressor/1": {
            "holding": 29,
            "bits": {"3": "alarm"},
            "otherwise": "normal",
        },
        "crac.leak.state": {"holding": 29, "bits": {"8": "leak"}, "otherwise": "dry"},
        "crac.alarm.state alarm/holding-29.11": {"holding": 29, "bits": {"11": "alarm"}, "otherwise": "normal"},
    }
    labels = {point.metric: point.label.zh for point in profile_of(done).points if point.label}
    assert labels["crac.alarm.state"] == "火警"
    assert labels["unmapped.acme.holding-21"] == "油压差 (kPa)"
    assert said(done) == [
        "t!D18: left out: '06' only writes; nothing is read there",
        "t!E19: left out: 'STRING' is a text, which is no reading",
        "t!C15: warning: 油压差: no metric is known for it; kept as unmapped.acme.holding-21, which no rule judges",
    ]
    assert any("40001 is holding 0 on the wire" in hint for hint in done.hints)


@pytest.mark.parametrize("first", ["室内温度", "环境温度", "机房温度", "Room Temperature"])
def test_the_air_near_a_device_is_guessed_by_its_kind_and_said_to_be_a_guess(first: str) -> None:
    rows = f"{first},1,3,INT16,0.1,℃,\n环境湿度,2,3,UINT16,0.1,%,\n室内温度上限,3,3,INT16,0.1,℃,\n"
    for kind, air in {
        DeviceKind.CRAC: "crac.return_air",
        DeviceKind.UPS: "ups.ambient",
        DeviceKind.PDU: "room",
        DeviceKind.ENVIRONMENT: "room",
    }.items():
        if kind is DeviceKind.UPS and first not in ("室内温度", "环境温度"):
            continue
        done = imported(HEAD + rows, kind=kind)
        assert set(points(done)) >= {f"{air}.temperature", f"{air}.humidity"}, kind
        told = [each for each in said(done) if f"taken for {air}" in each]
        assert len(told) == (2 if kind in (DeviceKind.CRAC, DeviceKind.PDU) else 0)


def test_a_guess_gives_way_to_what_another_row_says_plainly() -> None:
    done = imported(HEAD + "室内温度,1,3,INT16,0.1,℃,\n回风温度,2,3,INT16,0.1,℃,\n", kind=DeviceKind.CRAC)
    assert points(done)["crac.return_air.temperature"]["holding"] == 2
    assert [name for name in points(done) if name.startswith("unmapped.")] == ["unmapped.acme.holding-1"]


def test_problems_are_named_by_their_cell() -> None:
    done = imported(
        HEAD
        + "回风温度,4004x,3,INT16,0.1,℃,\n"
        + "送风温度,40002,9,INT16,0.1,℃,\n"
        + "回风湿度,40003,3,BCD,0.1,%,\n"
        + "送风湿度,40004,3,UINT16,10,%,\n"
        + ",40005,3,UINT16,1,%,\n"
        + "水流量,40006,3,UINT16,1,斗,\n"
        + "冷凝温度,99999,3,INT16,0.1,℃,\n"
    )
    problems = said(done)
    assert problems[0] == "t!B2: '4004x' is no register address; write 100, 0x0064, 40101, or 40101.3 for a bit"
    assert problems[1].startswith("t!C3: '9' is no reading function")
    assert problems[2].startswith("t!D4: 'BCD': BCD is not read")
    assert problems[3].startswith("t!E5: '10' may mean")
    assert problems[4] == "t!A6: has an address and no name"
    assert problems[5] == "t!F7: warning: '斗' is no unit that is known here"
    assert problems[6].startswith("t!B8: is address 99999 on the wire")


def test_a_factor_over_one_is_taken_once_it_is_said_which_way_it_goes() -> None:
    text = HEAD + "回风温度,0,3,INT16,10,℃,\n"
    assert imported(text).points == 0
    assert points(imported(text, "倍率=divisor"))["crac.return_air.temperature"]["scale"] == 0.1
    assert points(imported(text, "E=scale"))["crac.return_air.temperature"]["scale"] == 10.0
    divided = text.replace(",10,", ",/10,")
    assert points(imported(divided, "倍率=divisor"))["crac.return_air.temperature"]["scale"] == 0.1
    assert said(imported(text.replace(",10,", ",60,"), "倍率=decimals")) == [
        "t!E2: 60 decimals leave nothing of a register's value"
    ]
    one = HEAD.replace("倍率", "精度") + "回风温度,0,3,INT16,1,℃,\n"
    assert imported(one).points == 0, "one decimal, or whole degrees?"
    assert points(imported(one, "精度=decimals"))["crac.return_air.temperature"]["scale"] == 0.1


def test_columns_are_told_by_heading_or_letter_and_mistakes_are_answered() -> None:
    text = "甲,乙\n回风温度,7\n"
    assert points(imported(text, "甲=name", "B=address", function=Table.INPUT)) == {
        "crac.return_air.temperature": {"input": 7, "type": "s16", "unit": "Cel"}
    }
    sheets = parse_table((HEAD + "回风温度,1,3,,,,\n").encode(), "t")
    with pytest.raises(MappingError, match="did you mean 'scale'"):
        parse_map(["倍率=scal"], sheets)
    with pytest.raises(MappingError, match="did you mean '功能码'"):
        parse_map(["功能=function"], sheets)
    with pytest.raises(MappingError, match="write COLUMN=FIELD"):
        parse_map(["倍率"], sheets)


def test_notations_and_bases_of_addresses() -> None:
    modicon = HEAD + "回风温度,40101,3,INT16,0.1,℃,\n送风温度,30102,4,INT16,0.1,℃,\n"
    assert [each.get("holding", each.get("input")) for each in points(imported(modicon)).values()] == [100, 101]
    plain = points(imported(modicon, notation=Notation.PLAIN))
    assert [each.get("holding", each.get("input")) for each in plain.values()] == [40101, 30102]
    # A table that says function 3 for 11000 does not mean a discrete input.
    wire = imported(HEAD + "输入电压,11000,3,UINT16,0.1,V,\n", kind=DeviceKind.UPS)
    assert points(wire)["ups.input.voltage"]["holding"] == 11000
    ones = HEAD + "回风温度,1,3,INT16,0.1,℃,\n送风温度,2,3,INT16,0.1,℃,\n"
    assert any("--base 1" in hint for hint in imported(ones).hints)
    assert [each["holding"] for each in points(imported(ones, base=1)).values()] == [0, 1]
    hexed = HEAD + "回风温度,0010,3,INT16,0.1,℃,\n送风温度,001A,3,INT16,0.1,℃,\n"
    assert [each["holding"] for each in points(imported(hexed)).values()] == [16, 26]
    both = "名称,地址(HEX),地址(十进制),功能码\n回风温度,0010,16,3\n"
    assert points(imported(both))["crac.return_air.temperature"]["holding"] == 16
    wrong = imported("名称,地址,功能码\n回风温度,3x0001,3\n")
    assert "names a register of input, the function is 03 (holding)" in said(wrong)[0]


def test_coils_and_discrete_inputs_are_flags() -> None:
    done = imported(
        HEAD
        + "漏水告警,0,2,,,,0:正常 1:漏水\n门磁,1,2,,,,1:关 0:开\n烟感,2,离散输入,,,,\n"
        + "公共告警,3,1,,,,\n加湿器电流大,4,2,,,,\n",
        kind=DeviceKind.CRAC,
    )
    assert points(done) == {
        "crac.leak.state": {"discrete": 0, "type": "flag", "states": {"0": "dry", "1": "leak"}},
        "door.state": {"discrete": 1, "type": "flag", "states": {"0": "open", "1": "closed"}},
        "smoke.state": {"discrete": 2, "type": "flag", "states": {"0": "clear", "1": "smoke"}},
        "crac.alarm.state": {"coil": 3, "type": "flag", "states": {"0": "normal", "1": "alarm"}},
        "unmapped.acme.discrete-4": {"discrete": 4, "type": "flag"},
    }


def test_a_whole_register_may_be_one_flag() -> None:
    done = imported(HEAD + "漏水告警,5,3,BOOL,,,\n压缩机1过载,6,3,开关量,,,0:正常 1:故障\n", kind=DeviceKind.CRAC)
    assert points(done) == {
        "crac.leak.state": {"holding": 5, "states": {"0": "dry", "1": "leak"}},
        "crac.compressor.alarm.state compressor/1": {"holding": 6, "states": {"0": "normal", "1": "alarm"}},
    }


def test_the_other_way_round_a_bit_says_the_good_word() -> None:
    done = imported("名称,地址,位,功能码,取值\n加湿器故障,5,2,3,1:正常 0:故障\n", kind=DeviceKind.CRAC)
    assert points(done)["crac.humidifier.state"] == {"holding": 5, "bits": {"2": "normal"}, "otherwise": "alarm"}


def test_a_merged_address_counts_for_the_bits_below_it() -> None:
    done = imported("名称,地址,位,功能码\n高温告警,5,0,3\n低温告警,,1,\n漏水告警,,2,\n", kind=DeviceKind.CRAC)
    assert [each["bits"] for each in points(done).values()] == [{"0": "alarm"}, {"1": "alarm"}, {"2": "leak"}]


def test_a_ups_with_phases_word_order_and_states() -> None:
    done = imported(
        "Parameter,Register,Function,Data Type,Scale,Unit,Values\n"
        "Input voltage L1,0,4,uint16,0.1,V,\n"
        "Input voltage L2,1,4,uint16,0.1,V,\n"
        "A相输出电流,2,4,uint16,0.1,A,\n"
        "AB线电压,3,4,uint16,0.1,V,\n"
        "Battery capacity,4,4,uint16,1,%,\n"
        "电池后备时间,5,4,uint16,1,min,\n"
        "负载率,6,4,float CDAB,1,%,\n"
        "供电方式,8,4,uint16,,,0:无输出 1:旁路 2:市电逆变 3:电池\n"
        "Output active power,10,4,uint32,0.1,kW,\n",
        kind=DeviceKind.UPS,
    )
    assert points(done) == {
        "ups.input.voltage phase/L1": {"input": 0, "scale": 0.1, "unit": "V"},
        "ups.input.voltage phase/L2": {"input": 1, "scale": 0.1, "unit": "V"},
        "ups.output.current phase/L1": {"input": 2, "scale": 0.1, "unit": "A"},
        "unmapped.acme.input-3": {"input": 3, "scale": 0.1},
        "ups.battery.charge": {"input": 4, "unit": "%"},
        "ups.battery.runtime": {"input": 5, "unit": "min"},
        "ups.output.load": {"input": 6, "type": "f32", "word_order": "little", "unit": "%"},
        "ups.output.source": {"input": 8, "states": {"0": "none", "1": "bypass", "2": "normal", "3": "battery"}},
        "ups.output.power": {"input": 10, "type": "u32", "scale": 0.1, "unit": "kW"},
    }


def test_a_metric_that_is_named_is_taken_at_its_word_and_checked() -> None:
    head = "名称,地址,功能码,单位,取值,metric,subject\n"
    done = imported(
        head + "甲,0,3,℃,,crac.return_air.temperature,\n乙,1,3,℃,,unmapped.acme.oil,\n", kind=DeviceKind.CRAC
    )
    assert list(points(done)) == ["crac.return_air.temperature", "unmapped.acme.oil"]
    wrong = imported(
        head + "甲,0,3,℃,,crac.return_air.temprature,\n乙,1,3,%,,crac.supply_air.temperature,\n"
        "丙,2,3,℃,,room.temperature,cold aisle\n丁,3,3,℃,,outdoor.temperature,\n戊,4,3,℃,,outdoor.temperature,\n",
        kind=DeviceKind.CRAC,
    )
    problems = said(wrong)
    assert "did you mean crac.return_air.temperature" in problems[0]
    assert "crac.supply_air.temperature is a temperature; unit, states or bits of the row say otherwise" in problems[1]
    assert "subject 'cold aisle'" in problems[2]
    assert "outdoor.temperature is read already from t!5" in problems[3]


def test_a_name_without_a_metric_is_kept_and_warned_of_by_its_cell() -> None:
    done = imported(HEAD + "油压差,0,3,UINT16,0.1,kPa,\n回风温度,1,3,INT16,0.1,℃,\n", kind=DeviceKind.CRAC)
    assert list(points(done)) == ["unmapped.acme.holding-0", "crac.return_air.temperature"]
    assert said(done) == [
        "t!A2: warning: 油压差: no metric is known for it; kept as unmapped.acme.holding-0, which no rule judges"
    ]


def test_two_rows_of_one_meaning_are_both_kept() -> None:
    done = imported(HEAD + "回风温度,0,3,INT16,0.1,℃,\n回风温度,9,3,INT16,0.1,℃,\n")
    assert list(points(done)) == ["crac.return_air.temperature", "unmapped.acme.holding-9"]
    assert "is read already from t!2; kept as its own point" in said(done)[0]


def test_sheets_of_a_workbook_each_have_their_own_heading_and_function() -> None:
    raw = workbook(
        {
            "封面": [["某某公司"], ["通讯协议"]],
            "遥测(功能码04)": [["名称", "地址", "倍率", "单位"], ["回风温度", 0, 0.1, "℃"], ["回风湿度", 1, 0.1, "%"]],
            "遥信": [["功能码：02"], ["名称", "地址", "取值"], ["漏水告警", 0, "0正常"], ["高温告警", 1, None]],
        }
    )
    done = imported(raw)
    assert [(key, each.get("input", each.get("discrete"))) for key, each in points(done).items()] == [
        ("crac.return_air.temperature", 0),
        ("crac.return_air.humidity", 1),
        ("crac.leak.state", 0),
        ("crac.temperature.high.state", 1),
    ]
    assert len(done.columns) == 2


def test_an_address_excel_has_made_a_number_of_is_refused() -> None:
    raw = workbook({"s": [["名称", "地址", "功能码"], ["高温告警", 40010.1, 3], ["低温告警", "40010.10", 3]]})
    done = imported(raw, kind=DeviceKind.CRAC)
    assert said(done)[0].startswith("s!B2: 40010.1 is a number: 40010.1 and 40010.10 are the same there")
    assert points(done)["crac.temperature.low.state"] == {
        "holding": 9,
        "bits": {"10": "alarm"},
        "otherwise": "normal",
    }
