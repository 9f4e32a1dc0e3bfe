"""A batch with all that goes into it: rows, outcomes, silence and state. Cuts and replays are in test_splitting."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher import schema
from batcher.decode import Decoded, decode
from batcher.pipeline import STATE_KEYS, Change, Result, Rules, advance, empty_state, run
from batcher.redact import Redaction
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from batcher.stages.filter import Filter, FilterRule
from batcher.stages.match import Match
from batcher.stages.route import Route, Where
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES
from batcher.telemetry import Action, RuleCount
from tests.sections import STREAM, event, watched

START = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
MICROS = int(START.timestamp()) * 1_000_000
RULES = Rules(
    mapping=(Rule("*", "web", "root:shop", "shop"),),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(minutes=30),
    prefix=True,
    owner=True,
)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


NOTHING = pl.DataFrame(schema=OUTCOMES)


def decoded(*sections: Section, minute: float) -> Decoded:
    """What ``sections`` decode to, received together at ``minute``."""
    received_at = MICROS + int(minute * 60_000_000)
    received = [msgspec.structs.replace(section, received_at=received_at) for section in sections]
    return decode([(Place(1, int(minute * 10) + 1), received)])


class Story:
    """Batches one after the other, each over what was received since the one before."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.state, self.number = rules, empty_state(), 0

    def batch(self, *sections: Section, minute: float, told: pl.DataFrame = NOTHING) -> Result:
        self.number += 1
        taken = decoded(*sections, minute=minute)
        result = run(taken, told, self.state, batch=self.number, now=at(minute), rules=self.rules)
        self.state = advance(self.state, result.changes)
        return result

    def told(self, written: Sequence[bool]) -> pl.DataFrame:
        """An outcome for each open summary that has a workspace, in order of their names."""
        waiting = self.state["open_summaries"].filter(pl.col("workspace") != "").sort("summary")
        told = waiting.select("summary", "version").with_columns(
            resource_version=pl.lit("7"), at=pl.lit(START).cast(schema.TIME)
        )
        answers = pl.DataFrame({"written": list(written[: len(told)])}, schema={"written": pl.Boolean})
        both = pl.concat([told.head(len(answers)), answers], how="horizontal")
        refusal = pl.when("written").then(pl.lit("")).otherwise(pl.lit("Invalid"))
        return both.with_columns(refusal=refusal).select(*OUTCOMES)


def counts(result: Result) -> dict[str, int]:
    """The sums that are not zero."""
    return {name: number for name, number in result.sums.items() if number}


def test_a_batch_says_what_became_of_every_line() -> None:
    own = {"name": "x", "uid": "x", "resourceVersion": "1", "labels": {"batcher.kcp.io/kind": "summary"}}
    result = Story().batch(
        watched(event("a", 1, count=3), event("a", 1, count=3), event("b", 2, namespace="api"),
                event("o", 3, metadata=own), b"no json"),
        minute=0,
    )  # fmt: skip
    assert counts(result) == {
        "received": 5, "revisions": 2, "repeats": 1, "ignored": 1, "quarantined": 1, "occurrences": 4, "kept": 1,
        "unmapped": 1, "opened": 2,
    }  # fmt: skip
    assert result.tables["batches"].row(0)[:2] == (1, START)
    assert result.tables["batches"].schema == schema.BATCHES
    assert result.tables["quarantine"].select("batch", "cause").rows() == [(1, "not-json")]
    assert result.tables["occurrences"].select("batch", "name", "grew", "verdict", "target_namespace").rows() == [
        (1, "a.1", 3, "kept", "shop"), (1, "b.1", 1, "unmapped", ""),
    ]  # fmt: skip


NOISE = Filter(
    (
        FilterRule("seen", Action.SHADOW, Match(types=("Warning",))),
        FilterRule("noise", Action.DROP, Match(objects=("pod/b*",))),
        FilterRule("behind", Action.DROP, Match(objects=("pod/b",))),
    )
)


