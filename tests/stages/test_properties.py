"""What every stage owes, on small random frames: order, cuts and replays change nothing, and nothing is invented."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher import schema
from batcher.schema import (
    CLAIMS,
    LINES,
    MEASURES,
    NODES,
    OCCURRENCE,
    OPEN_SLOTS,
    OPEN_SUMMARIES,
    SUMMARY_KEY,
    TIME,
    Columns,
    empty,
)
from batcher.stages.aggregate import fold_slots, fold_summaries, gather, measured, sessions
from batcher.stages.carry import carry_slots, carry_summaries
from batcher.stages.deduplicate import deduplicate, remember
from batcher.stages.enrich import regard_owner
from batcher.stages.expire import Bounds
from batcher.stages.locate import locate
from batcher.stages.measure import measure
from batcher.stages.render import Look, render
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES, due, settle
from tests.stages.rows import at, frame

Rows = list[dict[str, Any]]

HOUR, WINDOW, LONGEST = timedelta(hours=1), timedelta(minutes=5), timedelta(minutes=30)

MEASURED: Columns = {
    "position": pl.Int64, "cluster": pl.String, "cluster_key": pl.UInt64, "heard": pl.Int64, "incarnation": pl.Int64,
    "identity_high": pl.UInt64, "identity_low": pl.UInt64, "resource_version": pl.Int64, "count": pl.Int64,
    "created_at": TIME, "first_at": TIME, "last_at": TIME,
}  # fmt: skip


@st.composite
def delivered(draw: st.DrawFn) -> Rows:
    """Revisions of two identities in the order of delivery: some again, some late, some re-created."""
    revision = st.tuples(st.integers(0, 1), st.integers(1, 5), st.integers(1, 5), st.sampled_from([0, 0, 0, 90]))
    return [
        {"position": p, "identity_low": i, "resource_version": v, "count": c, "created_at": at(m), "heard": p}
        for p, (i, v, c, m) in enumerate(draw(st.lists(revision, max_size=12)))
    ]


@st.composite
def restored(draw: st.DrawFn) -> Rows:
    """The same from clusters that were restored now and then, and listened to with long silences."""
    rows = draw(delivered())
    incarnations = draw(st.lists(st.sampled_from([0, 0, 1, 2]), min_size=len(rows), max_size=len(rows)))
    hours = draw(st.lists(st.integers(0, 30), min_size=len(rows), max_size=len(rows)))
    heard = [hour * 3_600_000_000 // 10 for hour in sorted(hours)]
    return [row | {"incarnation": i, "heard": h} for row, i, h in zip(rows, incarnations, heard, strict=True)]


def counted(rows: Rows, seen: pl.LazyFrame | None = None) -> pl.DataFrame:
    known = frame(schema.SEEN, []) if seen is None else seen
    return deduplicate(frame(MEASURED, rows), known, event_ttl=pl.lit(HOUR)).collect()


@given(restored(), st.data())
def test_deduplicate_gives_the_same_rows_in_whatever_order_they_come(rows: Rows, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert_frame_equal(counted(shuffled), counted(rows))


@given(restored(), st.integers(0, 12))
def test_deduplicate_gives_the_same_rows_wherever_they_are_cut(rows: Rows, cut: int) -> None:
    first = counted(rows[:cut])
    second = counted(rows[cut:], remember(first.lazy()))
    told = ["position", "is_new", "grew", "recreated", "since_at"]
    assert_frame_equal(pl.concat([first.select(told), second.select(told)]), counted(rows).select(told))


@given(delivered())
def test_a_list_of_everything_after_its_watch_adds_nothing(rows: Rows) -> None:
    newest = {row["identity_low"]: row for row in sorted(rows, key=lambda row: row["resource_version"])}
    listed = [row | {"position": 100 + n} for n, row in enumerate(newest.values())]
    assert counted([*rows, *listed])["grew"].sum() == counted(rows)["grew"].sum()
    assert not counted([*rows, *listed]).filter(pl.col("position") >= 100)["is_new"].any()


@given(delivered(), st.integers(0, 12))
def test_a_second_watcher_however_late_adds_nothing(rows: Rows, lag: int) -> None:
    ours = [row | {"position": 2 * n} for n, row in enumerate(rows)]
    theirs = [row | {"position": 2 * (n + lag) + 1} for n, row in enumerate(rows)]
    assert counted(ours + theirs)["grew"].sum() == counted(ours)["grew"].sum()


@given(delivered())
def test_an_identity_grows_by_its_highest_new_count_or_by_one_less_where_it_was_re_created(rows: Rows) -> None:
    for _, found in counted(rows).group_by(OCCURRENCE):
        not_counted = sum(count - 1 for count in found.filter("recreated")["count"])
        assert all(grew >= 0 for grew in found["grew"])
        assert sum(found["grew"]) == max(found.filter("is_new")["count"]) - not_counted


@given(delivered())
def test_deduplicate_keeps_every_row_and_column_it_is_given(rows: Rows) -> None:
    found = counted(rows)
    assert_frame_equal(found.select(*MEASURED), frame(MEASURED, rows).collect())
    assert len(remember(found.lazy()).collect()) == len({row["identity_low"] for row in rows})


times = st.sampled_from([None, "2026-11-23T12:00:00Z", "2026-11-23T12:00:00.000001Z", "0001-01-01T00:00:00Z", "soon"])
counts = st.sampled_from([None, -5, 0, 1, 7, 2**31 - 1])


@given(
    st.fixed_dictionaries(dict.fromkeys(("created", "first", "last", "event_time", "series_last"), times)),
    counts,
    counts,
)
def test_measure_always_finds_times_and_a_count_of_at_least_one(
    said: dict[str, str | None], count: int | None, series: int | None
) -> None:
    (row,) = measure(frame(LINES, [said | {"count": count, "series_count": series}])).collect().to_dicts()
    assert row["count"] >= 1
    assert None not in (row["created_at"], row["first_at"], row["last_at"])
    if not {"soon", "0001-01-01T00:00:00Z"} & set(said.values()):
        assert row["first_at"] <= row["last_at"] or said["first"] is None


names = st.text("ab.*", max_size=4)
globs = st.text("ab.*?", max_size=4)
rules = st.lists(st.builds(Rule, globs, globs, st.sampled_from(["root:a", "root:b"]),
                           st.sampled_from(["{namespace}", "one"]), st.booleans()), max_size=4)  # fmt: skip


def matches(pattern: str, text: str) -> bool:
    """A glob, said as simply as it can be."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and matches(pattern[1:], text[1:])


