"""Links over many batches: written once, the same wherever batches are cut, from a state that does not grow."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.causes import CauseRule, Side
from batcher.clock import to_micros
from batcher.decode import decode
from batcher.pipeline import STATE_COLUMNS, STATE_KEYS, Change, Result, Rules, State, advance, empty_state, run
from batcher.pipeline.chains import NOT_MOVED, Chains, chains, news
from batcher.schema import LINKS, OCCURRENCES, SUMMARY_KEY, TIME, Columns
from batcher.spool import Stream
from batcher.spool.position import Place
from batcher.stages.aggregate import summary_id
from batcher.stages.render import Look, render
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES
from tests import sections
from tests.stages.rows import START, at, frame

MINE = (
    CauseRule("one", Side(("A",)), Side(("B",)), "object", timedelta(minutes=1), 0.9),
    CauseRule("two", Side(("B",)), Side(("C",)), "object", timedelta(minutes=3), 0.8),
    CauseRule("three", Side(("A",)), Side(("C",)), "node", timedelta(minutes=2), 0.8),
    CauseRule("four", Side(("C",)), Side(("D",)), "owner", timedelta(minutes=2), 0.7),
    CauseRule("five", Side(("A",)), Side(("D",)), "object", timedelta(minutes=1), 0.95),
)
RULES = Rules(
    mapping=(),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(minutes=30),
    prefix=True,
    owner=True,
    chains=MINE,
)
PARTS: Columns = {**dict.fromkeys(SUMMARY_KEY, pl.String()), "began_at": TIME, "position": pl.Int64}

TABLES = ("happenings", "known_links", "causes", "pods")

Rows = Sequence[dict[str, Any]]


def row(minute: float, reason: str, name: str = "web-7c5d8f9b6d-x2z4t", **more: Any) -> dict[str, Any]:
    return {
        "position": int(minute * 60_000), "received_at": at(minute), "last_at": at(minute), "grew": 1, "cluster": "us",
        "cluster_uid": "u", "reason": reason, "regarding_kind": "Pod", "regarding_name": name, "namespace": "shop",
        "regarding_namespace": "shop", "component": "kubelet", "host": "n1", "workspace": "root:shop",
        "target_namespace": "shop",
    } | more  # fmt: skip


def parted(rows: Rows) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Rows in sessions, and what they add: each object and reason is one summary."""
    parts = frame(PARTS, rows).with_row_index("part")
    return parts, parts.select("part", summary=summary_id())


