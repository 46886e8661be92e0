"""Our top-level packages carry plain names; nobody else in this environment may own one of them."""

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("facility", "rules", "collectors", "agent", "server", "simulator", "coldaisle")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_owns_our_name(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(package, ()))
    assert owners <= {"coldaisle"}, f"{package} is also installed by {owners - {'coldaisle'}}"
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None, f"{package} has no __init__.py"
    assert Path(spec.origin).parent == ROOT / package
