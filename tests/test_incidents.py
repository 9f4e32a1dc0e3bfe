"""Incidents through whole batches: two clusters with one trouble, told once, to those it concerns and no others."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher import schema
from batcher.decode import decode
from batcher.pipeline import Result, Rules, advance, empty_state, run
from batcher.spool import Section, Stream
from batcher.spool.position import Place
from batcher.stages.carry import is_due_to_change
from batcher.stages.render import Look, render
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES, due
from tests.sections import event, watched

START = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
MICROS = int(START.timestamp()) * 1_000_000
RULES = Rules(
    mapping=(
        Rule("*", "web", "root:shop", "shop"),
        Rule("*", "api", "root:shop", "api"),
        Rule("*", "jobs", "root:team-a"),
    ),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(minutes=30),
    prefix=True,
    owner=True,
    correlation_window=timedelta(minutes=10),
    correlation_longest=timedelta(hours=6),
)
NOTHING = pl.DataFrame(schema=OUTCOMES)
POD = "web-7c5d8f9b6-x2z4t"
PULL = 'Failed to pull image "ghcr.io/acme/web:1.42": not found'


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def said(cluster: str, name: str = POD, version: int = 1, **changes: Any) -> Section:
    """A warning of ``cluster``, about Pod ``name``."""
    section = watched(event(name, version, **changes), stream=Stream(f"uid-{cluster}", "events"))
    return msgspec.structs.replace(section, cluster=cluster)


class Story:
    """Batches one after the other; a workspace that takes whatever is due."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.state, self.number, self.place = rules, empty_state(), 0, 0
        self.tables: list[dict[str, pl.DataFrame]] = []
        self.outcomes = NOTHING
        self.kcp: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.writes = 0

    def batch(self, *sections: Section, minute: float, answered: bool = True) -> Result:
        return self.receive([(minute, sections)], now=minute, answered=answered)

    def receive(
        self, frames: Sequence[tuple[float, Sequence[Section]]], *, now: float, answered: bool = True
    ) -> Result:
        """One batch over ``frames``, each received at its minute; then the workspaces take what is due."""
        taken = []
        for minute, sections in frames:
            self.place += 1
            received_at = MICROS + int(minute * 60_000_000)
            taken.append(
                (Place(1, self.place), [msgspec.structs.replace(s, received_at=received_at) for s in sections])
            )
        self.number += 1
        result = run(decode(taken), self.outcomes, self.state, batch=self.number, now=at(now), rules=self.rules)
        self.state = advance(self.state, result.changes)
        self.tables.append(result.tables)
        self.outcomes = self._answers(now) if answered else NOTHING
        return result

    def _answers(self, now: float) -> pl.DataFrame:
        waiting = due(
            self.state["open_summaries"].lazy(),
            now=at(now), rewrite_after=timedelta(seconds=1), rewrite_most=timedelta(seconds=1),
        )  # fmt: skip
        written = render(waiting, self.state["nodes"].lazy(), now=at(now), look=Look()).collect()
        for row in written.iter_rows(named=True):
            self.kcp[row["workspace"], row["namespace"], row["name"]] = json.loads(row["event"])
            self.writes += 1
        told = {"resource_version": pl.lit("7"), "written": pl.lit(value=True), "refusal": pl.lit("")}
        return written.with_columns(**told, at=pl.lit(at(now)).cast(schema.TIME)).select(*OUTCOMES)

    def table(self, name: str) -> pl.DataFrame:
        return pl.concat([tables[name] for tables in self.tables])

    def incidents(self) -> list[dict[str, Any]]:
        return self.table("incidents").sort("began_at", "incident").to_dicts()

    def events(self, kind: str = "incident") -> list[dict[str, Any]]:
        """What the workspaces have by now, of ``kind``."""
        return [e for _, e in sorted(self.kcp.items()) if e["metadata"]["labels"]["batcher.kcp.io/kind"] == kind]