@given(rules, names, names, st.booleans())
def test_locate_takes_the_first_rule_that_matches_and_a_cluster_s_own_objects_only_where_a_rule_says_so(
    said: list[Rule],
    cluster: str,
    namespace: str,
    scoped: bool,  # noqa: FBT001  drawn
) -> None:
    row = {
        "position": 1,
        "received_at": at(1),
        "cluster_uid": "u",
        "cluster": cluster,
        "namespace": namespace,
        "regarding_namespace": "" if scoped else namespace or "x",
    }
    (found,) = locate(pl.LazyFrame([row]), empty(CLAIMS).lazy(), rules=said).collect().to_dicts()
    hits = [
        (rule.workspace, "default" if scoped else rule.target_namespace.format(namespace=namespace), "kept")
        for rule in said
        if matches(rule.cluster, cluster) and (rule.cluster_scoped if scoped else matches(rule.namespace, namespace))
    ]
    assert (found["workspace"], found["target_namespace"], found["verdict"]) == (*hits, ("", "", "unmapped"))[0]


def test_a_glob_of_many_stars_is_no_work() -> None:
    """A backtracking engine would need longer than the world is old."""
    where = {"cluster_uid": "u", "cluster": "a" * 5000, "namespace": "n", "regarding_namespace": "n"}
    row = {"position": 1, "received_at": at(1), **where}
    found = locate(pl.LazyFrame([row]), empty(CLAIMS).lazy(), rules=[Rule("*a" * 30 + "b", "*", "root:a")]).collect()
    assert found["verdict"].to_list() == ["unmapped"]


