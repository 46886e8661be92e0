"""The wheel carries everything the programs read at run time: profiles, rules, templates, static files, migrations."""

import zipfile
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("facility", "rules", "collectors", "agent", "server", "simulator", "coldaisle")


@pytest.fixture(scope="module")
def content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of(package: str, content: set[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{package}/__init__.py" in files
    assert files - content == set()


def test_the_wheel_holds_what_the_browser_loads(content: set[str]) -> None:
    vendor = hatch_build.VENDOR.as_posix()
    assert {f"{vendor}/{name}" for name in (*hatch_build.ASSETS.values(), hatch_build.LICENCES)} <= content


def test_the_wheel_holds_nothing_else(content: set[str]) -> None:
    tops = {name.split("/")[0] for name in content}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in content)