def test_what_is_filtered_is_archived_with_its_rule_and_is_part_of_no_summary() -> None:
    routes = (Route("any", mapped=True, elsewhere=(Where("root:sre"),)), Route("quiet", Match(objects=("pod/b",))))
    story = Story(replace(RULES, filter=NOISE, routes=routes))
    result = story.batch(watched(event("a", 1), event("b", 2, count=3), event("b2", 3, namespace="api")), minute=0)
    assert counts(result) == {
        "received": 3, "revisions": 3, "occurrences": 5, "kept": 1, "filtered": 2, "opened": 2,
    }  # fmt: skip
    assert result.tables["occurrences"].select("name", "verdict", "shadowed").rows() == [
        ("a.1", "kept", "seen"), ("b.1", "filtered:noise", "seen"), ("b2.1", "filtered:noise", "seen"),
    ]  # fmt: skip
    assert story.state["open_summaries"]["regarding_name"].unique().to_list() == ["a"]
    assert result.clusters["us-west1"]["occurrences"] == 5


def test_a_batch_says_what_each_rule_did_also_those_that_did_nothing() -> None:
    story = Story(replace(RULES, filter=NOISE))
    result = story.batch(watched(event("a", 1), event("b", 2, count=3), event("b2", 3)), minute=1)
    at_, position = MICROS + 60_000_000, result.tables["occurrences"]["position"].to_list()
    assert result.rules == (
        RuleCount("seen", Action.SHADOW, at_, 3, hits=3, occurrences=5, matches=3, last_at=at_,
                  last_position=position[2]),
        RuleCount("noise", Action.DROP, at_, 3, hits=2, occurrences=4, matches=2, last_at=at_,
                  last_position=position[2]),
        RuleCount("behind", Action.DROP, at_, 3, matches=1, taken={"noise": 1}),
    )  # fmt: skip
    idle = story.batch(minute=2).rules
    assert [(count.name, count.rows, count.hits) for count in idle] == [
        ("seen", 0, 0),
        ("noise", 0, 0),
        ("behind", 0, 0),
    ]


def test_what_is_taken_out_of_the_archive_is_in_no_table_of_it_and_goes_to_the_workspace_all_the_same() -> None:
    story = Story(replace(RULES, redact_archive=(Redaction("fail(ed)", "$1"),)))
    first = story.batch(watched(event("a", 1)), minute=0)
    assert first.tables["occurrences"]["message"].to_list() == ["Back-off restarting ed container"]
    assert story.state["open_summaries"]["message"].to_list() == ["Back-off restarting failed container"]
    last = story.batch(minute=6, told=story.told([False]))
    assert last.tables["summaries"]["message"].to_list() == ["Back-off restarting ed container"]
    (dead,) = last.tables["dead_letters"].to_dicts()
    assert dead["message"] == "Back-off restarting ed container"
    assert json.loads(dead["event"])["message"] == "[us-west1] Back-off restarting ed container"


def test_what_is_taken_out_of_what_is_published_is_in_the_rendered_text_alone() -> None:
    story = Story(replace(RULES, redact_publish=(Redaction("failed", "***"),)))
    story.batch(watched(event("a", 1)), minute=0)
    (dead,) = story.batch(minute=6, told=story.told([False])).tables["dead_letters"].to_dicts()
    assert dead["message"] == "Back-off restarting failed container"
    assert json.loads(dead["event"])["message"] == "[us-west1] Back-off restarting *** container"


def test_a_written_summary_ends_published_once_it_is_silent_and_its_slot_is_archived() -> None:
    story = Story()
    story.batch(watched(event("a", 1, count=3)), minute=0)
    assert counts(story.batch(minute=5, told=story.told([True]))) == {"writes": 1}
    last = story.batch(minute=5.1)
    assert counts(last) == {"published": 1, "slots": 1}
    (slot,) = last.tables["summaries"].to_dicts()
    assert (slot["batch"], slot["closed_at"], slot["slot"], slot["occurrences"]) == (3, at(5.1), 0, 3)
    assert story.state["open_summaries"].is_empty()
    assert story.state["open_slots"].is_empty()


def test_a_silent_summary_waits_until_its_last_totals_are_written() -> None:
    story = Story()
    story.batch(watched(event("a", 1)), minute=0)
    story.batch(minute=6)
    assert story.state["open_summaries"]["closed"].to_list() == [True]
    assert story.batch(minute=6.5).changes["open_summaries"].put.is_empty()
    assert counts(story.batch(minute=7, told=story.told([True]))) == {"writes": 1, "published": 1}


def test_an_outcome_of_older_totals_ends_nothing() -> None:
    story = Story()
    story.batch(watched(event("a", 1)), minute=0)
    stale = story.told([True])
    story.batch(watched(event("a", 2, count=2)), minute=1)
    assert counts(story.batch(minute=9, told=stale)) == {"writes": 1, "slots": 1}
    assert story.state["open_summaries"].select("written_version", "version", "closed").rows() == [(1, 2, True)]


