"""The readers of `bench.fuzz` take spoilt inputs: a short run of each, always the same, to find what breaks at once."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from bench.fuzz_readers import PointTables, Profiles, Wire
from bench.fuzz_speakers import Modbus, Traps
from bench.fuzz_target import Target


@pytest.mark.parametrize(
    "reader", [Modbus, PointTables, Profiles, pytest.param(Traps, marks=pytest.mark.peer("snmpd")), Wire]
)
def test_a_spoilt_input_is_read_or_refused(reader: type[Target]) -> None:
    target = reader()
    outcomes = set()

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.inputs)
    def feed(value: Any) -> None:
        outcomes.add(target.feed(value))

    try:
        feed()
    finally:
        target.close()
    assert len(outcomes) > 1, "some are read, some are not"
