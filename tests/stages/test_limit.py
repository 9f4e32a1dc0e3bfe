"""Who is held back: held against the same said as simply as it can be."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import OCCURRENCES, PLACES
from batcher.stages.limit import SOURCES, limit, limits, suppress
from tests.stages.rows import at, frame

NOBODY = frame(PLACES, [])
Said = dict[str, Any]


def row(minute: float, **said: Any) -> Said:
    usual = {"cluster_uid": "us", "namespace": "web", "reporting_controller": "kubelet", "type": "Normal", "grew": 1}
    return {**usual, "verdict": "kept", "received_at": at(minute)} | said


def limited(rows: Sequence[Said], most: int, known: pl.LazyFrame = NOBODY, first: int = 0) -> pl.DataFrame:
    """``rows``, in their order."""
    made = [{"position": first + number, **said} for number, said in enumerate(rows)]
    return limit(frame(OCCURRENCES, made), known, most=most).collect()


def verdicts(*rows: Said, most: int = 2) -> str:
    """The verdict of each row, by its first letter."""
    return "".join(verdict[0] for verdict in limited(rows, most)["verdict"])


def test_the_first_rows_of_a_minute_pass_and_later_ones_are_held_back() -> None:
    assert verdicts(row(0), row(0.5), row(0.99), row(1), row(1.1), row(1.2)) == "kklkkl"


def test_warnings_and_normals_have_limits_of_their_own_and_what_is_critical_goes_with_warnings() -> None:
    normals, warning = [row(0) for _ in range(3)], row(0.1, type="Warning")
    assert verdicts(*normals, warning, row(0.2, reason="SystemOOM"), warning) == "kklkkl"
    assert verdicts(row(0), row(0, type="Fatal"), row(0, type="")) == "kkl"


@pytest.mark.parametrize("apart", [{"cluster_uid": "eu"}, {"namespace": "api"}, {"reporting_controller": "x"}], ids=str)
def test_each_source_has_a_limit_of_its_own(apart: Said) -> None:
    assert verdicts(row(0), row(0, **apart), row(0), row(0, **apart), most=1) == "kkll"


def test_rows_are_counted_not_occurrences_and_what_adds_nothing_is_not_counted() -> None:
    assert verdicts(row(0, grew=50), row(0, grew=0), row(0, grew=0), row(0), row(0)) == "kkkkl"


def test_what_nobody_is_told_uses_nothing_and_what_is_unmapped_does() -> None:
    quiet, nobodys = row(0, verdict="archive-only"), row(0, verdict="unmapped")
    assert verdicts(quiet, nobodys, quiet, quiet, nobodys, nobodys, row(0)) == "auaaull"


def test_controllers_beyond_a_number_share_one_limit_so_that_no_name_made_up_escapes_it() -> None:
    rows = [row(0, reporting_controller=f"made-up-{n}") for n in range(SOURCES + 5)]
    assert verdicts(*rows, *rows) == "k" * (SOURCES + 2) + "lll" + "k" * SOURCES + "lllll"


def test_the_state_counts_the_rows_of_each_source_until_the_minute_is_over() -> None:
    rows = limited([row(0), row(0), row(0), row(0, type="Warning"), row(0, verdict="archive-only")], 2)
    found = limits(rows.lazy(), NOBODY).collect()
    assert found.schema == PLACES
    assert sorted(found.select("level", "taken").rows()) == [
        ("passing", 1),
        ("passing", 2),
        ("sources", 1),
        ("sources", 1),
    ]
    assert set(found["until"]) == {at(1)}


def test_what_was_held_back_is_a_row_of_its_sources_summary_and_says_nothing_of_its_own() -> None:
    said = {"reason": "Pulled", "message": "secret", "kind": "", "template": ""}
    rows = [row(0, **said, verdict="limited"), row(0, **said | {"type": "Warning"}, verdict="limited"), row(0, **said)]
    columns = OCCURRENCES | {"kind": pl.String(), "template": pl.String()}
    found = suppress(frame(columns, rows), most=600).select("kind", "template", "type", "reason", "message").collect()
    assert found.rows() == [
        ("suppressed", "normal 600 kubelet", "Normal", "EventsSuppressed", ""),
        ("suppressed", "warning 600 kubelet", "Normal", "EventsSuppressed", ""),
        ("", "", "Normal", "Pulled", "secret"),
    ]


happened = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 0.4, 1, 70]),
        st.fixed_dictionaries({
            "cluster_uid": st.sampled_from(["us", "eu"]),
            "reporting_controller": st.sampled_from(["kubelet", "x"]),
            "type": st.sampled_from(["Normal", "Warning"]),
            "verdict": st.sampled_from(["kept", "kept", "unmapped", "archive-only"]),
            "grew": st.sampled_from([0, 1, 1, 5]),
        }),
    ),
    max_size=20,
)  # fmt: skip


def rows_of(said: Any) -> list[Said]:
    rows, minute = [], 0.0
    for wait, what in said:
        minute += wait
        rows.append(row(minute) | what)
    return rows


def source(said: Said) -> tuple[Any, ...]:
    minute = said["received_at"].replace(second=0, microsecond=0)
    return minute, said["cluster_uid"], said["reporting_controller"], said["type"]


def simply(rows: list[Said], most: int) -> list[str]:
    """The verdict of each row, one after the other."""
    passed: dict[tuple[Any, ...], int] = {}
    found = []
    for said in rows:
        asks = said["verdict"] in {"kept", "unmapped"} and said["grew"] > 0
        held = asks and passed.get(source(said), 0) >= most
        if asks and not held:
            passed[source(said)] = passed.get(source(said), 0) + 1
        found.append("limited" if held else said["verdict"])
    return found


@given(happened, st.integers(0, 3))
def test_no_more_pass_than_the_limit_of_a_minute_and_share_and_those_are_the_first(said: Any, most: int) -> None:
    rows = rows_of(said)
    assert limited(rows, most)["verdict"].to_list() == simply(rows, most)


@given(happened, st.integers(0, 3), st.lists(st.integers(0, 20), max_size=2))
def test_wherever_rows_are_cut_the_same_are_held_back(said: Any, most: int, cuts: list[int]) -> None:
    rows, known, found = rows_of(said), NOBODY, list[str]()
    for first, last in pairwise([0, *sorted(cuts), 20]):
        part = limited(rows[first:last], most, known, first)
        new = limits(part.lazy(), known)
        known = pl.concat([known.join(new, on=("level", "key"), how="anti"), new]).collect().lazy()
        found += part["verdict"].to_list()
    whole = limited(rows, most)
    assert found == whole["verdict"].to_list()
    after = limits(whole.lazy(), NOBODY).sort("level", "key").collect()
    assert_frame_equal(known.sort("level", "key").collect(), after)


@given(happened, st.integers(0, 3), st.data())
def test_the_order_in_which_rows_lie_is_irrelevant_and_only_verdicts_change(
    said: Any, most: int, data: st.DataObject
) -> None:
    rows = [{"position": number, **what} for number, what in enumerate(rows_of(said))]
    straight = limited(rows, most)
    assert_frame_equal(limited(data.draw(st.permutations(rows)), most), straight)
    columns = [name for name in OCCURRENCES if name != "verdict"]
    assert_frame_equal(straight.select(columns), frame(OCCURRENCES, rows).select(columns).collect())
