"""Run the benchmarks: ``python -m benchmarks [--quick] [--output FILE] [NAME...]``.

``python -m benchmarks compare BASE NEW`` fails where the second is worse; ``python -m benchmarks table`` writes the
tables of the README from the baseline.

A benchmark is a module with ``figures(quick=...)``. It is imported when it runs, for what it imports would be in
the memory of those that measure memory.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import compare, results, table
from benchmarks.measure import Figure, Reference, between, referred

USUAL = ("starting", "catching", "steady", "flat", "stages", "watching", "publishing")
"""Ten minutes."""
QUICK = ("starting", "catching", "steady", "stages")
"""A minute."""
BY_NAME = ("filtering", "quotas", "chaining", "sparing", "restart", "idle", "soak", "archiving", "larger")
"""What is looked at where it is changed; what takes longer, or needs a machine of its own."""


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; return the exit code."""
    if arguments[:1] == ["compare"]:
        return _compare(*_paths(arguments[1:]))
    if arguments == ["table"]:
        made = table.table(results.read(table.BASELINE))
        table.README.write_text(table.placed(table.README.read_text(encoding="utf-8"), made), encoding="utf-8")
        return 0
    _measure(arguments)
    return 0


def _paths(arguments: Sequence[str]) -> tuple[Path, Path]:
    parser = argparse.ArgumentParser(prog="benchmarks compare", description="Fail if NEW is worse than BASE by 20 %.")
    for name in ("base", "new"):
        parser.add_argument(name, metavar=name.upper(), type=Path)
    asked = parser.parse_args(arguments)
    return asked.base, asked.new


def _compare(base: Path, new: Path) -> int:
    comparison = compare.compare(results.read(base), results.read(new))
    print(compare.report(comparison))
    return 1 if comparison.worse else 0


def _measure(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure, and print a table of the figures.")
    parser.add_argument("--quick", action="store_true", help="fewer events and runs: rough figures in a minute")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write them; figures of other benchmarks are kept")
    known = dict.fromkeys((*USUAL, *QUICK, *BY_NAME))
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(known)} (without: not {', '.join(BY_NAME)})"
    )
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    there = results.here()
    if asked.output and asked.output.exists():
        found = results.read(asked.output)
        if msgspec.structs.replace(found, figures=[]) != there:
            parser.error(f"{asked.output} is of another machine or of other versions; remove it, or name another")
        there = found
    for name in asked.names or (QUICK if asked.quick else USUAL):
        figures = list(_figures(name, quick=asked.quick))
        there = there.replaced(figures)
        there.by_key()
        if asked.output:
            results.write(asked.output, there)


def _figures(name: str, *, quick: bool) -> Iterator[results.Measured]:
    """Run a benchmark and print what it yields, each figure with the reference before and after it."""
    print(f"\n**{name}**\n\n{table.HEAD}")
    before = referred()
    for figure in importlib.import_module(f"benchmarks.{name}").figures(quick=quick):
        after = referred()
        measured = results.measured(name, _referred(figure, between(before, after)))
        print(table.row(measured), flush=True)
        yield measured
        before = after


def _referred(figure: Figure, beside: Reference) -> Figure:
    return figure if figure.reference else figure._replace(reference=beside)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
