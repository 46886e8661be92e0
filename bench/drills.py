"""From a fault in the simulated room to a ticket at the centre: `python bench/drills.py [--runs 10]`.

Each run is a fresh demo of its own: all programs started, the scripted fault caused once every device is seen, the
ticket awaited. Prints a row a run, then p50 and worst.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
GIVE_UP_S = 120.0


def ask(url: str, token: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with DIRECT.open(request, timeout=5) as answer:
        return json.loads(answer.read())


def one_run(number: int) -> tuple[float, float, str]:
    """(seconds from start to ticket, seconds from fault to ticket, ticket's title)."""
    with tempfile.TemporaryDirectory(prefix="coldaisle-drill-") as folder:
        command = [sys.executable, "-m", "coldaisle", "demo", "--data", folder, "--port", "0"]
        started = time.monotonic()
        demo = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            ticket, facts = await_ticket(Path(folder) / "demo.json", started)
            since_start = time.monotonic() - started
        finally:
            demo.terminate()
            demo.wait(timeout=30)
    opened, fault = (datetime.fromisoformat(text) for text in (ticket["opened_at"], facts["fault_at"]))
    return since_start, (opened - fault).total_seconds(), f"{ticket['number']} {ticket['title']}"


def await_ticket(file: Path, started: float) -> tuple[dict[str, Any], dict[str, Any]]:
    while time.monotonic() - started < GIVE_UP_S:
        time.sleep(0.2)
        if not file.exists():
            continue
        facts = json.loads(file.read_text())
        if "fault" not in facts:
            continue
        page = ask(f"{facts['server_url']}/api/v1/tickets?device={facts['fault']['device']}", facts["api_token"])
        if page["items"]:
            # The list is newest first; the first ticket of the fault is the one opened first.
            return min(page["items"], key=lambda ticket: str(ticket["opened_at"])), facts
    raise SystemExit(f"no ticket within {GIVE_UP_S} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    print(f"coldaisle {version('coldaisle')}, Python {platform.python_version()}, {platform.machine()}")
    print(f"{'run':>3} {'start to ticket s':>18} {'fault to ticket s':>18}  ticket")
    delays, totals = [], []
    for number in range(1, runs + 1):
        total, delay, title = one_run(number)
        delays.append(delay)
        totals.append(total)
        print(f"{number:>3} {total:>18.1f} {delay:>18.1f}  {title}", flush=True)
    print(f"p50 {statistics.median(totals):>18.1f} {statistics.median(delays):>18.1f}")
    print(f"max {max(totals):>18.1f} {max(delays):>18.1f}")


if __name__ == "__main__":
    main()
