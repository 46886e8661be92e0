"""Where recorded device walks lie, on machines that have them. They are no part of this repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def folder() -> Path | None:
    """COLDAISLE_RECORDINGS, else `../shared/recordings` beside the repository; None when there is no such folder."""
    named = os.environ.get("COLDAISLE_RECORDINGS")
    place = Path(named) if named else ROOT.parent / "shared" / "recordings"
    return place if place.is_dir() else None


def require_recordings() -> Path:
    """The folder; the test is skipped without it, in CI as well: recordings are not ours to publish."""
    place = folder()
    if place is None:
        pytest.skip("no recorded device walks here (COLDAISLE_RECORDINGS names their folder)")
    return place
