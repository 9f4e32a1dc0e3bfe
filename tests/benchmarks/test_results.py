"""The file that a run of the benchmarks leaves, and the tables made from it."""

import ast
from pathlib import Path

import pytest

import benchmarks.table
from benchmarks.__main__ import BY_NAME, QUICK, USUAL
from benchmarks.measure import UNITS, Figure, Reference, figure
from benchmarks.results import Machine, Measured, Results, here, measured, read, write
from benchmarks.table import BASELINE, README, placed, row, table
from benchmarks.targets import TARGETS

FOLDER = Path(benchmarks.table.__file__).parent
MACHINE = Machine("a processor", 2, 24)


def aimed(median: float) -> Measured:
    """A figure that has a target of 18 µs."""
    return Measured("catching", "1,000,000 events, 64 KiB a chunk", "µs CPU an event", median, 1, 99, (2, 3))


def one(benchmark: str, name: str, median: float = 1) -> Measured:
    return Measured(benchmark, name, "µs CPU a row", median, median - 1, median + 1, (2, 3))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    results = Results(MACHINE, {"polars": "2.1.0"}, [one("stages", "decode", 2.5), one("flat", "little", 1234.5)])
    write(tmp_path / "results.json", results)
    assert read(tmp_path / "results.json") == results
    assert len((tmp_path / "results.json").read_text(encoding="utf-8").splitlines()) == 4


def test_no_figures_are_written_and_read_again_too(tmp_path: Path) -> None:
    write(tmp_path / "results.json", Results(MACHINE, {}))
    assert read(tmp_path / "results.json") == Results(MACHINE, {})


def test_a_file_that_is_no_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"results\.json: Object missing required field"):
        read(tmp_path / "results.json")


def test_a_benchmark_that_ran_again_replaces_all_it_had_and_nothing_else() -> None:
    before = Results(MACHINE, {}, [one("stages", "gone"), one("flat", "kept")])
    after = before.replaced([one("stages", "new")])
    assert [each.name for each in after.figures] == ["kept", "new"]


def test_two_figures_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="decode"):
        Results(MACHINE, {}, [one("stages", "decode"), one("stages", "decode")]).by_key()


def test_a_run_says_its_machine_and_the_versions_that_decide() -> None:
    run = here()
    assert run.machine.cores >= 1
    assert run.machine.memory_gib >= 1
    assert [*run.versions] == ["python", "polars", "pyarrow", "deltalake", "msgspec", "aiohttp", "kubernetes"]


def test_a_figure_in_a_unit_of_which_nobody_knows_what_is_better_is_refused() -> None:
    with pytest.raises(KeyError, match="furlongs"):
        figure("distance", "furlongs", [1.0])


def test_a_figure_needs_a_reference_beside_it() -> None:
    with pytest.raises(ValueError, match="decode"):
        measured("stages", Figure("decode", "µs CPU a row", 1, 1, 1))
    told = measured("stages", Figure("decode", "µs CPU a row", 1, 1, 1, Reference(2, 3)))
    assert told.reference == (2, 3)


def test_a_row_shows_the_spread_the_reference_and_the_target() -> None:
    assert row(one("stages", "decode", 12.34)) == "| decode | 12.3 | 11.3 | 13.3 | µs CPU a row | 2.00 |  |"
    assert row(aimed(18)).endswith("| µs CPU an event | 2.00 | ≤ 18: met |")
    assert row(aimed(18.1)).endswith("| µs CPU an event | 2.00 | ≤ 18: **missed** |")


def test_a_target_of_what_is_better_more_is_met_from_there_on() -> None:
    key = ("watching", "the first ÷ the second, 64 KiB a chunk, run by run", "times better")
    assert row(Measured(*key, 8.0, 8, 8, (2, 3))).endswith("| ≥ 8: met |")
    assert row(Measured(*key, 7.9, 8, 8, (2, 3))).endswith("| ≥ 8: **missed** |")


def test_stages_are_shown_by_size() -> None:
    figures = [one("stages", f"{what}: {size} rows", cost) for what, size, cost in (
        ("decode", "10", 1.5), ("fold", "10", 2.5), ("fold", "100", 20.5),
    )]  # fmt: skip
    figures.append(Measured("stages", "fold: 100 rows", "s", 0.5, 0.4, 0.6, (2, 3)))
    assert table(Results(MACHINE, {"polars": "2.1.0"}, figures)).splitlines() == [
        "On a processor, 2 cores, 24 GiB; polars 2.1.0.",
        "",
        "**stages**",
        "",
        "Medians, µs CPU a row unless another unit is said:",
        "",
        "| what | 10 rows | 100 rows |",
        "| --- | ---: | ---: |",
        "| decode | 1.50 |  |",
        "| fold | 2.50 | 20.5 |",
        "| fold, s |  | 0.50 |",
        "| *reference, µs CPU an event* | 2.00 | 2.00 |",
    ]


def test_what_has_no_size_is_listed_before_the_stages() -> None:
    figures = [one("larger", "fold: 10 rows", 2.5), one("larger", "archived", 1.5)]
    assert table(Results(MACHINE, {}, figures)).splitlines()[4:] == [
        "| what | median | least | most | unit | reference | target |",
        "| --- | ---: | ---: | ---: | --- | ---: | --- |",
        "| archived | 1.50 | 0.50 | 2.50 | µs CPU a row | 2.00 |  |",
        "",
        "Medians, µs CPU a row unless another unit is said:",
        "",
        "| what | 10 rows |",
        "| --- | ---: |",
        "| fold | 2.50 |",
        "| *reference, µs CPU an event* | 2.00 |",
    ]


def test_a_table_takes_the_place_of_the_one_that_was_there_and_of_nothing_else() -> None:
    text = "before\n<!-- begin: python -m benchmarks table -->\nold\n<!-- end -->\nafter\n"
    made = placed(text, "| new |")
    assert made == "before\n<!-- begin: python -m benchmarks table -->\n\n| new |\n\n<!-- end -->\nafter\n"
    assert placed(made, "| new |") == made
    with pytest.raises(ValueError, match="no <!-- begin"):
        placed("no markers", "| new |")


def test_the_readme_shows_the_baseline_and_nothing_else() -> None:
    text = README.read_text(encoding="utf-8")
    assert placed(text, table(read(BASELINE))) == text


def test_figures_of_the_baseline_are_in_units_that_can_be_compared() -> None:
    assert {each.unit for each in read(BASELINE).figures} - UNITS.keys() == set()
    assert {unit for _, _, unit in TARGETS} - UNITS.keys() == set()


def test_every_target_has_its_figure_in_the_baseline() -> None:
    assert TARGETS.keys() - read(BASELINE).by_key().keys() == set()


@pytest.mark.parametrize("name", sorted({*USUAL, *QUICK, *BY_NAME}))
def test_every_benchmark_says_which_decision_it_protects(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    said = ast.get_docstring(ast.parse(source)) or ""
    assert "\nProtects " in said


def test_the_readme_names_every_benchmark() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in {*USUAL, *QUICK, *BY_NAME} if f"`{name}`" not in text] == []
