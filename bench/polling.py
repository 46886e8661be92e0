"""What polling costs: the whole agent beside Debian's snmp_exporter with Prometheus, and collectd, on the same devices.

`python -m bench.polling [--devices 300] [--interval 10] [--seconds 60] [--v3]`. net-snmp's agent answers at as many
loopback addresses; each program asks every device for the same 20 numbers, one program after the other, each in a
process of its own whose CPU time and memory are read from the kernel. The agent polls, converts, judges quality and
rules and journals; the exporter formats and Prometheus stores; collectd formats and writes CSV files.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from bench.snmp_dead import ENVIRON, ROOT, VALUES, ManyAddresses, write_site
from tests.support.peers import find, free_port

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """CPU seconds and peak MiB of one program over a window, and the values it collected in it."""

    name: str
    cpu_s: float
    peak_mib: float
    values: float

    @property
    def per_10k(self) -> float:
        return 10_000 * self.cpu_s / self.values if self.values else float("nan")


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_of(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def window(programs: dict[str, subprocess.Popen[bytes]], seconds: float, count: Callable[[], float]) -> list[Cost]:
    """Let running programs work for a while; what each spent, and what they collected meanwhile together."""
    # What a program spends on saying its count is no part of the window.
    first = count()
    before = {name: cpu_of(program.pid) for name, program in programs.items()}
    time.sleep(seconds)
    spent = {name: cpu_of(program.pid) - before[name] for name, program in programs.items()}
    values = count() - first
    return [Cost(name, spent[name], peak_of(program.pid), values) for name, program in programs.items()]


def start(stack: ExitStack, folder: Path, name: str, *command: str, **environ: str) -> subprocess.Popen[bytes]:
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    program = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=os.environ | environ)

    def end() -> None:
        program.terminate()
        program.wait(timeout=20)

    stack.callback(end)
    return program


def figure(url: str, name: str) -> float:
    with DIRECT.open(url, timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def agent(folder: Path, config: Path, environ: dict[str, str], options: argparse.Namespace) -> list[Cost]:
    port = free_port("tcp")
    settings = yaml.safe_load(config.read_text())
    settings["http"] = {"port": port}
    # A rule judges every value: what polling is for.
    (folder / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [{
        "id": "bench-hot", "title": {"en": "Bench hot", "zh": "台架过热"}, "metric": "room.temperature",
        "levels": {"hi": {"limit": 35, "severity": "minor"}}, "source": "made for a measurement"}]}))  # fmt: skip
    settings["rules"] = {"files": ["rules.yaml"]}
    config.write_text(yaml.safe_dump(settings))
    with ExitStack() as stack:
        command = (sys.executable, "-m", "coldaisle", "agent", "run", "--config", str(config))
        program = start(stack, folder, "agent", *command, **environ)
        time.sleep(3 * options.interval)
        url = f"http://127.0.0.1:{port}/metrics"

        def polled() -> float:
            # One reading of each poll is the agent's own word of the device.
            return figure(url, "coldaisle_agent_readings_total") * VALUES / (VALUES + 1)

        return window({"coldaisle agent, whole": program}, options.seconds, polled)


def exporter(folder: Path, addresses: list[str], port: int, options: argparse.Namespace) -> list[Cost]:
    metrics = [{"name": f"bench_{n}", "oid": f"{ROOT}.{n}", "type": "gauge", "help": "bench"} for n in range(VALUES)]
    module = {"get": [f"{ROOT}.{n}.0" for n in range(VALUES)], "metrics": metrics, "max_repetitions": 25}
    if options.v3:
        user = options.user
        module |= {"version": 3, "auth": {
            "username": user.name, "security_level": "authPriv", "password": user.auth_password,
            "auth_protocol": "SHA256", "priv_protocol": "AES", "priv_password": user.priv_password}}  # fmt: skip
    else:
        module |= {"version": 2, "auth": {"community": "public"}}
    (folder / "snmp.yml").write_text(yaml.safe_dump({"bench": module}))
    listen, own = free_port("tcp"), free_port("tcp")
    scrape = {
        "job_name": "snmp", "scrape_interval": f"{options.interval}s", "metrics_path": "/snmp",
        "params": {"module": ["bench"]}, "static_configs": [{"targets": [f"{host}:{port}" for host in addresses]}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"127.0.0.1:{listen}"},
        ],
    }  # fmt: skip
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    with ExitStack() as stack:
        asked = start(
            stack, folder, "exporter", find("prometheus-snmp-exporter") or "", "--config.file=snmp.yml",
            f"--web.listen-address=127.0.0.1:{listen}", "--log.level=error",
        )  # fmt: skip
        asking = start(
            stack, folder, "prometheus", find("prometheus") or "", "--config.file=prometheus.yml",
            f"--web.listen-address=127.0.0.1:{own}", "--storage.tsdb.path=tsdb", "--log.level=error",
        )  # fmt: skip
        time.sleep(3 * options.interval)
        both = {"snmp_exporter": asked, "prometheus": asking}
        # Three more series a target are Prometheus' own, five the exporter's.
        appended = "prometheus_tsdb_head_samples_appended_total"
        return window(both, options.seconds, lambda: figure(f"http://127.0.0.1:{own}/metrics", appended) * VALUES / 28)


def collectd(folder: Path, addresses: list[str], port: int, options: argparse.Namespace) -> list[Cost]:
    data = "\n".join(
        f'<Data "v{n}">\n Type "gauge"\n Table false\n TypeInstance "v{n}"\n Values "{ROOT}.{n}.0"\n</Data>'
        for n in range(VALUES)
    )
    collect = " ".join(f'"v{n}"' for n in range(VALUES))
    hosts = "\n".join(
        f'<Host "d{n}">\n Address "{address}:{port}"\n Version 2\n Community "public"\n Collect {collect}\n'
        f" Interval {options.interval}\n</Host>"
        for n, address in enumerate(addresses)
    )
    (folder / "collectd.conf").write_text(
        f'BaseDir "{folder}"\nPIDFile "{folder}/collectd.pid"\nInterval {options.interval}\nReadThreads 20\n'
        f'LoadPlugin csv\nLoadPlugin snmp\n<Plugin csv>\n DataDir "{folder}/csv"\n</Plugin>\n'
        f"<Plugin snmp>\n{data}\n{hosts}\n</Plugin>\n"
    )

    def lines() -> float:
        return sum(path.read_bytes().count(b"\n") - 1 for path in (folder / "csv").rglob("*-20*"))

    with ExitStack() as stack:
        program = start(stack, folder, "collectd", find("collectd") or "", "-f", "-C", "collectd.conf")
        time.sleep(3 * options.interval)
        return window({"collectd": program}, options.seconds, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=300)
    parser.add_argument("--interval", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--v3", action="store_true", help="SHA-256 and AES-128 in place of v2c (collectd is left out)")
    options = parser.parse_args()
    addresses = [f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(options.devices)]
    port = free_port("udp")
    found: list[Cost] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldaisle-polling-")))
        devices = stack.enter_context(ManyAddresses(folder / "snmpd", addresses, port))
        options.user = devices.v3
        environ = ENVIRON | {"AUTH": devices.v3.auth_password, "PRIV": devices.v3.priv_password}
        config = write_site(
            folder, addresses, port, interval_s=options.interval, user=devices.v3 if options.v3 else None
        )
        found += agent(folder, config, environ, options)
        if find("prometheus-snmp-exporter") and find("prometheus"):
            found += exporter(folder, addresses, port, options)
        if find("collectd") and not options.v3:
            found += collectd(folder, addresses, port, options)
    print(f"coldaisle {version('coldaisle')}, gufo-snmp {version('gufo-snmp')}, Python {platform.python_version()}, "
          f"{os.cpu_count()} cores; {options.devices} devices x {VALUES} values every {options.interval} s for "
          f"{options.seconds} s, {'v3 authPriv' if options.v3 else 'v2c'}")  # fmt: skip
    due = options.devices * VALUES * options.seconds / options.interval
    ours = found[0].per_10k
    print(f"{'program':<26}{'values':>9}{'of due':>8}{'CPU s':>8}{'per 10,000':>12}{'peak MiB':>10}{'ratio':>8}")
    for cost in found:
        print(f"{cost.name:<26}{cost.values:>9,.0f}{cost.values / due:>8.1%}{cost.cpu_s:>8.2f}{cost.per_10k:>12.3f}"
              f"{cost.peak_mib:>10.0f}{ours / cost.per_10k:>8.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
