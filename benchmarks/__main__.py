"""Run the benchmarks and print their table: ``python -m benchmarks [--quick]``."""

import argparse
import platform
from importlib.metadata import version

from benchmarks import idle, path, watching


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events and runs: rough figures in a minute")
    quick = parser.parse_args().quick
    runs = 3 if quick else 5
    libraries = ", ".join(f"{name} {version(name)}" for name in ("polars", "msgspec", "aiohttp", "kubernetes"))
    print(f"Python {platform.python_version()}, {libraries}; median of {runs}\n")
    print("| what | median | least | most | unit |\n| --- | ---: | ---: | ---: | --- |")
    for figure in path.figures(runs=runs, sizes=(5_000, 20_000) if quick else (5_000, 20_000, 50_000)):
        print(figure.row(), flush=True)
    for figure in watching.figures(runs=runs, count=20_000 if quick else 100_000):
        print(figure.row(), flush=True)
    if not quick:
        for figure in (*watching.memory(count=1_000_000), *idle.figures(count=10_000)):
            print(figure.row(), flush=True)


if __name__ == "__main__":
    main()
