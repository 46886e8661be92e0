"""What a demo says to its devices, as it stands on the wire: `python -m bench.capture [--seconds 15]`. Needs root.

Starts a demo of its own, captures its device and trap ports on loopback from before the agent's first word on, runs
drills, and lets Wireshark's dissectors count SNMP PDU types (v3 decrypted with the demo's keys) and Modbus function
codes. Ends with 1 if anything could change a device, if a packet was lost or not understood, or if the agent counted
more requests than were seen. Needs tcpdump and tshark (Debian packages of these names).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

DRILLS = ("mains-failure", "crac-failure", "link-cut", "device-dead", "clear")
START_S = 60.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# RFC 3416 section 3, the tags of the PDUs' choice; 3 is the one that writes.
PDUS = {
    0: "GetRequest", 1: "GetNextRequest", 2: "Response", 3: "SetRequest", 4: "Trap (v1)", 5: "GetBulkRequest",
    6: "InformRequest", 7: "Trap (v2)", 8: "Report",
}  # fmt: skip
SNMP_MAY = {0, 1, 2, 5, 6, 7, 8}
VERSIONS = {"0": "v1", "1": "v2c", "3": "v3"}
FUNCTIONS = {1: "read coils", 2: "read discrete inputs", 3: "read holding registers", 4: "read input registers"}
NOT_DECODED = -1
AUTH = {"sha256": "SHA2-256", "sha1": "SHA1", "md5": "MD5"}
PRIV = {"aes128": "AES", "des": "DES"}

console = Console(width=120)
Row = tuple[str, str, int]  # protocol, direction, PDU type or function code


@dataclass(frozen=True, slots=True)
class Ports:
    """Where devices and the trap receiver listen. user: of SNMPv3, as a row of Wireshark's table of users."""

    snmp: frozenset[int]
    modbus: frozenset[int]
    traps: int
    user: str

    @property
    def expression(self) -> str:
        """The capture's filter."""
        udp = " or ".join(f"udp port {port}" for port in sorted({*self.snmp, self.traps}))
        return f"{udp} or " + " or ".join(f"tcp port {port}" for port in sorted(self.modbus))