class Story:
    """The chains of one batch after the other; each object and reason is one summary."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.number, self.state = rules, 0, empty_state()

    def batch(self, *rows: dict[str, Any], minute: float, moved: Rows = ()) -> Chains:
        self.number += 1
        located = frame(OCCURRENCES, rows)
        parts = parted([{name: each[name] for name in PARTS if name in each} for each in rows])
        done = chains(
            news(located, self.state["happenings"], self.rules),
            *parts,
            frame(dict(NOT_MOVED.schema), moved),
            self.state,
            batch=self.number,
            now=at(minute),
            rules=self.rules,
        )
        self.state = advance(self.state, changes(done, self.state))
        return done


def changes(done: Chains, state: State) -> dict[str, Change]:
    nothing = {name: Change(table.clear(), table.clear().select(STATE_KEYS[name])) for name, table in state.items()}
    return nothing | {name: Change(getattr(done, name), getattr(done, f"{name}_gone")) for name in TABLES}


def ways(links: pl.DataFrame) -> list[tuple[str, str, float]]:
    return links.select("rule", "path", "root_confidence").rows()


def test_a_link_is_written_when_its_lag_the_skew_and_the_lateness_are_over_and_never_again() -> None:
    story = Story()
    assert story.batch(row(0, "A"), row(0.5, "B"), minute=0.5).links.is_empty()
    assert story.batch(minute=5).links.is_empty()
    done = story.batch(minute=5.1)
    assert ways(done.links) == [("one", "A > B", 0.675)]
    (link,) = done.links.to_dicts()
    assert (link["batch"], link["final_at"]) == (3, at(5))
    assert (link["cause_at"], link["effect_at"], link["effect_name"]) == (at(0), at(0.5), "web-7c5d8f9b6d-x2z4t")
    assert done.links.schema == LINKS
    assert story.batch(minute=99).links.is_empty()


def test_a_guess_is_told_at_once_and_replaced_by_what_is_final() -> None:
    story = Story()
    story.batch(row(0, "A"), row(0.5, "B"), row(0.6, "C"), minute=1)
    assert ways_known(story) == [("A > B", False), ("A > B > C", False)]
    story.batch(row(1.5, "B", last_at=at(0.55), position=7), minute=1.5)
    story.batch(minute=10)
    assert ways_known(story) == [("A > B", True), ("A > B > C", True)]


def ways_known(story: Story) -> list[tuple[str, bool]]:
    return story.state["causes"].sort("path").select("path", "is_final").rows()


def test_a_cause_that_comes_after_its_effect_was_guessed_at_is_found_when_it_is_final() -> None:
    story = Story()
    story.batch(row(1, "B"), minute=1)
    assert story.state["causes"].is_empty()
    story.batch(row(2, "A", last_at=at(0.9)), minute=2)
    assert ways(story.batch(minute=30).links) == [("one", "A > B", 0.855)]


def test_an_effect_waits_for_the_cause_of_its_cause() -> None:
    """C is received two minutes before the B that led to it, and judged after it."""
    story = Story(replace(RULES, chains=(MINE[0], replace_lag(MINE[1], minutes=1))))
    rows = [row(1, "C"), row(1.9, "B", last_at=at(0.9), position=200_000), row(2.9, "A", last_at=at(0.8))]
    for each in rows:
        story.batch(each, minute=each["received_at"].minute + 1)
    found = [story.batch(minute=minute).links for minute in (5.6, 6, 6.1, 8)]
    assert [ways(links) for links in found] == [[], [], [("two", "A > B > C", 0.65), ("one", "A > B", 0.855)], []]
    assert found[2]["final_at"].to_list() == [at(6), at(6)]


def test_a_guess_delays_nothing() -> None:
    """D is guessed to come from C, which is judged a minute later than D is, and turns out to come from A."""
    story = Story()
    story.batch(row(0, "C"), row(0.1, "D"), minute=0.2)
    assert ways_known(story) == [("C > D", False)]
    story.batch(row(1, "A", last_at=at(0.05)), minute=1)
    assert story.batch(minute=5.1).links.select("path", "final_at").rows() == [("A > D", at(5))]


def replace_lag(rule: CauseRule, **lag: float) -> CauseRule:
    return rule._replace(largest_lag=timedelta(**lag))


def test_the_same_happening_within_a_minute_is_one_however_many_rows_tell_of_it() -> None:
    story = Story()
    story.batch(*(row(n / 100, "A") for n in range(50)), minute=0.5)
    story.batch(*(row(0.5 + n / 100, "A") for n in range(60)), minute=1.2)
    assert story.state["happenings"]["received_at"].to_list() == [at(0), at(1)]


def test_a_hundred_objects_of_a_namespace_a_minute_take_part_warnings_and_others_each() -> None:
    story = Story()
    pods = [row(n / 1000, "A", f"pod-{n}", type=type_) for n in range(150) for type_ in ("Normal",)]
    story.batch(*pods[:60], minute=0.06)
    story.batch(*pods[60:], row(0.2, "A", "other", namespace="bank", regarding_namespace="bank"), minute=0.3)
    bad = [row(0.3 + n / 1000, "A", f"bad-{n}", type="Warning") for n in range(150)]
    story.batch(*bad, minute=0.5)
    by = story.state["happenings"].group_by("regarding_namespace", "is_warning").len().sort("len")
    assert by.rows() == [("bank", False, 1), ("shop", False, 100), ("shop", True, 100)] or by["len"].to_list() == [
        1,
        100,
        100,
    ]
    assert "pod-99" in story.state["happenings"]["regarding_name"]


def test_what_can_no_longer_matter_leaves_the_state() -> None:
    story = Story()
    story.batch(row(0, "A"), row(0.5, "B"), row(0.9, "C"), row(1.2, "D"), minute=2)
    assert len(story.state["happenings"]) == 4
    story.batch(minute=15)
    story.batch(minute=60)
    assert len(story.state["happenings"]) == 0
    assert len(story.state["known_links"]) == 3
    story.batch(minute=70)
    assert story.state["known_links"].is_empty()


def test_pods_are_forgotten_a_day_after_they_were_told_last() -> None:
    story = Story()
    story.batch(row(0, "A"), row(0.1, "A", host="n2"), row(0.2, "A", "db-0"), minute=1)
    assert story.state["pods"].select("name", "node").sort("name").rows() == [
        ("db-0", "n1"),
        ("web-7c5d8f9b6d-x2z4t", "n2"),
    ]
    assert story.batch(row(2, "A", "db-0"), minute=3).pods.is_empty()
    story.batch(row(24 * 60, "A", "db-0"), minute=24 * 60)
    story.batch(minute=25 * 60)
    assert story.state["pods"]["name"].to_list() == ["db-0"]


def test_a_pod_is_where_it_was_told_to_be_before_the_row() -> None:
    """A StatefulSet's Pod has moved by the time that its cause is chosen."""
    story = Story(replace(RULES, chains=(CauseRule("n", Side(("A",)), Side(("B",)), "node"),)))
    lost = {"component": "node-controller", "host": ""}
    node = {"regarding_kind": "Node", "regarding_namespace": ""}
    story.batch(
        row(0, "Z", "db-0", host="n1"), row(1, "A", "n1", **node, **lost), row(2, "B", "db-0", **lost), minute=2
    )
    story.batch(row(3, "Z", "db-0", host="n2"), row(3.1, "A", "n2", **node, **lost), minute=4)
    assert story.batch(minute=60).links["cause_name"].to_list() == ["n1"]


