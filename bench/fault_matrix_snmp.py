"""What comes of each fault an SNMP peer can have: one table.

`python -m bench.fault_matrix_snmp`. The faults and how they are judged are those of the tests
(`tests/collectors/speaking/snmp_faults.py`): v1 and v2c by a peer of our own, v3 by a relay before net-snmp's agent.
Needs snmpd.
"""

import asyncio
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.collectors.speaking.snmp_faults import HELD, PLAYS, POLLS, V3_FAULTS, Verdict, play, play_v3
from tests.support.snmpd import Snmpd


async def main() -> None:
    print(f"python {platform.python_version()}, gufo-snmp {version('gufo-snmp')}, {POLLS} polls under each fault\n")
    print("| fault | version | right | bad | wrong | crashes | requests | slowest poll s | read again after |")
    print("|---|---|---|---|---|---|---|---|---|")
    verdicts = [_said(await play(fault, spoken)) for fault, spoken in PLAYS]
    served = [(oid, "integer", value) for oid, value in HELD.items()]
    with tempfile.TemporaryDirectory() as folder, Snmpd(Path(folder), overrides=served) as agent:
        verdicts += [_said(await play_v3(fault, agent)) for fault in V3_FAULTS]
    wrong, crashes = sum(each.wrong for each in verdicts), sum(each.crashes for each in verdicts)
    print(f"\n{len(verdicts)} runs: {wrong} wrong values, {crashes} crashes")


def _said(verdict: Verdict) -> Verdict:
    again = "a minute" if verdict.waited else f"{verdict.again} polls"
    cells = (
        verdict.fault,
        verdict.version,
        verdict.right,
        verdict.bad,
        verdict.wrong,
        verdict.crashes,
        verdict.requests,
        f"{verdict.slowest_s:.2f}",
        again if verdict.again else "never",
    )
    print("| " + " | ".join(str(cell) for cell in cells) + " |")
    return verdict


if __name__ == "__main__":
    asyncio.run(main())
