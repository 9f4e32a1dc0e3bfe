"""Which rows have a summary of their own, and how the others are told: one mechanism, several bounds."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import MEASURES, OPEN_SUMMARIES, PLACES, SESSION, SUMMARY_KEY, TIME, Columns
from batcher.stages import fold as folding
from batcher.stages.aggregate import fold_summaries, gather, measured, sessions
from batcher.stages.expire import ANY_NUMBER
from batcher.stages.fold import Most, fold, places
from tests.stages.rows import at, frame

WINDOW = timedelta(minutes=5)
ROWS: Columns = {
    **{name: pl.String for name in SUMMARY_KEY if not name.startswith("unmapped_")},
    **{name: kind for name, kind in MEASURES.items() if name in {"cluster", "message", "component", "related_name",
        "reporting_controller", "related_api_version", "related_kind", "related_namespace", "related_field_path"}},
    "position": pl.Int64, "received_at": TIME, "since_at": TIME, "last_at": TIME, "grew": pl.Int64, "objects": pl.Int64,
    "regarding_namespace": pl.String, "namespace_uid": pl.String, "adopted_by": pl.Int64,
    "object_kind": pl.String, "claimed_uid": pl.String, "known_as": pl.String,
}  # fmt: skip
SHOP: dict[str, Any] = {
    "cluster": "us", "cluster_uid": "uid-us", "namespace": "web", "regarding_namespace": "web",
    "workspace": "root:shop", "target_namespace": "shop", "regarding_api_version": "apps/v1",
    "regarding_kind": "Deployment", "type": "Warning",
    "reason": "BackOff", "grew": 1, "message": "Back-off", "component": "kubelet", "reporting_controller": "kubelet",
    "related_kind": "Pod", "related_name": "web-1",
}  # fmt: skip
NOBODY = frame(PLACES, [])
Said = dict[str, Any]


def row(minute: float, name: str = "web", **said: Any) -> Said:
    return SHOP | {"regarding_name": name, "received_at": at(minute), "last_at": at(minute)} | said


def told(rows: Sequence[Said], most: Most, known: pl.LazyFrame = NOBODY, first: int = 0) -> pl.DataFrame:
    """``rows``, in their order."""
    made = [{"position": first + number, **said} for number, said in enumerate(rows)]
    found = fold(frame(ROWS, made), known, most=most, window=WINDOW)
    return found.sort("position", "target_namespace").collect()


def names(*rows: Said, keys: int = ANY_NUMBER, live: int = ANY_NUMBER) -> list[str]:
    """What each row is told about: its own object, or a reason."""
    return [
        name if kind == "" else reason
        for kind, name, reason in told(rows, Most(keys, live)).select("kind", "regarding_name", "reason").iter_rows()
    ]


def test_the_first_keys_of_an_hour_have_a_summary_of_their_own_and_keep_it() -> None:
    rows = [row(0, "a"), row(1, "b"), row(2, "c"), row(58, "a"), row(59, "c")]
    assert names(*rows, keys=2) == ["a", "b", "BackOff", "a", "BackOff"]


def test_a_new_hour_begins_with_places_for_all() -> None:
    assert names(row(59, "a"), row(59.9, "b"), row(60, "b"), row(61, "a"), keys=1) == ["a", "BackOff", "b", "BackOff"]


def test_normals_never_use_the_warnings_places() -> None:
    rows = [row(n, f"n{n}", type="Normal") for n in range(3)]
    assert names(*rows, row(3, "w"), keys=1) == ["n0", "BackOff", "BackOff", "w"]


def test_what_is_critical_uses_the_warnings_places_whatever_its_type() -> None:
    rows = [row(0, "a", type="Normal"), row(1, "b", type="Normal", reason="NodeNotReady")]
    assert names(*rows, keys=1) == ["a", "b"]


@pytest.mark.parametrize(
    "apart",
    [
        {"cluster_uid": "uid-eu"}, {"namespace": "api"}, {"workspace": "root:other"}, {"target_namespace": "x"},
        {"origin": "root:other/shop"},
    ],
    ids=str,
)  # fmt: skip
def test_each_namespace_and_target_has_places_of_its_own(apart: Said) -> None:
    assert names(row(0, "a"), row(1, "b", **apart), row(2, "c"), keys=1) == ["a", "b", "BackOff"]


def test_an_object_has_a_place_for_each_reason() -> None:
    assert names(row(0, "a"), row(1, "a", reason="Failed"), keys=1) == ["a", "Failed"]


def test_what_is_folded_is_about_the_namespace_of_the_target_and_ours_to_tell() -> None:
    found = told([row(0, "a"), row(61, "b"), row(62, "c")], Most(keys=1)).row(2, named=True)
    assert {name: found[name] for name in SUMMARY_KEY if not name.startswith("unmapped_")} == {
        "cluster_uid": "uid-us", "namespace": "web", "workspace": "root:shop", "target_namespace": "shop",
        "regarding_api_version": "v1", "regarding_kind": "Namespace", "regarding_name": "shop", "type": "Warning",
        "reason": "BackOff", "origin": "", "kind": "folded", "template": "2026-11-23T13Z", "object_uid": "",
    }  # fmt: skip
    assert (found["component"], found["reporting_controller"]) == ("batcher", "batcher.kcp.io/batcher")
    assert (found["related_name"], found["related_kind"], found["message"]) == ("", "", "Back-off")


def test_what_is_unmapped_is_bounded_by_its_namespace_and_about_that() -> None:
    nobodys = {"workspace": "", "target_namespace": ""}
    assert names(*(row(n, str(n), **nobodys) for n in range(4)), live=3) == ["0", "1", "2", "3"]
    found = told([row(0, "a", **nobodys), row(1, "b", **nobodys)], Most(keys=1))
    assert found["regarding_name"].to_list() == ["a", "web"]


def test_what_is_adopted_is_counted_as_it_was_received_whenever_that_becomes_known() -> None:
    nobodys = {"workspace": "", "target_namespace": ""}
    for known in (nobodys, {"adopted_by": 7}):
        found = told([row(0, "a", **known), row(1, "b", **known), row(2, "c")], Most(keys=1))
        assert found["kind"].to_list() == ["", "folded", ""]


def test_a_folded_summary_counts_each_object_once() -> None:
    rows = [row(0, "a"), row(1, "b"), row(2, "c"), row(3, "b"), row(4, "b", regarding_kind="Job"), row(5, "a")]
    assert told(rows, Most(keys=1))["objects"].to_list() == [0, 1, 1, 0, 1, 0]


def test_objects_are_told_apart_up_to_a_number() -> None:
    assert told([row(0, str(n)) for n in range(1005)], Most(keys=0))["objects"].sum() == 1000


def test_reasons_beyond_a_number_are_told_together_under_ours_and_none_of_their_text_is() -> None:
    rows = [row(n, reason=f"Made-up-{n}", message="secret") for n in range(folding.REASONS + 2)]
    found = told(rows, Most(keys=0))
    assert found["reason"].to_list() == [*(f"Made-up-{n}" for n in range(20)), "EventsFolded", "EventsFolded"]
    assert found["message"].to_list() == ["secret"] * 20 + ["", ""]
    assert found["template"].to_list()[-2:] == ["2026-11-23T12Z all"] * 2
    assert found["target_namespace"].unique().to_list() == ["shop"]


def test_a_reason_called_like_ours_is_told_apart_from_it() -> None:
    found = told([row(0, reason="EventsFolded")], Most(keys=0))
    assert found.select("reason", "template").rows() == [("EventsFolded", "2026-11-23T12Z")]


def test_an_hour_of_a_workspace_has_a_third_of_its_live_events_less_what_is_kept_for_the_folded() -> None:
    most = Most(live=2000)
    assert (most.own, most.normals, most.folded) == (581, 290, 83)
    assert most.own + most.folded + folding.SHARES == 666


def test_a_workspace_is_bounded_over_all_its_namespaces_and_clusters() -> None:
    # 48: sixteen an hour, two of them for folded summaries and two for what is beyond those.
    rows = [row(n, str(n), namespace=f"n{n}", cluster_uid=f"c{n}") for n in range(14)]
    assert names(*rows, live=48) == [*(str(n) for n in range(12)), "BackOff", "BackOff"]


def test_normals_have_at_most_half_of_a_workspaces_places_and_warnings_may_have_all() -> None:
    normals = [row(n, f"n{n}", type="Normal") for n in range(7)]
    warnings = [row(10 + n, f"w{n}") for n in range(8)]
    assert names(*normals, *warnings, live=48) == [
        *(f"n{n}" for n in range(6)), "BackOff", *(f"w{n}" for n in range(6)), "BackOff", "BackOff"
    ]  # fmt: skip
    assert names(*(row(n, f"w{n}") for n in range(12)), live=48) == [f"w{n}" for n in range(12)]


def test_a_key_that_begins_again_in_a_full_workspace_is_folded_for_it_would_be_another_event() -> None:
    rows = [row(0, "a"), row(5, "a"), *(row(5, f"b{n}") for n in range(11)), row(10, "a"), row(16, "a"), row(17, "a")]
    assert names(*rows, live=48)[-4:] == ["b10", "a", "BackOff", "BackOff"]


def test_what_is_too_much_even_for_folded_summaries_is_told_in_one_of_the_workspace() -> None:
    rows = [row(n, str(n), reason=f"r{n}", cluster_uid=f"c{n}", namespace="") for n in range(16)]
    found = told(rows, Most(live=48))
    last = found.tail(2).select("cluster_uid", "cluster", "workspace", "target_namespace", "reason", "regarding_name")
    assert found["reason"].to_list()[12:14] == ["r12", "r13"]
    assert last.rows() == [("", "", "root:shop", "default", "EventsFolded", "default")] * 2
    assert found["objects"].to_list() == [0] * 12 + [1] * 4


def test_copies_told_elsewhere_count_where_they_are_told() -> None:
    there = {"workspace": "root:sre", "target_namespace": "default", "origin": "root:shop/shop"}
    rows = [part for n in range(13) for part in (row(n, str(n)), row(n, str(n), **there))]
    assert names(*rows, live=48) == [str(n) for n in range(12) for _ in range(2)] + ["BackOff", "BackOff"]


def test_only_what_the_state_has_to_know_goes_into_it() -> None:
    rows = told([row(0, "a", type="Normal"), row(1, "b"), row(2, "a", type="Normal"), row(9, "c")], Most(keys=1))
    found = places(rows.lazy(), NOBODY, window=WINDOW).collect()
    assert found.schema == PLACES
    assert found.group_by("level").agg(pl.len(), pl.sum("taken"), pl.max("last_at")).sort("level").rows() == [
        ("folded", 1, 1, at(9)), ("keys", 2, 2, at(1)), ("normals", 1, 1, at(2)), ("objects", 1, 1, at(9)),
        ("own", 2, 2, at(2)), ("reasons", 1, 1, at(9)),
    ]  # fmt: skip
    assert found["until"].unique().to_list() == [at(60)]


happened = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 4, 6, 20, 61]),
        st.fixed_dictionaries({
            "regarding_name": st.sampled_from(["a", "b", "c", "d"]),
            "cluster_uid": st.sampled_from(["us", "eu"]),
            "namespace": st.sampled_from(["web", "api"]),
            "type": st.sampled_from(["Normal", "Warning"]),
            "reason": st.sampled_from(["r", "s"]),
            "workspace": st.sampled_from(["root:shop", "root:shop", "root:sre", ""]),
            "adopted_by": st.sampled_from([0, 0, 0, 7]),
            "grew": st.integers(1, 3),
        }),
    ),
    max_size=24,
)  # fmt: skip
mosts = st.builds(Most, st.sampled_from([0, 1, 2, ANY_NUMBER]), st.sampled_from([9, 18, 48, ANY_NUMBER]))


def rows_of(said: Iterable[tuple[float, Said]]) -> list[Said]:
    rows: list[Said] = []
    minute = 0.0
    for wait, what in said:
        minute += wait
        nobodys = {"target_namespace": "", "adopted_by": 0} if what["workspace"] == "" else {}
        rows.append(row(minute) | what | nobodys)
    return rows


KEY = ["position", *(name for name in SUMMARY_KEY if not name.startswith("unmapped_")), "objects", "grew", "message"]


@given(happened, mosts, st.lists(st.integers(0, 24), max_size=2))
def test_wherever_rows_are_cut_they_are_told_the_same(said: Any, most: Most, cuts: list[int]) -> None:
    rows = rows_of(said)
    parts, known = [], NOBODY
    for first, last in pairwise([0, *sorted(cuts), 24]):
        found = told(rows[first:last], most, known, first)
        taken = places(found.lazy(), known, window=WINDOW)
        known = pl.concat([known.join(taken, on=("level", "key"), how="anti"), taken]).collect().lazy()
        parts.append(found.select(KEY))
    whole = told(rows, most)
    assert_frame_equal(pl.concat(parts), whole.select(KEY))
    after = places(whole.lazy(), NOBODY, window=WINDOW).collect()
    assert_frame_equal(known.collect().sort("level", "key"), after.sort("level", "key"))


@given(happened, mosts, st.data())
def test_the_order_in_which_rows_lie_is_irrelevant_and_none_is_lost(said: Any, most: Most, data: st.DataObject) -> None:
    rows = [{"position": number, **what} for number, what in enumerate(rows_of(said))]
    straight = told(rows, most)
    assert_frame_equal(told(data.draw(st.permutations(rows)), most), straight)
    assert straight.select("position", "grew", "workspace").rows() == [
        (n, what["grew"], what["workspace"]) for n, what in enumerate(rows)
    ]


def events(rows: list[Said], most: Most) -> pl.DataFrame:
    """The Events that they are told in: ``workspace, summary``, and when each was received first and last."""
    parts = sessions(
        measured(told(rows, most).lazy()), frame({**OPEN_SUMMARIES, "adopted_by": pl.Int64}, []),
        window=WINDOW, longest=timedelta(hours=1),
    )  # fmt: skip
    return fold_summaries(gather(parts), frame(OPEN_SUMMARIES, [])).select("summary", *SESSION, *MEASURES).collect()


def most_alive(rows: list[Said], live: int) -> int:
    """The largest number of Events of a workspace that are alive at a time.

    Written once more up to an hour after its newest row, an Event is there for an hour after that.
    """
    found = events(rows, Most(live=live)).filter(pl.col("workspace") != "")
    alive = [
        found.filter(pl.col("began_at") <= now, pl.col("last_at") > now - timedelta(hours=2))
        .group_by("workspace")
        .len()
        for now in {what["received_at"] for what in rows}
    ]
    return max((count for counted in alive for count in counted["len"]), default=0)


FLOOD = [
    row(
        minute,
        f"{minute}-{n}",
        reason=f"r{n}",
        cluster_uid=f"c{n % 5}",
        namespace=f"n{n}",
        type=("Normal", "Warning")[n % 2],
    )
    for minute in (59, 60, 120)
    for n in range(40)
]
"""Everything at the end and at the beginning of three hours that follow each other."""


def test_a_flood_over_the_turns_of_two_hours_uses_all_that_a_workspace_may_have_and_no_more() -> None:
    assert most_alive(FLOOD, 48) == 48
    assert most_alive(FLOOD, 100) == 99


floods = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 0, 6, 30, 59]),
        st.fixed_dictionaries({
            "regarding_name": st.sampled_from("abcdef"),
            "reason": st.sampled_from("rstu"),
            "cluster_uid": st.sampled_from(["us", "eu", "ap"]),
            "type": st.sampled_from(["Normal", "Warning"]),
            "workspace": st.sampled_from(["root:shop", "root:shop", "root:shop", "root:sre"]),
        }),
    ),
    min_size=10, max_size=50,
)  # fmt: skip


@given(floods, st.sampled_from([9, 18, 24, 48]))
def test_of_no_workspace_are_more_events_alive_than_the_bound_if_a_write_is_an_hour_late_at_most(
    said: Any, live: int
) -> None:
    assert most_alive(rows_of(said), live) <= live


@given(happened, mosts)
def test_own_and_folded_summaries_together_count_every_occurrence_once(said: Any, most: Most) -> None:
    rows = rows_of(said)
    found = events(rows, most)
    assert found["occurrences"].sum() == sum(what["grew"] for what in rows)
    assert found["revisions"].sum() == len(rows)
    one_an_hour = found.filter(kind="folded").select(*SUMMARY_KEY)
    assert not one_an_hour.filter(pl.col("workspace") != "").is_duplicated().any() or any(r["adopted_by"] for r in rows)
