"""Modbus peers that misbehave, over TCP, RTU over TCP and a serial line: `python bench/fault_matrix_modbus.py`.

One row a fault and transport: values that were right, refused and wrong while the peer misbehaved, why they were
refused, and how many polls it took until all was right again. Ends with 1 if any value was wrong or anything escaped.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.collectors.speaking.modbus_faults import Transport, matrix


def main() -> int:
    failed = 0
    verdicts = []
    for transport in Transport:
        verdicts += asyncio.run(matrix(transport))
    print("| fault | transport | right | refused | wrong | reasons | polls to recover | crash |")
    print("|---|---|---|---|---|---|---|---|")
    for each in sorted(verdicts, key=lambda verdict: verdict.fault):
        failed += not each.passed
        recovered = "never" if each.recovered is None else each.recovered
        print(
            f"| {each.fault} | {each.transport} | {each.right} | {each.bad} | {each.wrong} | "
            f"{', '.join(each.reasons)} | {recovered} | {each.crash} |"
        )
    wrong, crashes = sum(each.wrong for each in verdicts), sum(bool(each.crash) for each in verdicts)
    print(f"\n{len(verdicts)} cases: {wrong} wrong values, {crashes} crashes, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
