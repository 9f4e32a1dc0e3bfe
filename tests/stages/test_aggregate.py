from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from batcher.schema import MEASURES, OPEN_SLOTS, OPEN_SUMMARIES, SUMMARY_KEY, TIME, Columns
from batcher.stages.aggregate import fold_slots, fold_summaries, gather, is_slot_over, measured, sessions
from tests.stages.rows import START, at, frame

ROWS: Columns = {**dict.fromkeys(SUMMARY_KEY, pl.String()), "received": TIME, "adopted_by": pl.Int64, **MEASURES}
WINDOW, LONGEST = timedelta(minutes=5), timedelta(minutes=30)


def rows(*minutes: float, **fields: Any) -> pl.LazyFrame:
    said = [
        {"received": at(m), "last_at": at(m), "position": p, "revisions": 1, "occurrences": 10, **fields}
        for p, m in enumerate(minutes)
    ]
    return frame(ROWS, said)


def begun(*minutes: float, open_: tuple[float, float] | None = None) -> list[tuple[float, int]]:
    """(minute that its session began, slot) of rows received at ``minutes``; ``open_``: began, last."""
    state = [] if open_ is None else [{"began_at": at(open_[0]), "last_at": at(open_[1])}]
    found = sessions(
        rows(*minutes), frame({**OPEN_SUMMARIES, "adopted_by": pl.Int64}, state), window=WINDOW, longest=LONGEST
    ).collect()
    return [((began - START) / timedelta(minutes=1), slot) for began, slot in found.select("began_at", "slot").rows()]


def test_a_row_is_measured_by_what_it_added_and_when_it_happened_and_came() -> None:
    columns: Columns = {**{name: kind for name, kind in ROWS.items() if name not in ("received", "revisions",
        "occurrences", "first_seen", "last_seen", "messages_vary")}, "received_at": TIME, "since_at": TIME,
        "grew": pl.Int64, "regarding_namespace": pl.String, "namespace_uid": pl.String,
        "claimed_uid": pl.String, "known_as": pl.String}  # fmt: skip
    said = [{"position": p, "received_at": at(9), "since_at": at(1), "last_at": at(2), "grew": p} for p in (7, 3)]
    found = measured(frame(columns, said)).collect()
    told = ["position", "received", "last_at", "first_seen", "last_seen", "revisions", "occurrences", "messages_vary"]
    assert found.select(told).rows() == [
        (3, at(9), at(9), at(1), at(2), 1, 3, False),
        (7, at(9), at(9), at(1), at(2), 1, 7, False),
    ]


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ([0], [(0, 0)]),
        ([0, 5], [(0, 0), (0, 0)]),
        ([0, 5.01], [(0, 0), (5.01, 0)]),
        ([0, 4, 8, 20], [(0, 0), (0, 0), (0, 0), (20, 0)]),
        (list(range(0, 64, 4)), [(0, m // 30) for m in range(0, 64, 4)]),
    ],
    ids=["one", "at-the-window", "beyond-the-window", "gap", "slots"],
)
def test_a_session_begins_after_more_than_the_window_of_silence_and_is_cut_into_slots(
    minutes: list[float], expected: list[tuple[float, int]]
) -> None:
    assert begun(*minutes) == expected


def test_rows_continue_the_open_session_of_the_state() -> None:
    assert begun(34, 36, open_=(0, 30)) == [(0, 1), (0, 1)]
    assert begun(36, 38, open_=(0, 30)) == [(36, 0), (36, 0)]


def test_different_keys_have_sessions_of_their_own() -> None:
    both = pl.concat([rows(0, reason="A"), rows(4, 8, reason="B")])
    found = sessions(
        both, frame({**OPEN_SUMMARIES, "adopted_by": pl.Int64}, []), window=WINDOW, longest=LONGEST
    ).collect()
    assert found.select("reason", "began_at").unique().sort("reason").rows() == [("A", at(0)), ("B", at(4))]


def test_a_slot_and_a_session_sum_their_rows_and_take_their_text_from_the_newest() -> None:
    parts = sessions(
        pl.concat([rows(0, message="old", first_seen=at(-9)), rows(1, message="new", position=7)]),
        frame({**OPEN_SUMMARIES, "adopted_by": pl.Int64}, []), window=WINDOW, longest=LONGEST,
    )  # fmt: skip
    for folded in (
        fold_slots(gather(parts), frame(OPEN_SLOTS, [])),
        fold_summaries(gather(parts), frame(OPEN_SUMMARIES, [])),
    ):
        (row,) = folded.collect().to_dicts()
        assert (row["revisions"], row["occurrences"], row["message"], row["messages_vary"]) == (2, 20, "new", True)
        assert (row["first_seen"], row["last_at"]) == (at(-9), at(1))


def test_a_summary_is_named_by_its_key_and_beginning_for_ever() -> None:
    parts = sessions(
        rows(0, reason="BackOff"), frame({**OPEN_SUMMARIES, "adopted_by": pl.Int64}, []), window=WINDOW, longest=LONGEST
    )
    (row,) = fold_summaries(gather(parts), frame(OPEN_SUMMARIES, [])).collect().to_dicts()
    assert row["summary"] == "ae5366884567e591b3acfc7b36a7699e"


@pytest.mark.parametrize(("now", "over"), [(29.9, False), (30, True)])
def test_a_slot_is_over_when_time_has_passed_its_end(now: float, over: bool) -> None:  # noqa: FBT001
    slot = frame(OPEN_SLOTS, [{"began_at": at(0), "last_at": at(28), "slot": 0}])
    assert slot.select(is_slot_over(at(now), WINDOW, LONGEST)).collect().item() is over