def test_a_refused_summary_ends_in_the_dead_letters_with_its_event_and_the_reason() -> None:
    story = Story()
    story.batch(watched(event("a", 1, count=3)), minute=0)
    result = story.batch(minute=6, told=story.told([False]))
    assert counts(result) == {"dead_lettered": 1, "slots": 1}
    (dead,) = result.tables["dead_letters"].to_dicts()
    assert (dead["batch"], dead["died_at"], dead["refusal"], dead["occurrences"]) == (2, at(6), "Invalid", 3)
    assert (dead["workspace"], dead["target_namespace"]) == ("root:shop", "shop")
    assert json.loads(dead["event"])["message"] == "[us-west1] Back-off restarting failed container"
    assert result.tables["dead_letters"].schema == schema.DEAD_LETTERS


def test_a_summary_without_a_workspace_ends_archived_and_is_never_written() -> None:
    story = Story()
    story.batch(watched(event("a", 1, namespace="api")), minute=0)
    assert counts(story.batch(minute=6)) == {"archived": 1, "slots": 1}


def test_what_happens_again_after_the_silence_opens_another_summary() -> None:
    story = Story()
    story.batch(watched(event("a", 1)), minute=0)
    first = story.state["open_summaries"]["summary"].to_list()
    assert counts(story.batch(watched(event("a", 2, count=2)), minute=6))["opened"] == 1
    assert len({*first, *story.state["open_summaries"]["summary"]}) == 2


def test_a_summary_that_goes_on_is_archived_slot_by_slot() -> None:
    story = Story()
    slots = [story.batch(watched(event("a", n, count=n)), minute=4 * n).tables["summaries"] for n in range(1, 10)]
    assert pl.concat(slots).select("batch", "slot", "occurrences").rows() == [(9, 0, 8)]
    assert story.state["open_slots"].select("slot", "occurrences").rows() == [(1, 1)]
    assert story.state["open_summaries"]["occurrences"].to_list() == [9]


def test_an_identity_is_taken_out_of_the_state_two_ttls_after_it_was_touched() -> None:
    story = Story()
    story.batch(watched(event("a", 1)), minute=0)
    story.batch(watched(event("b", 2)), minute=60)
    heard = 5  # an hour without contact is five minutes of the cluster's clock
    for minute in range(65, 180, 5):
        story.batch(watched(), minute=minute)
        heard += 5
    assert (heard, len(story.state["seen"])) == (120, 2)
    story.batch(minute=40_000)
    assert len(story.state["seen"]) == 2
    story.batch(watched(), minute=180)
    assert story.state["seen"]["resource_version"].to_list() == [2]


def test_the_identities_of_a_cluster_that_nobody_hears_of_for_a_month_are_taken_out_of_the_state() -> None:
    story, month = Story(), 30 * 24 * 60
    story.batch(watched(event("a", 1)), minute=0)
    story.batch(minute=month)
    assert len(story.state["seen"]) == 1
    story.batch(minute=month + 1)
    assert story.state["seen"].is_empty()


def test_nothing_of_a_cluster_that_is_out_of_reach_is_forgotten_while_others_are_listened_to() -> None:
    story, elsewhere = Story(), Stream("uid-eu", "events")
    story.batch(watched(event("a", 1)), minute=0)
    for minute in range(0, 301, 5):
        story.batch(watched(stream=elsewhere), minute=minute)
    assert len(story.state["seen"]) == 1


def test_each_cluster_forgets_by_its_own_ttl() -> None:
    rules = replace(RULES, event_ttl=timedelta(hours=3), event_ttls={"us-west1": timedelta(minutes=10)})
    for name, left in (("us-west1", 0), ("eu", 1)):
        story = Story(rules)
        for minute in range(0, 26, 5):
            section = watched(event("a", 1)) if minute == 0 else watched()
            story.batch(msgspec.structs.replace(section, cluster=name), minute=minute)
        assert len(story.state["seen"]) == left


RESTORED = Stream("uid-us", "events", "", 1)


