"""Spoilt inputs for everything that reads bytes of strangers: `python -m bench.fuzz --target snmp --minutes 10`.

Hypothesis makes them out of good ones. Counted: inputs, crashes (anything but the refusals a reader is meant to give,
kept once for each place they come from, with the smallest input), hangs (an input over `SLOW_S`), and growth of memory.
Ends with 1 if there was any. `--seed` repeats a run.
"""

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from types import FrameType
from typing import Annotated, Any

import typer
from hypothesis import HealthCheck, Phase, given, seed, settings

from bench.fuzz_readers import PointTables, Profiles, Wire
from bench.fuzz_speakers import Modbus, Snmp, Traps
from bench.fuzz_target import Target

TARGETS: dict[str, Callable[[], Target]] = {
    "snmp": Snmp,
    "modbus": Modbus,
    "profile": Profiles,
    "pointtable": PointTables,
    "wire": Wire,
    "traps": Traps,
}
SLOW_S = 1.0
# A loop that never ends is broken off after this; one inside a library in C ends the run, with a traceback.
BREAK_OFF_S, GIVE_UP_S = 20, 60
ROUND = 400
# What one input may leave behind after a first round has filled every cache; beyond it memory is not bounded.
GROWTH_MB = 64
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Hung(BaseException):
    """Raised into an input that runs for too long; no `except Exception` of a reader may swallow it."""


@dataclass
class Finding:
    what: str
    smallest: str
    trace: str
    times: int = 0


@dataclass
class Run:
    """One target for some minutes."""

    target: Target
    inputs: int = 0
    slow: int = 0
    slowest_s: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)

    def feed(self, value: Any) -> None:
        self.inputs += self.target.per_input
        faulthandler.dump_traceback_later(GIVE_UP_S, exit=True)
        signal.alarm(BREAK_OFF_S)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            self.outcomes[self.target.feed(value)] += 1
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt | SystemExit):
                raise
            self._found(exc, value)
        finally:
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
        # Others want the processor too: only where the target waits for a peer does time on the wall say anything.
        took = time.perf_counter() - wall if self.target.waits else time.process_time() - cpu
        self.slowest_s = max(self.slowest_s, took)
        if took > SLOW_S + self.target.allowed_s:
            self.slow += 1
            self._keep("slow", value, f"{took:.1f} s")

    def _found(self, exc: BaseException, value: Any) -> None:
        at = traceback.extract_tb(exc.__traceback__)[-1]
        self._keep(
            f"{type(exc).__name__} at {at.filename}:{at.lineno}", value, "".join(traceback.format_exception(exc))
        )

    def _keep(self, what: str, value: Any, trace: str) -> None:
        known = self.findings.setdefault(what, Finding(what, repr(value), trace))
        known.times += 1
        if len(repr(value)) < len(known.smallest):
            known.smallest, known.trace = repr(value), trace


def _break_off(_number: int, _frame: FrameType | None) -> None:
    raise Hung


def memory_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE_MB


app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main(
    target: Annotated[str, typer.Option(help=", ".join(TARGETS))],
    minutes: Annotated[float, typer.Option(help="How long.")] = 10.0,
    begin: Annotated[int, typer.Option("--seed", help="The first round's seed.")] = 1,
) -> None:
    """Feed one target with spoilt inputs."""
    signal.signal(signal.SIGALRM, _break_off)
    run = Run(TARGETS[target]())
    until = time.monotonic() + minutes * 60
    memory: list[float] = []
    rounds = 0
    while time.monotonic() < until:

        @seed(begin + rounds)
        @settings(
            max_examples=ROUND // run.target.per_input,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(run.target.inputs)
        def one_round(value: Any) -> None:
            if time.monotonic() < until:
                run.feed(value)

        one_round()
        rounds += 1
        memory.append(memory_mb())
    run.target.close()
    grown = memory[-1] - memory[min(len(memory) - 1, 3)]
    for each in run.findings.values():
        print(f"\n=== {each.what}, {each.times} times\n{each.smallest[:3000]}\n{each.trace[-3000:]}")
    words = ", ".join(f"{word} {count}" for word, count in run.outcomes.most_common())
    print(f"\nPython {sys.version.split()[0]}, hypothesis {version('hypothesis')}; outcomes: {words}")
    print("| target | minutes | inputs | crashes | slow | slowest s | memory MB | grown MB |")
    print("|---|---|---|---|---|---|---|---|")
    crashes = sum(each.times for each in run.findings.values()) - run.slow
    print(
        f"| {target} | {minutes:g} | {run.inputs} | {crashes} | {run.slow} | {run.slowest_s:.2f} | "
        f"{max(memory):.0f} | {grown:.1f} |"
    )
    raise typer.Exit(int(bool(run.findings) or grown > GROWTH_MB))


if __name__ == "__main__":
    app()