@given(st.sampled_from(["Pod", "ReplicaSet", "Job"]), st.from_regex(r"(web|b-2)(-[b2]{4,11}){0,3}", fullmatch=True))
def test_enriching_changes_nothing_but_the_two_references_and_only_once(kind: str, name: str) -> None:
    rows = frame(LINES, [{"regarding_kind": kind, "regarding_name": name}])
    once = regard_owner(rows).collect()
    references = [column for column in LINES if column.startswith(("regarding_", "related_"))]
    assert_frame_equal(once.drop(references), rows.collect().drop(references))
    assert once.schema == LINES
    assert_frame_equal(regard_owner(once.lazy()).collect(), once)


KEPT: Columns = {
    **dict.fromkeys(SUMMARY_KEY, pl.String()), **{name: kind for name, kind in MEASURES.items() if name in (
        "cluster", "message", "component", "reporting_controller", "related_api_version", "related_kind",
        "related_namespace", "related_name", "related_field_path")},
    "position": pl.Int64, "received_at": TIME, "since_at": TIME, "last_at": TIME, "grew": pl.Int64,
    "regarding_namespace": pl.String, "namespace_uid": pl.String, "adopted_by": pl.Int64, "objects": pl.Int64,
    "claimed_uid": pl.String, "known_as": pl.String,
}  # fmt: skip


@st.composite
def happenings(draw: st.DrawFn) -> Rows:
    """Rows of two keys, each some minutes after the one before it."""
    row = st.tuples(st.sampled_from("AB"), st.sampled_from([0, 1, 5, 6, 20]), st.integers(0, 3), st.sampled_from("xy"))
    rows, minute = [], 0
    for p, (reason, wait, grew, message) in enumerate(draw(st.lists(row, min_size=1, max_size=10))):
        minute += wait
        rows.append({"position": p, "received_at": at(minute), "reason": reason, "grew": grew, "message": message,
                     "since_at": at(minute - 1), "last_at": at(minute)})  # fmt: skip
    return rows


def placed(rows: Sequence[dict[str, Any]], open_summaries: pl.DataFrame) -> pl.LazyFrame:
    taken = measured(frame(KEPT, rows))
    return (
        sessions(
            taken, open_summaries.lazy().with_columns(adopted_by=pl.lit(0, pl.Int64)), window=WINDOW, longest=LONGEST
        )
        .collect()
        .lazy()
    )