def written(story: Story) -> list[str]:
    """The messages of the incidents that the workspaces have."""
    return [event["message"] for event in story.events()]


def test_two_clusters_with_one_trouble_are_one_incident_in_their_namespace() -> None:
    story = Story()
    story.batch(said("us-west1", count=3, message=PULL, reason="Failed"), minute=2)
    assert story.events() == []
    story.batch(said("ap-1", type="Normal", reason="Pulled"), minute=3)
    story.batch(said("eu-1", count=2, message=PULL, reason="Failed", minute=1), minute=4)
    (told,) = story.events()
    (name,) = [name for _, _, name in story.kcp if name.startswith("incident-")]
    number = told["metadata"]["labels"]["batcher.kcp.io/incident"]
    assert name == f"incident-web.{number}"
    assert len(number) == 12
    assert told == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"batcher.kcp.io/kind": "incident", "batcher.kcp.io/incident": number},
            "annotations": {
                "kcp.io/workspace-path": "root:shop",
                "kcp.io/synced-at": "2026-11-23T16:04:00Z",
                "batcher.kcp.io/occurrences": "5",
                "batcher.kcp.io/objects": "1",
                "batcher.kcp.io/first-seen": "2026-11-23T16:00:00.000000Z",
                "batcher.kcp.io/last-seen": "2026-11-23T16:01:00.000000Z",
                "batcher.kcp.io/clusters": '{"us-west1":3,"eu-1":2}',
            },
        },
        "involvedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"},
        "related": None,
        "type": "Warning",
        "reason": "CorrelatedIncident",
        "message": "Failed in 2 of 3 clusters (us-west1 x3, eu-1 x2) since 16:00Z. "
        f"Members: kubectl get events -l batcher.kcp.io/incident={number}",
        "source": {"component": "batcher"},
        "reportingComponent": "batcher.kcp.io/batcher",
        "reportingInstance": "batcher",
        "firstTimestamp": "2026-11-23T16:00:00Z",
        "lastTimestamp": "2026-11-23T16:01:00Z",
        "count": 5,
    }


def labels(story: Story) -> dict[tuple[str, str], str]:
    """By cluster and reason of a summary's Event: the incident that it is a member of."""
    return {
        (event["metadata"]["labels"]["kcp.io/sync-target"], event["reason"]): event["metadata"]["labels"].get(
            "batcher.kcp.io/incident", ""
        )
        for event in story.events("summary")
    }


def test_members_are_found_by_the_label_of_their_incident_and_nothing_else_is() -> None:
    story = Story()
    story.batch(said("us-west1", count=3), said("us-west1", "other-7c5d8f9b6-x2z4t"), minute=0)
    probe = {"name": "probe", "namespace": "web", "uid": "p", "resourceVersion": "2"}
    story.batch(said("eu-1", count=2), said("eu-1", reason="Unhealthy", metadata=probe), minute=2)
    (told,) = story.events()
    number = told["metadata"]["labels"]["batcher.kcp.io/incident"]
    found = {(e["involvedObject"]["name"], e["reason"]): e["metadata"]["labels"] for e in story.events("summary")}
    assert found["web", "BackOff"]["batcher.kcp.io/incident"] == number
    assert "batcher.kcp.io/incident" not in found["other", "BackOff"]
    assert "batcher.kcp.io/incident" not in found["web", "Unhealthy"]
    assert labels(story)["us-west1", "BackOff"] == number


def test_a_summary_that_is_silent_is_labelled_as_long_as_a_second_cluster_may_join_it() -> None:
    story = Story()
    story.batch(said("us-west1", count=3), minute=0)
    assert story.batch(minute=6).sums["published"] == 0
    assert story.batch(minute=9.9).sums["published"] == 0
    story.batch(said("eu-1", count=2), minute=10)
    assert len(story.events()) == 1
    assert set(labels(story).values()) == {story.events()[0]["metadata"]["labels"]["batcher.kcp.io/incident"]}
    assert story.batch(minute=10.1).sums["published"] == 1


