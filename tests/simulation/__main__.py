"""Runs seeds of the simulation on every core and prints what they came to; a seed with `--trace` replays a failure.

python -m tests.simulation --seeds 1000 [--from 1] [--hours 6]
python -m tests.simulation --seed 17 --trace
"""

import argparse
import concurrent.futures
import os
import sys
import time
from pathlib import Path

from tests.simulation.plan import Fault
from tests.simulation.planted import BUGS
from tests.simulation.run import Result, migrated, run_seed

HEAD = "   seed  cpu sec  lives  readings  lost by kills  refused  alarms  tickets  drained after  violations"


def line(result: Result) -> str:
    return (
        f"{result.seed:7d}  {result.took_s:7.1f}  {result.lives:5d}  {result.readings:8d}  {result.lost:13d}"
        f"  {result.refused:7d}  {result.alarms:6d}  {result.tickets:7d}  {result.drained_s:11.0f} s"
        f"  {len(result.violations):10d}"
    )


def _run(seed: int, databases: str, hours: float, only: list[Fault]) -> Result:
    return run_seed(seed, Path(databases), hours=hours, only=only)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--hours", type=float, default=6.0, help="simulated hours of a run")
    parser.add_argument("--minutes", type=float, help="begin no further seed after so many real minutes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trace", action="store_true", help="with --seed: tell what happens as it happens")
    parser.add_argument("--only", nargs="+", choices=list(Fault), default=list(Fault), help="kinds of faults to draw")
    parser.add_argument("--plant", choices=sorted(BUGS), default="none", help="with --seed: switch a planted bug on")
    args = parser.parse_args()
    with migrated() as databases:
        if args.seed is not None:
            with BUGS[args.plant]():
                result = run_seed(
                    args.seed, databases, hours=args.hours, only=args.only, trace=print if args.trace else None
                )
            print(*(str(fault) for fault in result.faults), HEAD, line(result), *result.violations, sep="\n")
            return 1 if result.violations else 0
        return _many(args, databases)


def _many(args: argparse.Namespace, databases: Path) -> int:
    began = time.monotonic()
    seeds = iter(range(args.first, args.first + args.seeds))
    done: list[Result] = []
    print(HEAD, flush=True)
    with concurrent.futures.ProcessPoolExecutor(args.workers) as pool:
        running: set[concurrent.futures.Future[Result]] = set()
        while True:
            late = args.minutes is not None and time.monotonic() - began > args.minutes * 60
            while not late and len(running) < args.workers and (seed := next(seeds, None)) is not None:
                running.add(pool.submit(_run, seed, str(databases), args.hours, args.only))
            if not running:
                break
            ended, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                result = future.result()
                done.append(result)
                print(line(result), *(f"         {text[:400]}" for text in result.violations), sep="\n", flush=True)
    took = time.monotonic() - began
    bad = sorted(result.seed for result in done if result.violations)
    print(
        f"{len(done)} seeds of {args.hours:g} simulated hours in {took / 60:.1f} min,"
        f" {sum(result.took_s for result in done) / max(len(done), 1):.1f} s of the processor each;"
        f" {sum(result.readings for result in done)} readings, {sum(result.lost for result in done)} lost within the"
        f" bound of kills, {sum(result.refused for result in done)} refused for a clock that was ahead,"
        f" {sum(result.alarms for result in done)} alarms, {sum(result.tickets for result in done)} tickets;"
        f" seeds with violations: {bad or 'none'}"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets would else differ from one run of a seed to the next.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