def test_a_restored_cluster_is_counted_on_from_what_its_emitters_remember() -> None:
    story = Story()
    story.batch(watched(event("a", 60, count=50)), minute=0)
    story.batch(watched(event("a", 100, count=80), event("b", 101, count=3)), minute=1)
    listed = watched(event("a", 60, count=50), stream=RESTORED)
    assert counts(story.batch(listed, minute=2)) == {"received": 1, "revisions": 1, "kept": 1}
    assert story.batch(watched(event("a", 61, count=81), stream=RESTORED), minute=3).sums["occurrences"] == 1
    again = watched(event("b", 62, count=4), stream=RESTORED)
    result = story.batch(again, watched(event("a", 102, count=99)), minute=4)
    assert counts(result) == {"received": 2, "revisions": 1, "repeats": 1, "occurrences": 1, "kept": 1}
    assert result.tables["occurrences"]["incarnation"].to_list() == [1]


def test_what_a_restored_cluster_shows_again_opens_no_summary_and_changes_none() -> None:
    story = Story()
    story.batch(watched(event("a", 60, count=50)), minute=0)
    story.batch(minute=20, told=story.told([True]))
    shown = watched(event("a", 60, count=50), stream=RESTORED)
    assert counts(story.batch(shown, minute=30)) == {"received": 1, "revisions": 1, "kept": 1}
    assert story.state["open_summaries"].is_empty()


def test_a_repeat_keeps_its_identity_in_the_state() -> None:
    story, same = Story(), watched(event("a", 1))
    story.batch(same, minute=0)
    story.batch(same, minute=100)
    sums = story.batch(same, minute=210).sums
    assert (sums["revisions"], sums["repeats"]) == (0, 1)


def test_only_a_slot_that_is_over_leaves_the_state() -> None:
    story = Story()
    story.batch(watched(event("a", 1)), minute=0)
    assert story.batch(watched(event("a", 2, count=2)), minute=4).changes["open_slots"].removed.is_empty()
    assert len(story.batch(minute=10).changes["open_slots"].removed) == 1


def test_what_ends_is_archived_in_the_same_order_however_the_state_lies() -> None:
    story = Story()
    story.batch(*(watched(event(name, n, namespace="api")) for n, name in enumerate("dbca", 1)), minute=0)
    turned = {name: table.reverse() for name, table in story.state.items()}
    for state in (story.state, turned):
        result = run(decoded(minute=9), NOTHING, state, batch=2, now=at(9), rules=RULES)
        assert result.tables["summaries"]["regarding_name"].to_list() == ["a", "b", "c", "d"]


def test_a_cluster_out_of_reach_for_longer_than_its_ttl_is_a_gap() -> None:
    story, contact = Story(), Section(STREAM, "us-west1", Kind.CONTACT)
    story.batch(contact, minute=0)
    assert counts(story.batch(contact, minute=60)) == {}
    result = story.batch(contact, minute=121)
    assert counts(result) == {"gaps": 1}
    assert result.tables["gaps"].select("batch", "cluster", "from_at", "to_at").rows() == [
        (3, "us-west1", at(60), at(121))
    ]
    assert story.state["contacts"]["received_at"].to_list() == [at(121)]


def test_each_cluster_is_told_its_events_occurrences_warnings_and_lag() -> None:
    calm = event("b", 2, count=4, type="Normal")
    listed, ahead = event("c", 3, type="Normal", minute=1), event("d", 4, type="Normal", minute=30)
    result = Story().batch(
        watched(event("a", 1, count=3), event("a", 1, count=3), calm, ahead),
        Section(STREAM, "us-west1", Kind.LISTED, None, 1, listed + b"\n"),
        minute=2,
    )
    assert result.clusters == {"us-west1": {"events": 5, "occurrences": 9, "warnings": 3, "lag_ms": 80_000}}


@pytest.mark.parametrize(
    ("owner", "expected"),
    [(True, ("Deployment", "web")), (False, ("Pod", "web-7c5d8f9b6-x2z4t"))],
)
def test_lines_are_about_the_owner_unless_told_otherwise_and_the_archive_keeps_the_object(
    owner: bool,  # noqa: FBT001
    expected: tuple[str, str],
) -> None:
    story = Story(replace(RULES, owner=owner))
    result = story.batch(watched(event("web-7c5d8f9b6-x2z4t", 1)), minute=0)
    assert story.state["open_summaries"].select("regarding_kind", "regarding_name").row(0) == expected
    assert result.tables["occurrences"]["regarding_kind"].to_list() == ["Pod"]


