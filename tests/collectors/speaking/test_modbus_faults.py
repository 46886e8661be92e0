"""The fault matrix: whatever a peer sends, no wrong value is stored, nothing crashes, and all is right afterwards."""

import pytest

from tests.collectors.speaking.modbus_faults import Transport, matrix


@pytest.mark.parametrize("transport", list(Transport))
async def test_no_fault_makes_a_wrong_value_or_a_crash_and_all_recover(transport: Transport) -> None:
    verdicts = await matrix(transport)
    assert len(verdicts) > 40
    assert [verdict for verdict in verdicts if not verdict.passed] == []