def test_a_summary_that_stays_alone_ends_when_no_second_cluster_can_join_it() -> None:
    story = Story()
    story.batch(said("us-west1", count=3), minute=0)
    story.batch(minute=6)
    assert story.batch(minute=10).sums["published"] == 0
    assert story.batch(minute=10.1).sums["published"] == 1
    assert story.state["members"].is_empty()
    assert story.incidents() == []


def test_a_second_cluster_after_the_window_makes_no_incident() -> None:
    story = Story()
    story.batch(said("us-west1"), minute=0)
    story.batch(said("eu-1"), minute=10.1)
    story.batch(minute=30)
    assert (story.events(), story.incidents()) == ([], [])


def test_an_incident_is_archived_once_when_it_has_been_silent() -> None:
    story = Story()
    story.batch(said("us-west1", count=3, message=PULL, reason="Failed"), minute=0)
    story.batch(said("ap-1", type="Normal", reason="Pulled"), minute=1)
    story.batch(said("eu-1", count=2, message=PULL, reason="Failed"), minute=2)
    story.batch(said("us-west1", POD, 2, count=7, message=PULL, reason="Failed"), minute=4)
    assert story.batch(minute=14).sums["incidents"] == 0
    assert story.batch(minute=14.1).sums["incidents"] == 1
    assert story.batch(minute=60).sums["incidents"] == 0
    (row,) = story.incidents()
    assert row["clusters"] == (
        '[{"cluster":"eu-1","occurrences":2,"first_seen":"2026-11-23T16:00:00.000000Z"},'
        '{"cluster":"us-west1","occurrences":7,"first_seen":"2026-11-23T16:00:00.000000Z"}]'
    )
    assert (row["absent"], row["namespaces"], row["cause"]) == ('["ap-1"]', '["shop"]', "")
    assert (row["reason"], row["dimension"], row["value"]) == ("Failed", "image", "ghcr.io/acme/web:1.42")
    assert (row["began_at"], row["ended_at"], row["closed_at"]) == (at(0), at(4), at(14.1))
    assert (row["members"], row["revisions"], row["occurrences"]) == (2, 3, 9)
    listed = json.loads(row["member_list"])
    assert [(m["cluster"], m["namespace"], m["name"], m["reason"], m["occurrences"]) for m in listed] == [
        ("eu-1", "shop", "web", "Failed", 2), ("us-west1", "shop", "web", "Failed", 7),
    ]  # fmt: skip
    assert story.state["members"].is_empty()
    assert story.state["open_summaries"].is_empty()


def test_what_goes_on_beyond_the_longest_duration_is_another_incident() -> None:
    story = Story(replace(RULES, correlation_longest=timedelta(minutes=30)))
    for n in range(1, 10):
        story.batch(said("us-west1", POD, n, count=n), said("eu-1", POD, n, count=n), minute=5 * n)
    story.batch(minute=60)
    found = [(row["began_at"], row["slot"], row["occurrences"]) for row in story.incidents()]
    assert found == [(at(5), 0, 12), (at(5), 1, 6)]


def test_clusters_of_two_workspaces_are_never_one_incident() -> None:
    rules = replace(RULES, mapping=(Rule("us-west1", "web", "root:shop"), Rule("eu-1", "web", "root:team-a")))
    story = Story(rules)
    story.batch(said("us-west1", message=PULL, reason="Failed"), minute=0)
    story.batch(said("eu-1", message=PULL, reason="Failed"), minute=1)
    story.batch(minute=20)
    assert (story.events(), story.incidents()) == ([], [])