def ports_of(config: Path) -> Ports:
    """From the configuration the demo writes for its agent."""
    data: dict[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8"))
    modbus = {each["port"] for each in data["devices"] if "unit" in each}
    snmp = {each["port"] for each in data["devices"] if "unit" not in each}
    given = next(each for each in data["credentials"].values() if each["snmp"] == "v3")
    auth, priv = (Path(given[key]["file"]).read_text() for key in ("auth_password", "priv_password"))
    words = ("", given["user"], AUTH[given["auth"]], auth, PRIV[given["priv"]], priv)
    listen = int(data["traps"]["listen"].rpartition(":")[2])
    return Ports(frozenset(snmp), frozenset(modbus), listen, ",".join(f'"{word}"' for word in words))


@contextmanager
def demo(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "coldaisle", "demo", "--data", str(folder), "--port", "0", "--no-fault"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait(timeout=30)


@contextmanager
def captured(ports: Ports, file: Path) -> Iterator[list[str]]:
    """Packets go to `file`; yields a list that holds tcpdump's own count when it is over."""
    command = ["tcpdump", "-i", "lo", "-s", "0", "-B", "16384", "-U", "-Z", "root", "-w", str(file), ports.expression]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    said: list[str] = []
    while not said or "listening on" not in said[-1]:
        line = running.stderr.readline()
        if not line:
            raise SystemExit(f"tcpdump cannot capture: {' '.join(said).strip()}")
        said.append(line)
    try:
        yield said
    finally:
        running.send_signal(signal.SIGINT)
        said.append(running.communicate(timeout=30)[1])


def wait_for(what: str, file: Path, key: str = "") -> dict[str, Any]:
    """A file of the demo once it is there (and says `key`); the pace is that of a start."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if file.exists():
            if not key:
                return {}
            facts: dict[str, Any] = json.loads(file.read_text())
            if key in facts:
                return facts
        time.sleep(0.005)
    raise SystemExit(f"{what} did not come within {START_S:g} s")


def polled(url: str, counter: str) -> int:
    """A counter of the agent; 0 while it does not answer yet."""
    try:
        with DIRECT.open(url, timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0
    return round(sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(counter)))


def drilled(facts: dict[str, Any], seconds: float) -> int:
    """Runs the drills once the agent polls; how many requests the agent had counted at the end."""
    url = facts["agent_metrics_url"]
    deadline = time.monotonic() + START_S
    while polled(url, "coldaisle_agent_requests_total") < 1:
        if time.monotonic() > deadline:
            raise SystemExit("the agent did not begin to poll")
        time.sleep(0.2)
    for name in DRILLS:
        time.sleep(seconds)
        console.print(f"drill {name}")
        command = [sys.executable, "-m", "coldaisle", "drill", "run", name, "--simulator", facts["simulator_url"]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    return polled(url, "coldaisle_agent_requests_total")


def dissected(file: Path, ports: Ports) -> Counter[Row]:
    """Every PDU of the capture, counted."""
    told = [f"udp.port=={port},snmp" for port in sorted({*ports.snmp, ports.traps})]
    told += [f"tcp.port=={port},mbtcp" for port in sorted(ports.modbus)]
    fields = ("udp.dstport", "tcp.dstport", "tcp.len", "snmp.version", "snmp.msgVersion", "snmp.data",
              "mbtcp.trans_id", "modbus.func_code", "tcp.analysis.retransmission")  # fmt: skip
    command = ["tshark", "-n", "-r", str(file), "-o", f"uat:snmp_users:{ports.user}"]
    command += [word for each in told for word in ("-d", each)]
    command += ["-T", "fields", *(word for field in fields for word in ("-e", field))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    counted: Counter[Row] = Counter()
    for line in done.stdout.splitlines():
        to_udp, to_tcp, length, version, v3, pdu, frames, functions, again = line.split("\t")
        if to_udp:
            port = int(to_udp)
            way = "to a device" if port in ports.snmp else "trap" if port == ports.traps else "from a device"
            name = f"SNMP {VERSIONS.get(version or v3, '?')}"
            counted[name, way, int(pdu) if pdu else NOT_DECODED] += 1
        elif int(length or 0) and not again:
            way = "to a device" if int(to_tcp) in ports.modbus else "from a device"
            codes = [int(code, 0) for code in functions.split(",") if code]
            # As many as there are frames, or one was not understood.
            for code in codes or [NOT_DECODED]:
                counted["Modbus TCP", way, code] += 1
            if len(codes) < len([each for each in frames.split(",") if each]):
                counted["Modbus TCP", way, NOT_DECODED] += 1
    return counted


def shown(counted: Counter[Row]) -> None:
    table = Table("protocol", "direction", "type", "count", title="PDUs on the wire")
    for (protocol, way, kind), count in sorted(counted.items()):
        names = PDUS if protocol.startswith("SNMP") else FUNCTIONS
        word = "not decoded" if kind == NOT_DECODED else f"{kind} {names.get(kind, '')}"
        table.add_row(protocol, way, word, str(count))
    console.print(table)


def problems(counted: Counter[Row], lost: int, requests: int) -> Iterator[str]:
    """What would keep this from being a proof, or be the contrary of one."""
    may = {"SNMP": SNMP_MAY, "Modb": set(FUNCTIONS)}
    for (protocol, way, kind), count in counted.items():
        if kind not in may[protocol[:4]]:
            yield f"{count} of {protocol} {way} are of kind {kind}"
    seen = sum(count for (_, way, _), count in counted.items() if way == "to a device")
    if seen < requests:
        yield f"the agent counted {requests} requests, {seen} were seen"
    if lost:
        yield f"{lost} packets were dropped by the capture"
    for wanted in ("SNMP v2c", "SNMP v3", "Modbus TCP"):
        if not any(protocol == wanted and way == "to a device" for protocol, way, _ in counted):
            yield f"no {wanted} was seen: nothing is proved"


def main(seconds: Annotated[float, typer.Option(help="Before, between and after the drills.")] = 15.0) -> None:
    """Capture a demo with drills, and count what was said."""
    missing = [name for name in ("tcpdump", "tshark") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        raise SystemExit(f"needs root and, on the path: {', '.join(missing) or 'tcpdump, tshark'} (apt install them)")
    with tempfile.TemporaryDirectory(prefix="coldaisle-capture-") as name:
        folder, file = Path(name) / "demo", Path(name) / "demo.pcap"
        with demo(folder):
            # The configuration is there before the agent's process is begun, which takes longer to start than tcpdump.
            wait_for("the agent's configuration", folder / "agent.yaml")
            facts_file = folder / "demo.json"
            wait_for("demo.json", facts_file, "agent_metrics_url")
            ports = ports_of(folder / "agent.yaml")
            with captured(ports, file) as said:
                console.print(f"capture filter: {ports.expression}")
                requests = drilled(json.loads(facts_file.read_text()), seconds)
                time.sleep(1)
        counts = {word: int(number) for number, word in re.findall(r"(\d+) packets? (captured|dropped)", said[-1])}
        counted = dissected(file, ports)
    shown(counted)
    writes = sum(n for (p, _, kind), n in counted.items() if p.startswith("SNMP") and kind == 3)
    other = sum(n for (p, _, kind), n in counted.items() if p.startswith("Modbus") and kind not in FUNCTIONS)
    version = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    console.print(f"{version}; {counts.get('captured')} packets, {counts.get('dropped')} dropped")
    console.print(
        f"the agent counted {requests} requests; SNMP SET: {writes}; Modbus functions other than 1 to 4: {other}"
    )
    wrong = list(problems(counted, counts.get("dropped", 1), requests))
    for line in wrong:
        console.print(f"[red]{line}[/]")
    raise typer.Exit(int(bool(wrong)))


if __name__ == "__main__":
    typer.run(main)
