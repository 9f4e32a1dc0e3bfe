"""Run the benchmarks and print their table: ``python -m benchmarks [--quick] [NAME...]``.

A benchmark is a module with ``figures(quick=...)``. It is imported when it runs, for what it imports would be in
the memory of those that measure memory.
"""

import argparse
import importlib
import platform
from importlib.metadata import version

NAMES = (
    "catching",
    "path",
    "pipelining",
    "filtering",
    "quotas",
    "correlating",
    "chaining",
    "templating",
    "watching",
    "publishing",
    "memory",
    "idle",
    "soak",
    "restart",
    "archiving",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure, and print a table of the figures.")
    parser.add_argument("--quick", action="store_true", help="fewer events and runs: rough figures in a minute")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(NAMES)} (default: all)")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("polars", "msgspec", "aiohttp", "kubernetes"))
    print(f"Python {platform.python_version()}, {libraries}; median of {3 if asked.quick else 5}\n")
    print("| what | median | least | most | unit |\n| --- | ---: | ---: | ---: | --- |")
    for name in asked.names or NAMES:
        for figure in importlib.import_module(f"benchmarks.{name}").figures(quick=asked.quick):
            print(figure.row(), flush=True)


if __name__ == "__main__":
    main()