def test_each_namespace_is_told_of_its_own_members_and_of_the_others_a_number() -> None:
    story = Story()
    story.batch(said("us-west1", count=3, message=PULL, reason="Failed"), minute=0)
    other = said("eu-1", "secret-plan-7c5d8f9b6-x2z4t", count=2, message=PULL, reason="Failed", namespace="api")
    story.batch(other, minute=1)
    api, shop = story.events()
    assert (api["metadata"]["namespace"], shop["metadata"]["namespace"]) == ("api", "shop")
    assert api["metadata"]["name"] == shop["metadata"]["name"]
    assert (api["involvedObject"]["name"], shop["involvedObject"]["name"]) == ("secret-plan", "web")
    assert shop["message"].endswith(" (1 more in 1 other namespace)")
    assert "secret-plan" not in json.dumps(shop)
    assert '"api"' not in json.dumps(shop)


def test_only_warnings_and_what_is_critical_can_be_an_incident() -> None:
    story = Story(replace(RULES, critical=("Killing",)))
    for reason in ("Pulled", "Killing"):
        story.batch(said("us-west1", reason, reason=reason, type="Normal"), minute=0)
        story.batch(said("eu-1", reason, reason=reason, type="Normal"), minute=1)
    (message,) = written(story)
    assert message.startswith("Killing in 2 of 2 clusters")


def test_what_waited_for_its_workspace_makes_no_incident_and_what_comes_after_does() -> None:
    story = Story(replace(RULES, mapping=(), hold=timedelta(hours=1)))
    for cluster in ("us-west1", "eu-1"):
        story.batch(said(cluster), minute=0)
    story.rules = RULES
    story.batch(minute=1)
    assert (len(story.events("summary")), story.events()) == (2, [])
    for cluster in ("us-west1", "eu-1"):
        story.batch(said(cluster, POD, 2, count=2), minute=2)
    assert [event["count"] for event in story.events()] == [2]


def test_what_is_folded_is_part_of_no_incident() -> None:
    story = Story(replace(RULES, max_keys=1))
    story.batch(said("us-west1", "first-7c5d8f9b6-x2z4t"), said("us-west1", version=2), minute=0)
    story.batch(said("eu-1"), minute=1)
    assert len(story.events("folded")) == 1
    assert story.events() == []
    story.batch(said("us-west1", "first-7c5d8f9b6-x2z4t", 3, count=2), said("ap-1"), minute=2)
    assert [message[:40] for message in written(story)] == ["BackOff in 2 of 3 clusters (ap-1 x1, eu-"]


def test_correlation_that_is_switched_off_ends_what_was_open_and_begins_nothing() -> None:
    story = Story()
    story.batch(said("us-west1"), said("eu-1"), minute=0)
    story.rules = replace(RULES, correlation_window=timedelta(0))
    assert story.batch(said("us-west1", POD, 2, count=2), minute=1).sums["incidents"] == 1
    story.batch(said("eu-1", POD, 2, count=2), minute=2)
    assert story.state["members"].is_empty()
    assert len(story.incidents()) == 1


def test_an_incident_is_written_again_only_when_it_grows() -> None:
    story = Story()
    story.batch(said("us-west1"), said("eu-1"), minute=0)
    before = story.writes
    story.batch(minute=1)
    story.batch(minute=2)
    assert story.writes == before
    story.batch(said("us-west1", POD, 2, count=2), minute=3)
    assert story.writes == before + 2
    story.batch(minute=9)
    assert story.batch(minute=14).sums["incidents"] == 1
    assert (story.writes, story.state["open_summaries"].is_empty()) == (before + 2, True)


def test_an_incident_does_not_end_by_the_silence_that_ends_a_summary() -> None:
    story = Story()
    story.batch(said("us-west1"), said("eu-1"), minute=0)
    story.batch(minute=6)
    waiting = story.state["open_summaries"]
    assert waiting.select("kind", "closed").rows() == [("incident", False)]
    assert waiting.lazy().filter(is_due_to_change(at(9), RULES.bounds)).collect().is_empty()