def test_a_change_replaces_rows_of_the_same_key_and_leaves_the_others() -> None:
    def contacts(**minutes: float) -> pl.DataFrame:
        rows = [
            {"cluster_key": 0, "cluster_uid": uid, "cluster": uid, "scope": "", "incarnation": 0, "received_at": at(m)}
            for uid, m in minutes.items()
        ]
        return pl.DataFrame(rows, schema=schema.CONTACTS)

    keys = STATE_KEYS["contacts"]
    same = {name: Change(table, table.select(STATE_KEYS[name])) for name, table in empty_state().items()}
    before = empty_state() | {"contacts": contacts(a=0, b=0, c=0)}
    after = advance(before, same | {"contacts": Change(contacts(b=1, d=1), contacts(c=0).select(keys))})
    assert_frame_equal(after["contacts"], contacts(a=0, b=1, d=1))
    assert after.keys() == before.keys()


# A minute, an Event of two, its version and count, and what a workspace answers.
happenings = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 4, 6, 90]), st.sampled_from(["a", "b"]), st.integers(1, 4), st.integers(1, 4),
        st.sampled_from(["web", "api"]), st.lists(st.booleans(), max_size=2),
    ),
    min_size=1, max_size=8,
)  # fmt: skip
stories = settings(max_examples=max(5, settings().max_examples // 5))
"""A story is a batch of 30 ms a happening: a fifth of the examples of other properties."""


def told(happened: list[Any]) -> tuple[Story, list[Result]]:
    """A batch for each happening, the workspace answering in between, and one after all is silent."""
    story, results, minute = Story(), [], 0
    for wait, name, version, count, namespace, answers in happened:
        minute += wait
        section = watched(event(name, version, count=count, namespace=namespace))
        results.append(story.batch(section, minute=minute, told=story.told(answers)))
    results.append(story.batch(minute=minute + 6))
    return story, results


@stories
@given(happenings)
def test_every_summary_that_was_opened_ends_once_or_is_open_whatever_its_workspace_answers(happened: list[Any]) -> None:
    story, results = told(happened)
    ended = sum(r.sums["published"] + r.sums["dead_lettered"] + r.sums["archived"] for r in results)
    assert sum(r.sums["opened"] for r in results) == ended + len(story.state["open_summaries"])
    assert sum(r.sums["dead_lettered"] for r in results) == sum(len(r.tables["dead_letters"]) for r in results)
    assert story.state["open_slots"].is_empty()


@stories
@given(happenings)
def test_every_occurrence_is_in_one_archived_slot_whatever_its_workspace_answers(happened: list[Any]) -> None:
    _, results = told(happened)
    slots = pl.concat([r.tables["summaries"] for r in results])
    assert slots["occurrences"].sum() == sum(r.sums["occurrences"] for r in results)
    grown = pl.concat([r.tables["occurrences"] for r in results]).filter(pl.col("grew") > 0)
    assert slots["revisions"].sum() == len(grown)
    assert not slots.select("summary", "slot").is_duplicated().any()


@stories
@given(happenings, st.randoms(use_true_random=False))
def test_the_same_batch_gives_the_same_result_in_whatever_order_its_rows_and_state_lie(
    happened: list[Any], chance: Any
) -> None:
    sections = [watched(event(name, v, count=c, namespace=space)) for _, name, v, c, space, _ in happened]
    story = Story()
    story.batch(*sections[: len(sections) // 2], minute=0)
    taken, answers = decoded(*sections[len(sections) // 2 :], minute=7), story.told([True, False])

    def shuffled(table: pl.DataFrame) -> pl.DataFrame:
        return table.select(pl.all().gather(chance.sample(range(len(table)), len(table))))

    def result(lines: pl.DataFrame, state: dict[str, pl.DataFrame]) -> Result:
        return run(taken._replace(lines=lines), answers, state, batch=2, now=at(13), rules=RULES)

    straight = result(taken.lines, story.state)
    other = result(shuffled(taken.lines), {name: shuffled(table) for name, table in story.state.items()})
    assert (straight.sums, straight.clusters) == (other.sums, other.clusters)
    for name, table in straight.tables.items():
        assert_frame_equal(other.tables[name], table)
    for name, (put, removed) in straight.changes.items():
        assert_frame_equal(other.changes[name].put, put)
        assert_frame_equal(other.changes[name].removed, removed)
