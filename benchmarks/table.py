"""The tables of ``benchmarks/README.md``, made from ``baseline.json``: no figure in them is written by hand."""

from pathlib import Path

from benchmarks.measure import UNITS, shown
from benchmarks.results import Measured, Results
from benchmarks.targets import TARGETS

BASELINE = Path(__file__).with_name("baseline.json")
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- begin: python -m benchmarks table -->", "<!-- end -->"
HEAD = "| what | median | least | most | unit | reference | target |\n| --- | ---: | ---: | ---: | --- | ---: | --- |"
SPREAD_OUT = ("stages", "larger")
"""Benchmarks of whose figures those that are called ``what: of which size`` are a table of what by size."""


def table(results: Results) -> str:
    """Return the tables in Markdown: a heading, where and with what, and one a benchmark."""
    machine, versions = results.machine, results.versions
    made_on = f"On {machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB; "
    made_with = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [f"{made_on}{made_with}."]
    for benchmark in dict.fromkeys(each.benchmark for each in results.figures):
        figures = [each for each in results.figures if each.benchmark == benchmark]
        spread = [each for each in figures if benchmark in SPREAD_OUT and ": " in each.name]
        listed = [each for each in figures if each not in spread]
        parts.append(f"**{benchmark}**")
        parts += [show(some) for show, some in ((_listed, listed), (_spread_out, spread)) if some]
    return "\n\n".join(parts)


def _listed(figures: list[Measured]) -> str:
    return "\n".join([HEAD, *map(row, figures)])


def row(figure: Measured) -> str:
    """Return a figure as a row of its table."""
    numbers = " | ".join(shown(value) for value in (figure.median, figure.least, figure.most))
    return f"| {figure.name} | {numbers} | {figure.unit} | {shown(figure.reference[0])} | {judged(figure)} |"


def judged(figure: Measured) -> str:
    """Return the figure's target, and whether it is met; nothing without one."""
    target = TARGETS.get(figure.key)
    if target is None:
        return ""
    more = UNITS[figure.unit].better == "more"
    met = figure.median >= target if more else figure.median <= target
    return f"{'≥' if more else '≤'} {target:g}: {'met' if met else '**missed**'}"


def _spread_out(figures: list[Measured]) -> str:
    usual = figures[0].unit
    whats = list(dict.fromkeys((each.name.partition(": ")[0], each.unit) for each in figures))
    sizes = list(dict.fromkeys(each.name.partition(": ")[2] for each in figures))
    medians = {(each.name, each.unit): f"{shown(each.median)} {judged(each)}".rstrip() for each in figures}
    lines = [
        f"Medians, {usual} unless another unit is said:",
        "",
        f"| what | {' | '.join(sizes)} |",
        f"| --- |{' ---: |' * len(sizes)}",
        *(
            f"| {what if unit == usual else f'{what}, {unit}'} | "
            f"{' | '.join(medians.get((f'{what}: {size}', unit), '') for size in sizes)} |"
            for what, unit in whats
        ),
        f"| *reference, µs CPU an event* | {' | '.join(_reference(figures, size) for size in sizes)} |",
    ]
    return "\n".join(lines)


def _reference(figures: list[Measured], size: str) -> str:
    beside = sorted(each.reference[0] for each in figures if each.name.partition(": ")[2] == size)
    return shown(beside[len(beside) // 2])


def placed(text: str, made: str) -> str:
    """Return ``text`` with ``made`` between the markers. ValueError if they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        message = f"no {BEGIN} and {END}"
        raise ValueError(message)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"