def test_an_incident_that_its_workspace_refuses_is_a_dead_letter_that_says_all() -> None:
    story = Story()
    story.batch(said("us-west1"), said("eu-1"), minute=0, answered=False)
    waiting = story.state["open_summaries"].filter(pl.col("kind") == "incident")
    story.outcomes = waiting.select(
        "summary", "version", resource_version=pl.lit(None, pl.String), written=pl.lit(value=False),
        refusal=pl.lit("Invalid"), at=pl.lit(at(0)).cast(schema.TIME),
    )  # fmt: skip
    result = story.batch(minute=11, answered=False)
    (dead,) = result.tables["dead_letters"].to_dicts()
    assert json.loads(dead["event"])["message"].startswith("BackOff in 2 of 2 clusters (eu-1 x1, us-west1 x1)")
    assert (dead["kind"], dead["clusters"]) == ("incident", '{"eu-1":1,"us-west1":1}')


CLUSTERS = ("a", "b", "c")
TROUBLES: dict[str, dict[str, Any]] = {
    "pull": {"reason": "Failed", "message": PULL},
    "again": {"reason": "BackOff", "message": 'Back-off pulling image "ghcr.io/acme/web:1.42"'},
    "crash": {"reason": "BackOff", "message": "Back-off restarting failed container"},
    "fine": {"reason": "Pulled", "type": "Normal"},
}
Delivery = tuple[str, str, str, str, float]
"""cluster, namespace, Pod, trouble, minutes since the delivery before."""