def test_a_pod_whose_node_is_told_only_after_the_row_is_found_there() -> None:
    story = Story(replace(RULES, chains=(CauseRule("n", Side(("A",)), Side(("B",)), "node"),)))
    lost = {"component": "node-controller", "host": ""}
    node = {"regarding_kind": "Node", "regarding_namespace": ""}
    story.batch(row(0, "A", "n1", **node, **lost), row(1, "B", **lost), minute=1)
    story.batch(row(2, "B", host="n1"), minute=2)
    assert story.batch(minute=60).links.select("path", "effect_at").rows() == [("A > B", at(1))]


def test_a_row_that_no_summary_counts_can_be_a_cause() -> None:
    """A route archives it only."""
    story = Story()
    story.batch(row(0, "A"), minute=0.1)
    located = frame(OCCURRENCES, [row(0.5, "B")])
    told = news(located, story.state["happenings"], RULES)
    done = chains(told, *parted([]), NOT_MOVED.lazy(), story.state, batch=2, now=at(1), rules=RULES)
    story.state = advance(story.state, changes(done, story.state))
    story.batch(row(0.9, "C"), minute=1)
    links = story.batch(minute=60).links
    assert links.select("path", "cause_summary").rows() == [("A > B > C", "")]


def test_summaries_that_were_adopted_meanwhile_have_their_new_names_and_targets() -> None:
    story = Story()
    unmapped = {"workspace": "", "target_namespace": ""}
    story.batch(row(0, "A", **unmapped), row(0.5, "B", **unmapped), minute=1)
    was = dict(story.state["happenings"].select("reason", "summary").iter_rows())
    moved = [{"was": was[r], "summary": f"new-{r}", "workspace": "root:shop", "target_namespace": "shop"} for r in "AB"]
    story.batch(minute=2, moved=moved)
    known = story.state["causes"].select("summary", "root_summary", "root_workspace", "root_target_namespace")
    assert known.rows() == [("new-B", "new-A", "root:shop", "shop")]
    (link,) = story.batch(minute=60).links.to_dicts()
    assert (link["cause_summary"], link["effect_summary"], link["workspace"]) == ("new-A", "new-B", "root:shop")


