"""`coldaisle profile` as people and scripts call it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collectors.profile_cli import app
from collectors.walk import WalkError, read_walk
from tests.collectors.profiles.examples import DATA

RUN = CliRunner()
INROW = DATA / "walks" / "apc-inrow-rc.healthy.snmprec"
NEW_FILE = """\
title: {en: "Our card", zh: "本地卡"}
vendor: Acme
model: C1
kind: ups
protocol: snmp
maturity: documented
provenance: measured at our site
extends: ietf/ups-mib
identify: {any: {sys_object_id: 1.3.6.1.4.1.99999}}
"""


def test_replay_prints_the_object_scripts_rely_on() -> None:
    result = RUN.invoke(app, ["replay", str(INROW), "--json"])
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert set(shown) == {"profile", "candidates", "device", "readings"}
    assert shown["profile"] == "apc/inrow-rc"
    supply = next(r for r in shown["readings"] if r["metric"] == "crac.supply_air.temperature")
    assert supply == {
        "metric": "crac.supply_air.temperature",
        "subject": "",
        "value": 18.7,
        "raw": "187",
        "unit": "Cel",
        "quality": "good",
        "source": "1.3.6.1.4.1.318.1.1.13.3.2.2.2.9.0",
    }


def test_replay_for_people_shows_every_reading_unfolded() -> None:
    result = RUN.invoke(app, ["replay", str(INROW)])
    assert result.exit_code == 0
    assert "profile apc/inrow-rc" in result.stdout
    assert "1.3.6.1.4.1.318.1.1.13.3.2.2.2.9.0" in result.stdout


def test_replay_with_another_profile_than_the_recognised_one() -> None:
    result = RUN.invoke(app, ["replay", str(INROW), "--json", "--profile", "apc/ups-powernet"])
    assert json.loads(result.stdout)["profile"] == "apc/ups-powernet"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay", "nowhere.snmprec"], "nowhere.snmprec: cannot be read"),
        (["replay", str(INROW), "--profile", "apc/inrow"], "did you mean apc/inr"),
        (["replay", str(INROW), "--profile", "generic/xy-md02"], "speaks modbus; a walk is a recording of SNMP"),
        (["show", "rle/ld-serie"], "did you mean rle/ld-series?"),
        (["validate", str(DATA / "profiles" / "bad")], "acme/credentials.yaml:8: community: unknown setting"),
        (["list", "--profiles", "nowhere"], "nowhere: is no folder of profiles"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(arguments: list[str], message: str) -> None:
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 1
    assert message in result.stderr


def test_list_and_show_tell_what_is_shipped() -> None:
    listed = json.loads(RUN.invoke(app, ["list", "--json"]).stdout)
    assert {"ietf/ups-mib", "apc/ups-powernet", "liebert/gp-crac", "comet/t7511"} <= {entry["id"] for entry in listed}
    assert "deltaohm/hd402" in RUN.invoke(app, ["list"]).stdout
    shown = RUN.invoke(app, ["show", "deltaohm/hd402"]).stdout
    assert "input:2, then input:3" in shown
    assert (
        json.loads(RUN.invoke(app, ["show", "deltaohm/hd402", "--json"]).stdout)["points"][0]["from"][0]["input"] == 2
    )


def test_validate_counts_the_shipped_and_checks_a_sites_folder(tmp_path: Path) -> None:
    assert "profiles are valid" in RUN.invoke(app, ["validate"]).stdout
    site = tmp_path / "acme" / "c1.yaml"
    site.parent.mkdir()
    site.write_text(NEW_FILE, encoding="utf-8")
    assert RUN.invoke(app, ["validate", str(tmp_path)]).stdout == "1 profiles are valid\n"
    assert RUN.invoke(app, ["validate", str(site)]).stdout == "1 profiles are valid\n"
    assert "acme/c1" in RUN.invoke(app, ["list", "--profiles", str(tmp_path)]).stdout


def test_the_schema_for_editors_has_the_fields_of_a_file() -> None:
    schema = json.loads(RUN.invoke(app, ["schema"]).stdout)
    assert "id" not in schema["properties"]
    assert "provenance" in schema["required"]
    assert {"from", "metric", "subject", "when"} <= set(schema["$defs"]["Point"]["properties"])
    assert {"scale", "binary_scale", "sentinels", "bits", "word_order"} <= set(schema["$defs"]["Source"]["properties"])


def test_a_walk_is_read_in_numeric_order_with_all_types(tmp_path: Path) -> None:
    walk = tmp_path / "w.snmprec"
    walk.write_bytes(
        b"1.3.6.1.10.0|2|-4\n1.3.6.1.9.0|4x|4142\n# note\n.1.3.6.1.2.0|6|.1.3.6\n1.3.6.1.3.0|64x|0a000001\n"
        b"1.3.6.1.4.0|5|\n1.3.6.1.5.0|70|18446744073709551615\n1.3.6.1.6.0|4|a|b\n"
    )
    assert list(read_walk(walk).items()) == [
        ("1.3.6.1.2.0", "1.3.6"),
        ("1.3.6.1.3.0", "10.0.0.1"),
        ("1.3.6.1.5.0", 2**64 - 1),
        ("1.3.6.1.6.0", b"a|b"),
        ("1.3.6.1.9.0", b"AB"),
        ("1.3.6.1.10.0", -4),
    ]


@pytest.mark.parametrize("line", ["1.3.6.1|2", "1.3.6.1|2|x", "1.3.x|2|1", "1.3.6.1|99|1", "1.3.6.1|4x|0g"])
def test_a_line_that_is_no_walk_is_named(tmp_path: Path, line: str) -> None:
    walk = tmp_path / "w.snmprec"
    walk.write_text(f"1.3.6.1.1.0|2|1\n{line}\n", encoding="utf-8")
    with pytest.raises(WalkError, match=r"w\.snmprec:2: "):
        read_walk(walk)
