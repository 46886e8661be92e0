"""The library: bad profiles answer back, a site's folder adds and replaces, inheritance is resolved."""

import json
from pathlib import Path

import pytest

from collectors.library import Library, ProfileErrors, UnknownProfileError, read_file
from facility.profile import Maturity, Profile, Protocol, extended
from tests.collectors.profiles.examples import DATA
from tests.collectors.profiles.judgement import identities

LIBRARY = Library.load()
BAD = sorted((DATA / "profiles" / "bad" / "acme").glob("*.yaml"))

GOOD = """\
title: {en: "Acme meter", zh: "Acme 表"}
vendor: Acme
model: M1
kind: environment
protocol: snmp
maturity: documented
provenance: Acme manual, page 3.
points:
  - metric: room.temperature
    from: {oid: 1.3.6.1.4.1.99999.1.0, unit: Cel}
"""


def _site(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_profile_says_where_and_what_was_expected(path: Path) -> None:
    wanted = path.with_suffix(".expected").read_text("utf-8").strip()
    with pytest.raises(ProfileErrors) as caught:
        read_file(path, LIBRARY)
    lines = [str(problem).split("/profiles/bad/")[-1] for problem in caught.value.problems]
    assert len(lines) == 1
    assert lines[0].startswith(wanted)


def test_every_error_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    _site(tmp_path, "acme/one", GOOD.replace("unit: Cel", "unit: Pa"))
    _site(tmp_path, "acme/two", GOOD.replace("kind: environment", "kind: meteo").replace("vendor: Acme\n", ""))
    with pytest.raises(ProfileErrors) as caught:
        Library.load([tmp_path])
    told = [(Path(problem.file).name, problem.path) for problem in caught.value.problems]
    assert sorted(told) == [("one.yaml", "points[0]"), ("two.yaml", "kind"), ("two.yaml", "vendor")]


def test_a_sites_folder_adds_and_replaces(tmp_path: Path) -> None:
    _site(tmp_path, "acme/m1", GOOD)
    _site(tmp_path, "generic/xy-md02", GOOD.replace("M1", "OURS"))
    library = Library.load([tmp_path])
    assert library.get("acme/m1").model == "M1"
    assert library.get("generic/xy-md02").model == "OURS"
    assert len(library.all()) == len(LIBRARY.all()) + 1


def test_an_absent_folder_is_an_error_and_not_an_empty_library(tmp_path: Path) -> None:
    with pytest.raises(ProfileErrors, match="is no folder of profiles"):
        Library.load([tmp_path / "nowhere"])


def test_a_file_in_the_wrong_place_is_told(tmp_path: Path) -> None:
    _site(tmp_path, "stray", GOOD)
    with pytest.raises(ProfileErrors, match=r"lies at no VENDOR/MODEL\.yaml below the folder"):
        Library.load([tmp_path])


def test_an_unknown_profile_names_its_neighbours() -> None:
    with pytest.raises(UnknownProfileError, match="did you mean liebert/gp-crac"):
        LIBRARY.get("liebert/gp-crak")


def test_a_child_takes_over_what_it_does_not_replace() -> None:
    parent, child = LIBRARY.get("ietf/ups-mib"), LIBRARY.get("huawei/ups2000")
    power = next(point for point in child.points if point.metric == "ups.output.power")
    assert power.sources[0].unit == "kW"
    assert {(p.metric, p.subject) for p in child.points} == {(p.metric, p.subject) for p in parent.points}
    assert "ups.rated.power" not in {point.metric for point in LIBRARY.get("huawei/gse200m").points}


def test_a_child_of_another_protocol_or_of_a_child_is_refused() -> None:
    ups = LIBRARY.get("ietf/ups-mib")
    with pytest.raises(ValueError, match="speaks snmp, this profile modbus"):
        extended(LIBRARY.get("generic/xy-md02"), ups)
    with pytest.raises(ValueError, match="extend that one instead"):
        extended(ups, LIBRARY.get("dell/ups"))


def test_the_revision_follows_what_is_said() -> None:
    profile = LIBRARY.get("generic/xy-md02")
    assert profile.revision == Library.load().get("generic/xy-md02").revision
    assert profile.model_copy(update={"interval": 99}).revision != profile.revision


def test_the_json_schema_describes_a_profile_for_editors() -> None:
    schema = Profile.model_json_schema()
    assert schema["additionalProperties"] is False
    assert {"title", "vendor", "kind", "protocol", "maturity", "provenance"} <= set(schema["required"])
    point = schema["$defs"]["Point"]
    assert "from" in point["properties"]
    words = json.dumps(schema)
    for secret in ("community", "password", "auth_key", "priv_key", "host"):
        assert f'"{secret}"' not in words


@pytest.mark.parametrize("profile", LIBRARY.all(), ids=lambda profile: profile.id)
def test_every_shipped_profile_keeps_the_house_rules(profile: Profile) -> None:
    keys = [(point.metric, point.subject, point.when) for point in profile.points]
    assert len(set(keys)) == len(keys), "the same point under the same condition twice"
    for point in profile.points:
        assert point.entry.en, point.metric
    if profile.protocol is Protocol.SNMP:
        assert profile.identify.any_of, "an SNMP device is recognised, not guessed"
    else:
        assert profile.modbus is not None, "how hard a Modbus device may be asked is known"


def test_counters_say_where_their_width_ends() -> None:
    """An unsigned register cannot hold more, and begins anew; of what is signed or a float no such end is known."""
    counters = [
        (profile, point, source)
        for profile in LIBRARY.all()
        for point in profile.points
        if point.entry.counter
        for source in point.sources
    ]
    for profile, point, source in counters:
        if profile.protocol is Protocol.MODBUS:
            kind = source.type.value
            wanted = 2 ** int(kind[1:]) if kind[0] == "u" and kind != "u64" else None
            assert source.wraps_at == wanted, f"{profile.id} {point.metric}"
    told = {(profile.id, point.metric) for profile, point, source in counters if source.wraps_at == 2**32}
    # upsInputLineBads is a Counter32 (RFC 1628), upsHighPrecOutputEnergyUsage an Unsigned32 (PowerNet-MIB).
    assert ("ietf/ups-mib", "ups.input.line_bads") in told
    assert ("eaton/xups", "ups.input.line_bads") in told
    assert ("apc/ups-powernet", "ups.output.energy") in told


def test_the_profile_in_the_guide_is_valid(tmp_path: Path) -> None:
    guide = (DATA.parents[1] / "docs" / "profiles.md").read_text("utf-8")
    _site(tmp_path, "acme/em-4", guide.split("```yaml\n")[1].split("```")[0])
    assert Library.load([tmp_path]).get("acme/em-4").points[0].metric == "room.temperature"


def test_recorded_means_that_a_walk_stands_behind_it() -> None:
    walked = {profile for profiles in identities().values() for profile in profiles}
    taken_over = {LIBRARY.get(profile).extends for profile in walked}
    recorded = {profile.id for profile in LIBRARY.all() if profile.maturity is Maturity.RECORDED}
    assert recorded <= walked | taken_over


def test_only_what_is_named_is_read_and_what_that_extends(tmp_path: Path) -> None:
    child = next(profile for profile in LIBRARY.all() if profile.extends is not None)
    assert child.extends is not None
    _site(tmp_path, "acme/m1", GOOD)
    library = Library.load([tmp_path], only={child.id})
    read = {profile.id for profile in library.all()}
    assert read == {"acme/m1", child.id, child.extends}
    assert library.get(child.id) == child
    assert library.ids == sorted({"acme/m1", *LIBRARY.ids})
    with pytest.raises(UnknownProfileError, match="did you mean ietf/ups-mib"):
        library.get("ietf/ups-mip")


@pytest.mark.parametrize("only", [None, set[str]()])
def test_a_mistyped_parent_names_its_neighbours_also_where_they_were_not_read(
    only: set[str] | None, tmp_path: Path
) -> None:
    head = GOOD.split("points:")[0]
    _site(tmp_path, "acme/m1", f"{head}extends: apc/ups-powernt\n")
    with pytest.raises(ProfileErrors, match="did you mean apc/ups-powernet"):
        Library.load([tmp_path], only=only)