def carried(rows: Rows, state: tuple[pl.DataFrame, pl.DataFrame], batch: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Slots and summaries that ``rows`` touch or time ends, as of the last row."""
    slots, summaries = state
    gathered, now = gather(placed(rows, summaries)), rows[-1]["received_at"]
    nothing = frame(OUTCOMES, [])
    return (
        carry_slots(gathered, slots.lazy(), now=now, window=WINDOW, longest=LONGEST).collect(),
        carry_summaries(
            gathered, summaries.lazy(), nothing, batch=batch, now=now, bounds=Bounds(WINDOW, HOUR)
        ).collect(),
    )


NOTHING_OPEN = (schema.empty(OPEN_SLOTS), schema.empty(OPEN_SUMMARIES))


@given(happenings(), st.data())
def test_sessions_are_the_same_in_whatever_order_rows_come(rows: Rows, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert_frame_equal(placed(shuffled, NOTHING_OPEN[1]).collect(), placed(rows, NOTHING_OPEN[1]).collect())


@given(happenings())
def test_sessions_and_slots_count_every_row_once(rows: Rows) -> None:
    gathered = gather(placed(rows, NOTHING_OPEN[1]))
    for folded in (fold_slots(gathered, NOTHING_OPEN[0].lazy()), fold_summaries(gathered, NOTHING_OPEN[1].lazy())):
        found = folded.collect()
        assert found["revisions"].sum() == len(rows)
        assert found["occurrences"].sum() == sum(row["grew"] for row in rows)
        assert found.select("summary", *found.select(pl.col("^slot$")).columns).is_duplicated().sum() == 0


@given(happenings())
def test_two_sessions_of_a_key_are_more_than_the_window_apart(rows: Rows) -> None:
    found = (
        fold_summaries(gather(placed(rows, NOTHING_OPEN[1])), NOTHING_OPEN[1].lazy())
        .collect()
        .sort("reason", "began_at")
    )
    apart = found.select((pl.col("began_at") - pl.col("last_at").shift(1).over("reason")).alias("apart"))
    assert all(gap > WINDOW for gap in apart["apart"].drop_nulls())


@given(happenings(), st.integers(1, 9))
def test_slots_and_summaries_end_up_the_same_wherever_rows_are_cut(rows: Rows, cut: int) -> None:
    whole_slots, whole = carried(rows, NOTHING_OPEN, 1)
    if cut >= len(rows):
        return
    slots, summaries = carried(rows[:cut], NOTHING_OPEN, 1)
    state = (slots.filter(~pl.col("over")).select(*OPEN_SLOTS), summaries.select(*OPEN_SUMMARIES))
    later_slots, later = carried(rows[cut:], state, 2)
    keys = ["summary", "slot"]
    every_slot = pl.concat([slots.join(later_slots, on=keys, how="anti"), later_slots]).filter("over")
    every = pl.concat([summaries.join(later, on="summary", how="anti"), later])
    assert_frame_equal(every_slot.drop("held"), whole_slots.filter("over").drop("held"), check_row_order=False)
    assert_frame_equal(every.drop("version", "is_new"), whole.drop("version", "is_new"), check_row_order=False)
    assert pl.concat([summaries, later])["is_new"].sum() == whole["is_new"].sum() == len(whole)


open_summaries = st.lists(
    st.fixed_dictionaries({
        "summary": st.sampled_from(["s", "t", "u"]), "workspace": st.sampled_from(["", "root:a"]),
        "version": st.integers(1, 3), "written_version": st.integers(0, 3), "writes": st.integers(0, 3),
        "closed": st.booleans(), "written_at": st.sampled_from([None, at(0), at(9)]), "resource_version": st.none(),
    }),
    max_size=3, unique_by=lambda row: row["summary"],
)  # fmt: skip
outcomes = st.lists(
    st.fixed_dictionaries({
        "summary": st.sampled_from(["s", "t", "x"]), "version": st.integers(1, 3), "written": st.booleans(),
        "resource_version": st.just("5"), "refusal": st.sampled_from(["", "Invalid"]),
    }),
    max_size=3, unique_by=lambda row: row["summary"],
)  # fmt: skip


@given(open_summaries, outcomes)
def test_settling_keeps_every_summary_and_touches_only_those_that_were_told(rows: Rows, told: Rows) -> None:
    before = frame(OPEN_SUMMARIES, rows).sort("summary")
    after = settle(before, frame(OUTCOMES, told)).sort("summary").collect()
    assert after.schema == OPEN_SUMMARIES
    assert after["summary"].to_list() == sorted(row["summary"] for row in rows)
    untold = ~pl.col("summary").is_in([row["summary"] for row in told])
    assert_frame_equal(after.filter(untold), before.filter(untold).collect())


@given(open_summaries, st.integers(0, 30))
def test_what_is_due_is_dirty_and_has_a_workspace_and_stays_as_it_was(rows: Rows, minute: int) -> None:
    summaries = frame(OPEN_SUMMARIES, rows)
    chosen = due(summaries, now=at(minute), rewrite_after=WINDOW, rewrite_most=HOUR)
    assert_frame_equal(chosen.collect(), summaries.join(chosen, on="summary", how="semi").collect())
    wrong = (pl.col("workspace") == "") | (pl.col("version") <= pl.col("written_version"))
    assert chosen.filter(wrong).collect().is_empty()


@given(st.lists(st.text("0a", min_size=16, max_size=16), max_size=6, unique=True))
def test_summaries_render_to_as_many_events_of_different_names(summaries: list[str]) -> None:
    rows = frame(OPEN_SUMMARIES, [{"summary": s, "cluster": "c"} for s in summaries])
    found = render(rows, frame(NODES, []), now=at(0), look=Look())
    assert found.collect()["name"].n_unique() == len(summaries) == len(found.collect())
