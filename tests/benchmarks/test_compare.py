"""Two runs of the benchmarks, held against each other."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.compare import Comparison, compare, report
from benchmarks.results import Machine, Measured, Results, write

MACHINE = Machine("a processor", 2, 24)
COST, RATE, PASSED, MEMORY = "µs CPU an event", "events a CPU second", "s", "MiB"


def measured(
    median: float, unit: str = COST, *, name: str = "decode", reference: tuple[float, float] = (2, 3)
) -> Measured:
    return Measured("stages", name, unit, median, median, median, reference)


def held(base: Measured | list[Measured], new: Measured | list[Measured]) -> Comparison:
    runs = [each if isinstance(each, list) else [each] for each in (base, new)]
    return compare(*(Results(MACHINE, {}, run) for run in runs))


def is_worse(base: Measured, new: Measured) -> bool:
    return bool(held(base, new).worse)


@pytest.mark.parametrize("unit", [COST, PASSED, MEMORY, "bytes an event", "% of a core", "times as much"])
def test_a_cost_that_grew_by_21_percent_is_worse_and_by_19_it_is_not(unit: str) -> None:
    assert is_worse(measured(100, unit), measured(121, unit))
    assert not is_worse(measured(100, unit), measured(119, unit))


@pytest.mark.parametrize("unit", [RATE, "events a second", "times better", "revisions a write"])
def test_a_rate_is_worse_when_it_falls_and_not_when_it_grows(unit: str) -> None:
    assert is_worse(measured(121, unit), measured(100, unit))
    assert not is_worse(measured(119, unit), measured(100, unit))
    assert not is_worse(measured(100, unit), measured(200, unit))


def test_a_cost_that_falls_is_not_worse() -> None:
    assert not is_worse(measured(100), measured(10))


def test_a_machine_on_which_the_reference_takes_twice_as_much_may_take_twice_as_much() -> None:
    busy = (4.0, 3.0)
    assert not is_worse(measured(100), measured(238, reference=busy))
    assert is_worse(measured(100), measured(242, reference=busy))
    assert not is_worse(measured(100, RATE), measured(51, RATE, reference=busy))
    assert is_worse(measured(100, RATE), measured(41, RATE, reference=busy))


def test_a_machine_that_is_twice_as_fast_hides_nothing() -> None:
    fast = (1.0, 1.5)
    assert is_worse(measured(100), measured(61, reference=fast))
    assert not is_worse(measured(100), measured(59, reference=fast))


def test_what_passes_is_held_against_what_passes_and_memory_against_nothing() -> None:
    waits = (2.0, 6.0)
    assert not is_worse(measured(10, PASSED), measured(23, PASSED, reference=waits))
    assert is_worse(measured(10), measured(23, reference=waits))
    assert is_worse(measured(10, MEMORY), measured(23, MEMORY, reference=waits))


def test_what_was_nothing_and_is_something_is_worse() -> None:
    assert not is_worse(measured(0, "lost"), measured(0, "lost"))
    assert is_worse(measured(0, "lost"), measured(1, "lost"))


def test_a_difference_that_is_too_small_to_be_measured_is_not_worse_however_large_a_part_it_is() -> None:
    assert not is_worse(measured(0.01), measured(0.1))
    assert is_worse(measured(0.01), measured(0.12))
    assert not is_worse(measured(0.01), measured(0.2, reference=(4.0, 3.0)))
    assert is_worse(measured(0.01, MEMORY), measured(0.1, MEMORY))


def test_a_number_that_is_neither_good_nor_bad_is_never_worse() -> None:
    assert not is_worse(measured(10, "writes"), measured(1000, "writes"))
    assert not is_worse(measured(1000, "writes"), measured(10, "writes"))


def test_figures_that_only_one_run_has_are_said_and_judge_nothing() -> None:
    comparison = held([measured(1, name="gone"), measured(1)], [measured(1), measured(9, name="come")])
    assert comparison.worse == []
    assert report(comparison).splitlines() == [
        "missing stages: gone, µs CPU an event",
        "new stages: come, µs CPU an event",
        "1 figures compared, 0 worse by more than 20%",
    ]


def test_the_same_name_in_another_unit_is_another_figure() -> None:
    comparison = held([measured(1), measured(2, RATE)], [measured(1), measured(2, RATE)])
    assert len(comparison.others) == 2


def test_the_command_fails_and_names_what_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, new = tmp_path / "base.json", tmp_path / "new.json"
    write(base, Results(MACHINE, {}, [measured(10), measured(10, name="fold"), measured(10, name="limit")]))
    write(new, Results(MACHINE, {}, [measured(12.5), measured(11.9, name="fold"), measured(31, name="limit")]))
    assert main(["compare", str(base), str(new)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "WORSE stages: limit: +210%: 10.0 to 31.0 µs CPU an event",
        "WORSE stages: decode: +25%: 10.0 to 12.5 µs CPU an event",
        "3 figures compared, 2 worse by more than 20%",
    ]


def test_the_command_ends_well_when_nothing_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, new = tmp_path / "base.json", tmp_path / "new.json"
    write(base, Results(MACHINE, {}, [measured(10)]))
    write(new, Results(MACHINE, {}, [measured(11.9)]))
    assert main(["compare", str(base), str(new)]) == 0
    assert capsys.readouterr().out == "1 figures compared, 0 worse by more than 20%\n"
