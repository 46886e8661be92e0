"""The fault matrix: whatever a peer sends, no value that was never there, no crash, and it is read again after it."""

from collections.abc import Iterator

import pytest

from tests.collectors.speaking.snmp_faults import DEADLINE_S, HELD, PLAYS, V3_FAULTS, Verdict, play, play_v3
from tests.support.snmpd import Snmpd


def judge(verdict: Verdict) -> None:
    assert verdict.crashes == 0, verdict.examples
    assert verdict.wrong == 0, verdict.examples
    # It ends: how soon after its deadline depends on how busy the machine is.
    assert verdict.slowest_s < DEADLINE_S + 5
    assert 1 <= verdict.again <= 50, "it was never read again"


@pytest.mark.parametrize(("fault", "version"), PLAYS)
async def test_v1_and_v2c(fault: str, version: str) -> None:
    judge(await play(fault, version))


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    served = [(oid, "integer", value) for oid, value in HELD.items()]
    with Snmpd(tmp_path_factory.mktemp("faults"), overrides=served) as running:
        yield running


@pytest.mark.peer("snmpd")
@pytest.mark.parametrize("fault", V3_FAULTS)
async def test_v3(agent: Snmpd, fault: str) -> None:
    judge(await play_v3(fault, agent))
