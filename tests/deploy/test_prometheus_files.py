"""The shipped Prometheus configuration and rules, judged by Prometheus' own tool and by what the programs export."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.peers import require

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
SOURCES = Path(__file__).parents[2]


@pytest.mark.peer("prometheus")
def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    checked = subprocess.run(
        [require("promtool"), "check", "config", str(FOLDER / "prometheus.yml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "7 rules found" in checked.stdout + checked.stderr


def test_every_metric_of_a_rule_is_written_by_a_program() -> None:
    """The programs build names from parts ("coldaisle_agent_" + name), so the last part must stand in their source."""
    code = "\n".join(path.read_text() for package in ("agent", "server") for path in (SOURCES / package).rglob("*.py"))
    rules = yaml.safe_load((FOLDER / "coldaisle-rules.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        for name in re.findall(r"coldaisle_(?:agent|server)_([a-z0-9_]+?)(?:_total)?\b", rule["expr"]):
            assert f'{name}"' in code, f"{rule['alert']}: nothing exports {name}"
