"""Recordings are found by the environment or beside the repository, and their absence is a skip, never a failure."""

from pathlib import Path

import pytest

from tests.support import recordings


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLDAISLE_RECORDINGS", str(tmp_path))
    assert recordings.folder() == tmp_path
    assert recordings.require_recordings() == tmp_path


def test_an_absent_folder_skips_even_where_peers_are_required(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLDAISLE_REQUIRE_PEERS", "1")
    monkeypatch.setenv("COLDAISLE_RECORDINGS", str(tmp_path / "absent"))
    assert recordings.folder() is None
    with pytest.raises(pytest.skip.Exception, match="COLDAISLE_RECORDINGS"):
        recordings.require_recordings()
