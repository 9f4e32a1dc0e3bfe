"""Of several Namespaces that claim one place the first that says so has it, for as long as it does."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import CLAIMS, TIME
from batcher.stages.contest import contest, date
from tests.stages.rows import at, frame


class Said(NamedTuple):
    """What the Namespace of a name says."""

    name: str
    workspace: str = "root:a"
    flaw: str = ""
    uid: str = "u"
    gone: bool = False
    cluster: str = "us"


def claims(said: Sequence[Said], first: int = 1) -> pl.LazyFrame:
    return frame(CLAIMS, [_row(each, position) for position, each in enumerate(said, first)])


def _row(said: Said, position: int) -> dict[str, Any]:
    place = {"workspace": said.workspace, "target_namespace": "shop" if said.workspace else ""}
    when = {"position": position, "received_at": at(position), "gone_at": at(position) if said.gone else None}
    names = {
        "cluster_uid": said.cluster,
        "cluster": said.cluster,
        "namespace": said.name,
        "uid": f"{said.name}-{said.uid}",
    }
    return {**names, **place, **when, "flaw": said.flaw, "since": 0}


def contested(*batches: Sequence[Said]) -> pl.DataFrame:
    """All claims, each as of the batch in which it was told."""
    known, first, parts = frame(CLAIMS, []), 1, []
    for batch in batches:
        judged = contest(date(known, claims(batch, first)).collect().lazy()).collect()
        parts.append(judged.filter(pl.col("position") >= first))
        first += len(batch)
        newest = judged.sort("position").group_by("cluster_uid", "namespace", maintain_order=True).last()
        known = newest.select(*CLAIMS).lazy()
    return pl.concat(parts)


def flaws(*batches: Sequence[Said]) -> list[tuple[int, str, str]]:
    return contested(*batches).select("position", "namespace", "flaw").rows()


A, B, C = Said("a"), Said("b"), Said("c")


def test_the_second_that_says_the_same_is_a_duplicate_and_the_first_is_not() -> None:
    assert flaws([A, B, C]) == [(1, "a", ""), (2, "b", "duplicate"), (3, "c", "duplicate")]


def test_however_often_they_are_told_again_the_first_stays_the_first() -> None:
    assert flaws([A], [B], [A], [B]) == [(1, "a", ""), (2, "b", "duplicate"), (3, "a", ""), (4, "b", "duplicate")]


def test_the_next_takes_the_place_where_the_one_before_it_ends_and_only_that_one() -> None:
    told = [(1, "a", ""), (2, "b", "duplicate"), (3, "c", "duplicate"), (4, "a", ""), (4, "b", "")]
    assert flaws([A, B, C, A._replace(gone=True)]) == flaws([A, B, C], [A._replace(gone=True)]) == told
    found = contested([A, B], [A._replace(gone=True)]).filter(position=3, namespace="b")
    assert found.select("received_at", "since", "since_at").row(0) == (at(3), 2, at(2))


def test_whoever_lets_go_of_a_place_comes_after_those_that_wait_for_it() -> None:
    other, back = A._replace(workspace="root:other"), A
    told = [(1, "a", ""), (2, "b", "duplicate"), (3, "a", ""), (3, "b", ""), (4, "a", "duplicate")]
    assert flaws([A, B, other, back]) == flaws([A, B], [other], [back]) == told


def test_a_flaw_or_another_uid_lets_go_of_a_place_too() -> None:
    for changed in (A._replace(flaw="other-name"), A._replace(uid="new"), A._replace(workspace="")):
        assert flaws([A, B, changed])[-1] == (3, "b", ""), changed


def test_one_that_waits_and_is_deleted_never_had_the_place_and_takes_it_from_nobody() -> None:
    gone = B._replace(gone=True)
    assert flaws([A, B, gone], [A._replace(gone=True)])[2:] == [(3, "b", "duplicate"), (4, "a", "")]


def test_one_that_is_deleted_has_had_it_to_the_end() -> None:
    assert flaws([A, A._replace(gone=True)]) == [(1, "a", ""), (2, "a", "")]


def test_flawed_claims_hold_no_place_and_other_clusters_are_none_of_its_business() -> None:
    assert flaws([A._replace(flaw="other-name"), B, B._replace(cluster="eu", name="x")]) == [
        (1, "a", "other-name"),
        (2, "b", ""),
        (3, "x", ""),
    ]


def test_what_says_nothing_is_no_duplicate_of_what_says_nothing() -> None:
    assert [flaw for *_, flaw in flaws([Said("a", ""), Said("b", "")])] == ["", ""]


def test_what_a_version_left_that_knew_no_duplicates_is_older_than_all_that_is_told() -> None:
    older = claims([B, A]).with_columns(since_at=pl.lit(None, TIME))
    found = contest(date(older, claims([B], 7))).collect()
    assert found.select("position", "namespace", "flaw").rows() == [(1, "b", ""), (2, "a", "duplicate"), (7, "b", "")]


said = st.builds(
    Said, st.sampled_from(["a", "b", "c"]), st.sampled_from(["root:a", "root:a", "root:b", ""]),
    st.sampled_from(["", "", "", "unreadable"]), st.sampled_from(["u", "u", "v"]),
    st.sampled_from([False, False, True]), cluster=st.just("us"),
)  # fmt: skip
stories = st.lists(said, max_size=12)


@given(stories, st.integers(0, 12), st.integers(0, 12))
def test_claims_are_judged_the_same_wherever_batches_are_cut(story: list[Said], one: int, other: int) -> None:
    first, second = sorted((one, other))
    columns = ["position", "received_at", "namespace", "flaw", "since", "since_at", "gone_at"]
    whole, cut = contested(story), contested(story[:first], story[first:second], story[second:])
    assert_frame_equal(cut.select(columns), whole.select(columns), check_row_order=False)


@given(stories)
def test_at_no_position_have_two_namespaces_one_place_and_no_place_is_left_empty(story: list[Said]) -> None:
    found = contested(story)
    for position in range(1, len(story) + 1):
        now = found.filter(pl.col("position") <= position, ~pl.col("flaw").is_in(["unreadable"])).sort("position")
        newest = now.group_by("namespace", maintain_order=True).last()
        newest = newest.join(_newest(story[:position]), on=("namespace", "uid"), how="semi")
        there = newest.filter(pl.col("gone_at").is_null(), pl.col("workspace") != "")
        held = there.filter(flaw="")["workspace"].to_list()
        assert sorted(held) == sorted(set(there["workspace"]))


def _newest(story: Sequence[Said]) -> pl.DataFrame:
    """What each name says last, unless that is flawed."""
    last = {each.name: each for each in story}
    return claims([each for each in last.values() if not each.flaw]).select("namespace", "uid").collect()


@given(stories)
def test_nothing_is_invented_and_each_claim_is_there_once(story: list[Said]) -> None:
    found, told = contested(story), claims(story).collect()
    columns = ["namespace", "uid", "workspace", "target_namespace"]
    assert found.select("position", "namespace").is_duplicated().any() is False
    assert_frame_equal(found.join(told, on=("position", "namespace"), how="semi").select(columns), told.select(columns),
                       check_row_order=False)  # fmt: skip
    assert_frame_equal(found.select(columns).unique().join(told, on=columns, how="anti"), found.select(columns).clear())