def test_a_row_that_is_told_in_several_places_is_linked_where_it_is_mapped() -> None:
    story = Story()
    located = frame(OCCURRENCES, [row(0, "A"), row(0.5, "B")])
    copies = [{"position": each["position"], "reason": each["reason"], "workspace": place, "origin": origin}
              for each in (row(0, "A"), row(0.5, "B"))
              for place, origin in (("root:sre", "root:shop/shop"), ("root:shop", ""))]  # fmt: skip
    told = news(located, story.state["happenings"], RULES)
    chains_ = chains(told, *parted(copies), NOT_MOVED.lazy(), story.state, batch=1, now=at(60), rules=RULES)
    assert chains_.links.select("workspace", "effect_reason").rows() == [("root:shop", "B")]


happenings = st.lists(
    st.tuples(
        st.sampled_from([0, 0.1, 0.2, 0.4, 1, 2, 3, 90]), st.sampled_from("AABBCD"),
        st.sampled_from(["one-0", "one-1"]),
        st.sampled_from([0, 0, 0.2, 0.5, 1, 1.5, 6]), st.sampled_from(["n1", "n2", ""]),
    ),
    max_size=9,
)  # fmt: skip


def told(story: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows in the order of their receipt, some of them late."""
    minute, rows = 0.0, []
    for position, (wait, reason, name, late, host) in enumerate(story, 1):
        minute += wait
        rows.append(row(minute, reason, name, position=position, last_at=at(minute - late), host=host))
    return rows


def linked(parts: Sequence[Rows], rules: Rules = RULES) -> tuple[pl.DataFrame, Story]:
    """All links of one batch a part, each as of its last row, and of one long after."""
    story, minute, links = Story(rules), 0.0, []
    for part in (part for part in parts if part):
        minute = (max(each["received_at"] for each in part) - at(0)) / timedelta(minutes=1)
        links.append(story.batch(*part, minute=minute).links)
    links += [story.batch(minute=minute + later).links for later in (7, 90)]
    return pl.concat(links).drop("batch").sort("effect_position", "cause_position"), story


@given(happenings, st.lists(st.integers(0, 9), max_size=3))
def test_cutting_batches_anywhere_changes_no_link(story: Sequence[Any], cuts: list[int]) -> None:
    rows = told(story)
    ends = [0, *sorted(cuts), len(rows)]
    in_many = linked([rows[first:last] for first, last in pairwise(ends)])
    assert_frame_equal(in_many[0], linked([rows])[0])
    left = in_many[1].state
    assert (len(left["happenings"]), len(left["known_links"])) == (0, 0) or max(row[0] for row in story) == 90


@given(happenings, st.randoms(use_true_random=False))
def test_the_order_of_rows_in_a_batch_is_irrelevant(story: Sequence[Any], chance: Any) -> None:
    rows = told(story)
    assert_frame_equal(linked([chance.sample(rows, len(rows))])[0], linked([rows])[0])


@given(happenings)
def test_what_is_told_again_adds_nothing(story: Sequence[Any]) -> None:
    """A repeat has grown by nothing."""
    rows = told(story)
    again = [each | {"position": each["position"] + 100, "grew": 0} for each in rows]
    assert_frame_equal(linked([[*rows, *again]])[0], linked([rows])[0])


@given(happenings)
def test_no_link_is_there_twice_and_none_is_of_something_that_was_not_told(story: Sequence[Any]) -> None:
    rows = told(story)
    links = linked([rows])[0]
    assert set(links["effect_position"]) | set(links["cause_position"]) <= {each["position"] for each in rows}
    assert not links.select("effect_summary", "cause_summary", "final_at").is_duplicated().any()


@given(happenings)
def test_two_clusters_together_are_each_alone(story: Sequence[Any]) -> None:
    rows = told(story)
    others = [each | {"cluster_uid": "v", "cluster": "eu", "position": each["position"] + 100} for each in rows]
    both = linked([[*rows, *others]])[0].filter(cluster="us")
    assert_frame_equal(both, linked([rows])[0])


@pytest.mark.parametrize("name", TABLES)
def test_what_a_batch_says_of_the_state_has_the_columns_of_the_state(name: str) -> None:
    story = Story()
    done = story.batch(row(0, "A"), row(0.5, "B"), minute=1)
    assert getattr(done, name).schema == STATE_COLUMNS[name]
    assert getattr(done, f"{name}_gone").columns == list(STATE_KEYS[name])


MAPPED = replace(
    RULES,
    mapping=(Rule("*", "web", "root:shop", "shop"), Rule("*", "bank", "root:bank", "bank")),
    chains=(CauseRule("noisy", Side(("Burning",)), Side(("Slow",)), "node"),),
)


def event(reason: str, kind: str, name: str, namespace: str, message: str, *, host: str = "", minute: int = 0) -> bytes:
    regarding = {"apiVersion": "v1", "kind": kind, "name": name, "namespace": "" if kind == "Node" else namespace}
    source = {"component": "kubelet" if host else "node-controller", "host": host}
    return sections.event(f"{reason}.{name}", 1, namespace=namespace, minute=minute, reason=reason, message=message,
                          involvedObject=regarding, source=source)  # fmt: skip


def run_over(*events: bytes, rules: Rules = MAPPED) -> tuple[Result, State]:
    """One batch over ``events``, received at 16:05."""
    now = datetime(2026, 11, 23, 16, 5, tzinfo=UTC)
    decoded = decode([(Place(1, 1), [sections.watched(*events, at=to_micros(now))])])
    result = run(decoded, pl.DataFrame(schema=OUTCOMES), empty_state(), batch=1, now=now, rules=rules)
    return result, advance(empty_state(), result.changes)


def causes_told(state: State, workspace: str) -> dict[str, str | None]:
    """The annotation on each Event for ``workspace``, by reason; nothing of a canary is anywhere in one."""
    summaries = state["open_summaries"].lazy().filter(pl.col("workspace") == workspace)
    told = render(summaries, state["nodes"].lazy(), now=START, look=Look(), causes=state["causes"].lazy()).collect()
    assert "canary" not in "".join(told["event"])
    events = [msgspec.json.decode(each) for each in told["event"]]
    return {each["reason"]: each["metadata"]["annotations"].get("batcher.kcp.io/cause") for each in events}


def test_a_tenant_reads_why_and_neither_nodes_nor_what_is_another_tenants() -> None:
    _, state = run_over(
        event("NodeNotReady", "Node", "canary-node", "default", "Node canary-node status is now: NodeNotReady"),
        event("Burning", "Pod", "canary-pod", "bank", "canary-pod of canary-node burns", host="canary-node", minute=1),
        event("Unhealthy", "Pod", "front", "web", "Readiness probe failed: ", host="canary-node", minute=2),
        event("Slow", "Pod", "front", "web", "slow", host="canary-node", minute=2),
        event("OOMKilling", "Pod", "front", "web", "Memory cgroup out of memory", host="canary-node", minute=2),
        event("BackOff", "Pod", "front", "web", "Back-off restarting failed container", host="canary-node", minute=3),
    )
    assert causes_told(state, "root:shop") == {
        "Unhealthy": "a node of the cluster was not ready at 16:00Z",
        "Slow": "Burning elsewhere in the cluster at 16:01Z",
        "BackOff": "OOMKilling of Pod front at 16:02Z",
        "OOMKilling": None,
    }


def test_the_cause_of_a_dead_letter_is_in_its_event() -> None:
    result, state = run_over(
        event("OOMKilling", "Pod", "front", "web", "Memory cgroup out of memory", host="n", minute=2),
        event("BackOff", "Pod", "front", "web", "Back-off restarting failed container", host="n", minute=3),
    )
    assert result.sums["links"] == 0
    open_ones = state["open_summaries"].filter(reason="BackOff")
    refused = open_ones.select("summary", "version", written=pl.lit(value=False), refusal=pl.lit("Invalid"),
                               resource_version=pl.lit(None, pl.String), at=pl.lit(START).cast(TIME))  # fmt: skip
    late = START + timedelta(hours=5)
    none = decode([])
    dead = run(none, refused.select(*OUTCOMES), state, batch=2, now=late, rules=MAPPED)
    (letter,) = dead.tables["dead_letters"].to_dicts()
    annotations = msgspec.json.decode(letter["event"])["metadata"]["annotations"]
    assert annotations["batcher.kcp.io/cause"] == "OOMKilling of Pod front at 16:02Z"
    assert dead.sums["links"] == len(dead.tables["links"]) == 1
    assert advance(state, dead.changes)["causes"].is_empty()


def test_links_name_the_summaries_of_the_archive() -> None:
    _, state = run_over(
        event("OOMKilling", "Pod", "front", "web", "Memory cgroup out of memory", host="n", minute=2),
        event("BackOff", "Pod", "front", "web", "Back-off restarting failed container", host="n", minute=3),
    )
    result = run(
        decode([]), pl.DataFrame(schema=OUTCOMES), state, batch=2, now=START + timedelta(hours=5), rules=MAPPED
    )
    named = dict(result.tables["summaries"].select("reason", "summary").iter_rows())
    (link,) = result.tables["links"].to_dicts()
    assert (link["cause_summary"], link["effect_summary"]) == (named["OOMKilling"], named["BackOff"])
    assert (link["workspace"], link["target_namespace"], link["cluster"]) == ("root:shop", "shop", "us-west1")
    assert result.tables["batches"]["links"].to_list() == [1]


def test_an_incident_names_the_likely_cause_and_only_what_its_namespaces_may_read() -> None:
    """What ran out of memory is told by its name, and the node that was lost without."""
    rules = replace(MAPPED, correlation_window=timedelta(minutes=10))
    told = [
        event("OOMKilling", "Pod", "front", "web", "Memory cgroup out of memory", host="canary-node", minute=1),
        event("BackOff", "Pod", "front", "web", "Back-off restarting failed container", host="canary-node", minute=2),
        event("NodeNotReady", "Node", "canary-node", "default", "canary-node is lost", minute=2),
        event("Unhealthy", "Pod", "back", "web", "Readiness probe failed: ", host="canary-node", minute=3),
    ]
    heard = to_micros(START + timedelta(hours=4, minutes=4))
    both = [sections.watched(*told, at=heard, stream=Stream(f"uid-{name}", "events")) for name in ("us", "eu")]
    named = [msgspec.structs.replace(section, cluster=name) for section, name in zip(both, ("us", "eu"), strict=True)]
    now, nothing = START + timedelta(hours=4, minutes=5), pl.DataFrame(schema=OUTCOMES)
    result = run(decode([(Place(1, 1), named)]), nothing, empty_state(), batch=1, now=now, rules=rules)
    state = advance(empty_state(), result.changes)
    causes_told(state, "root:shop")
    later = run(decode([]), nothing, state, batch=2, now=now + timedelta(hours=1), rules=rules)
    assert dict(later.tables["incidents"].select("reason", "cause").iter_rows()) == {
        "BackOff": "OOMKilling of Pod front at 16:01Z",
        "OOMKilling": "",
        "Unhealthy": "a node of the cluster was not ready at 16:02Z",
    }
