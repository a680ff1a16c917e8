"""Run the benchmarks: ``python -m benchmarks [--only NAME]``; see ``benchmarks.harness``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import harness


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write the results; 1 when one failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="each figure beside its peer")
    parser.add_argument("--only", metavar="NAME", help="run this benchmark alone")
    parser.add_argument("--list", action="store_true", help="only name the benchmarks")
    parser.add_argument("--folder", type=Path, default=harness.FOLDER, help="where bench_*.py are")
    parser.add_argument("--output", type=Path, help="results file (results.json in the folder)")
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        name, what, answer = options.part
        harness.run_part(name, what, Path(answer), folder=options.folder)
        return 0
    known = harness.discover(options.folder)
    if options.list:
        print("\n".join(f"{found.name}: against {found.peer}" for found in known.values()))
        return 0
    if options.only and options.only not in known:
        parser.error(f"no benchmark '{options.only}'; there are: {', '.join(known) or 'none'}")
    if not known:
        print(f"no bench_*.py in {options.folder}: nothing to measure")
    measured: list[harness.Measurement] = []
    failed: list[str] = []
    for name in [options.only] if options.only else known:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            measured.append(harness.measure(name, folder=options.folder))
        except harness.BenchmarkError as problem:
            print(f"benchmarks: {problem}", file=sys.stderr)
            failed.append(name)
    output = options.output or options.folder / "results.json"
    if measured:
        print(f"{harness.table(measured)}\n\n{harness.machine()}")
        harness.write_results(measured, output, keep=bool(options.only))
        print(f"written: {output}")
    if failed:
        print(f"benchmarks: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