deliveries = st.lists(
    st.tuples(
        st.sampled_from(CLUSTERS), st.sampled_from(["web", "web", "api", "jobs", "lost"]),
        st.sampled_from([POD, "api-7c5d8f9b6-x2z4t"]), st.sampled_from(list(TROUBLES)),
        st.sampled_from([0, 1, 1, 4, 6, 9, 10, 11, 40]),
    ),
    min_size=1, max_size=12,
)  # fmt: skip
cuts = st.lists(st.floats(0, 1), max_size=4)
histories = settings(max_examples=max(5, settings().max_examples // 5))
"""A history is several batches of 80 ms each: a fifth of the examples of other properties."""

Frames = list[tuple[float, list[Section]]]


def frames(history: Sequence[Delivery]) -> Frames:
    made: Frames = []
    minute, versions = 0.0, dict[tuple[str, ...], int]()
    for cluster, namespace, pod, trouble, wait in history:
        minute += wait
        key = (cluster, namespace, pod, trouble)
        versions[key] = version = versions.get(key, 0) + 1
        name = {"name": f"{pod}.{trouble}", "namespace": namespace, "uid": "-".join(key),
                "resourceVersion": str(version), "creationTimestamp": "2026-11-23T16:00:00Z"}  # fmt: skip
        told = said(cluster, pod, namespace=namespace, metadata=name, count=version, **TROUBLES[trouble])
        made.append((minute, [told]))
    return made


def play(parts: Sequence[Frames], rules: Rules = RULES) -> Story:
    """A batch for each part, and some after all, until everything is over and written."""
    story, last = Story(rules), 0.0
    for part in parts:
        if part:
            last = part[-1][0]
            story.receive(part, now=last)
    for wait in (6, 12, 13, 14):
        story.batch(minute=last + wait)
    return story


def parts_of(whole: Frames, where: list[float]) -> list[Frames]:
    ends = [0, *sorted(round(fraction * len(whole)) for fraction in where), len(whole)]
    return [whole[first:last] for first, last in pairwise(ends)]


def told_of(story: Story) -> Any:
    """All that is left of incidents when they are over: the archive, and what the workspaces have."""
    events = json.loads(json.dumps(sorted(story.kcp.items(), key=str), default=str))
    for _, told in events:
        del told["metadata"]["annotations"]["kcp.io/synced-at"]
    return [{k: v for k, v in row.items() if k not in ("batch", "closed_at")} for row in story.incidents()], events


@histories
@given(deliveries, cuts)
def test_cutting_batches_anywhere_changes_no_incident_no_member_and_no_total(
    history: list[Delivery], where: list[float]
) -> None:
    whole = frames(history)
    assert told_of(play(parts_of(whole, where))) == told_of(play([whole]))


@histories
@given(deliveries, cuts)
def test_every_incident_is_what_a_plain_reading_of_its_definition_finds(
    history: list[Delivery], where: list[float]
) -> None:
    found = {
        (row["workspace"], row["value"], row["began_at"]): (
            {c["cluster"]: c["occurrences"] for c in json.loads(row["clusters"])}, row["occurrences"],
        )
        for row in play(parts_of(frames(history), where)).incidents()
    }  # fmt: skip
    assert found == plainly(history)


def plainly(history: Sequence[Delivery]) -> dict[tuple[str, str, datetime], tuple[dict[str, int], int]]:
    """Sessions of each key in a loop over the deliveries: those of two clusters, with their counts."""
    spaces = {"web": ("root:shop", "shop"), "api": ("root:shop", "api"), "jobs": ("root:team-a", "jobs")}
    sessions: dict[tuple[str, str], list[tuple[float, float, dict[str, int]]]] = {}
    minute = 0.0
    for cluster, namespace, pod, trouble, wait in history:
        minute += wait
        if namespace not in spaces or trouble == "fine":
            continue
        workspace, space = spaces[namespace]
        of = "ghcr.io/acme/web:1.42" if trouble != "crash" else f"{space}/Deployment/{pod.partition('-')[0]}"
        open_ = sessions.setdefault((workspace, of), [])
        if not open_ or minute - open_[-1][1] > 10:
            open_.append((minute, minute, {}))
        began, _, counts = open_.pop()
        open_.append((began, minute, counts | {cluster: counts.get(cluster, 0) + 1}))
    return {
        (*key, at(began)): (counts, sum(counts.values()))
        for key, found in sessions.items()
        for began, _, counts in found
        if len(counts) > 1
    }


@histories
@given(deliveries)
def test_delivering_everything_again_adds_nothing_to_any_incident(history: list[Delivery]) -> None:
    whole = frames(history)
    last = whole[-1][0]
    again = [(last, sections) for _, sections in whole]
    assert told_of(play([whole, again])) == told_of(play([whole]))


@histories
@given(deliveries)
def test_one_cluster_alone_makes_no_incident(history: list[Delivery]) -> None:
    alone = frames([("a", *delivery[1:]) for delivery in history])
    story = play([alone])
    assert (story.incidents(), story.events()) == ([], [])


@histories
@given(deliveries, cuts)
def test_no_namespace_reads_a_name_of_another_namespace_or_workspace(
    history: list[Delivery], where: list[float]
) -> None:
    named = [
        (cluster, namespace, f"own-{namespace}-7c5d8f9b6-x2z4t", trouble, wait)
        for cluster, namespace, _, trouble, wait in history
    ]
    story = play(parts_of(frames(named), where))
    for (_, target, _), written_event in story.kcp.items():
        whose = {"shop": "web"}.get(target, target)
        others = {"web", "api", "jobs", "lost"} - {whose}
        told = json.dumps(written_event)
        assert [name for name in others if f"own-{name}" in told] == []


@histories
@given(deliveries, cuts)
def test_every_summary_ends_once_and_the_state_of_incidents_with_them(
    history: list[Delivery], where: list[float]
) -> None:
    story = play(parts_of(frames(history), where))
    batches = story.table("batches").select(pl.col(*schema.SUMS).sum()).to_dicts()[0]
    ended = batches["published"] + batches["dead_lettered"] + batches["archived"]
    assert batches["opened"] == ended + len(story.state["open_summaries"])
    assert story.state["members"].is_empty()
    assert batches["incidents"] == len(story.incidents())


@pytest.mark.parametrize("members", [2, 40])
def test_the_state_holds_one_row_a_member_however_often_it_happens(members: int) -> None:
    story = Story()
    for n in range(1, 4):
        told = [said(f"c-{c}", POD, n, count=10 * n) for c in range(members)]
        story.batch(*told, minute=n)
    assert len(story.state["members"]) == members
    assert written(story)[0].startswith(f"BackOff in {members} of {members} clusters (c-0 x30, c-1 x30")
