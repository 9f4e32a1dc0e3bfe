"""Messages are part of what is the same: through whole batches, with bounds, redaction and an older version's state."""

from dataclasses import replace

import polars as pl
import pytest

from batcher.pipeline import Rules
from batcher.redact import Redaction
from batcher.spool import Section
from batcher.stages.route import Route, Where
from tests.sections import event, watched
from tests.test_folding import FOLDED, shown
from tests.test_incidents import Story as Incidents
from tests.test_incidents import said
from tests.test_pipeline import RULES, Story, counts

WITHOUT = replace(RULES, by_template=False)
PROBE, TIMEOUT = "Readiness probe failed: HTTP probe failed with statuscode: 503", "Readiness probe failed: i/o timeout"


def failed(*messages: str, first: int = 1) -> list[bytes]:
    """Events about one Pod, one each, in order."""
    at = "2026-11-23T16:00:00Z"
    return [
        event("web", number, message=message, metadata={"name": f"web.{number}", "namespace": "web",
              "uid": f"uid-{number}", "resourceVersion": str(number), "creationTimestamp": at})
        for number, message in enumerate(messages, first)
    ]  # fmt: skip


def names(story: Story) -> list[str]:
    return story.state["open_summaries"].sort("position")["summary"].to_list()


def test_what_means_something_else_is_a_line_of_its_own_and_what_differs_in_a_number_is_not() -> None:
    story = Story()
    result = story.batch(watched(*failed(PROBE, TIMEOUT, PROBE, "took 5s", "took 7s")), minute=0)
    assert counts(result) == {"received": 5, "revisions": 5, "occurrences": 5, "kept": 5, "opened": 3}
    assert shown(story, 0) == [
        f"[us-west1] {PROBE}",
        f"[us-west1] {TIMEOUT}",
        "[us-west1] took 7s (messages vary)",
    ]
    told = story.state["open_summaries"].sort("position")
    assert told.select("template", "occurrences").rows() == [(TIMEOUT, 1), (PROBE, 2), ("took <n>", 2)]
    assert names(story) == [
        "e67f589419ef1463227015d3feabed3d",
        "d802dbac67362304ba8f8f1bab154e92",
        "91f105dbbc7ecda0adc952735852aec8",
    ]


def test_without_the_template_all_that_is_said_is_one_line_under_the_name_that_it_always_had() -> None:
    story = Story(WITHOUT)
    story.batch(watched(*failed(PROBE, TIMEOUT)), minute=0)
    assert shown(story, 0) == [f"[us-west1] {TIMEOUT} (messages vary)"]
    assert story.state["open_summaries"]["template"].to_list() == [""]
    assert names(story) == ["3d8a3bee59f1d770f8892ad77e392a0b"]


def test_what_an_older_version_has_open_ends_and_no_occurrence_is_in_two_summaries() -> None:
    story = Story(WITHOUT)
    story.batch(watched(*failed(PROBE, TIMEOUT)), minute=0)
    is_key = pl.col("name") == "aggregation.key"
    story.state["definitions"] = story.state["definitions"].filter(~is_key)
    story.rules = RULES
    story.batch(watched(*failed(PROBE, first=3)), minute=1)
    told = story.state["open_summaries"].sort("position").select("template", "occurrences", "closed")
    assert told.rows() == [("", 2, True), (PROBE, 1, False)]
    assert story.state["definitions"].filter(is_key)["value"].to_list() == ["object, type, reason, template"]
    story.batch(watched(*failed(PROBE, first=4)), minute=2)
    again = story.state["open_summaries"].sort("position").select("template", "occurrences", "closed")
    assert again.rows() == [("", 2, True), (PROBE, 2, False)]


@pytest.mark.parametrize("rules", [RULES, WITHOUT])
def test_a_fresh_state_has_nothing_that_was_defined_otherwise(rules: Rules) -> None:
    story = Story(rules)
    for minute in range(3):
        story.batch(watched(*failed(PROBE, first=minute + 1)), minute=minute)
    assert story.state["open_summaries"].select("occurrences", "closed").rows() == [(3, False)]


FLOOD = [f"cannot {chr(97 + n // 676)}{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}" for n in range(10_000)]
"""As many messages that have nothing in common."""


def test_ten_thousand_messages_of_one_object_are_so_many_summaries_as_a_namespace_may_have() -> None:
    story = Story(replace(RULES, max_keys=500))
    result = story.batch(watched(*failed(*FLOOD)), minute=0)
    assert counts(result)["folded"] == 9_500
    assert len(story.state["open_summaries"]) == 501
    assert story.state["open_summaries"].filter(FOLDED).select("occurrences", "objects").rows() == [(9_500, 1)]


def test_they_are_no_more_events_of_a_workspace_than_may_be_alive() -> None:
    story = Story(replace(RULES, max_live=240))
    story.batch(watched(*failed(*FLOOD)), minute=0)
    told = story.state["open_summaries"]
    assert len(told) <= 80
    assert told["occurrences"].sum() == 10_000


def test_a_folded_and_a_suppressed_summary_are_for_all_that_is_said() -> None:
    story = Story(replace(RULES, max_keys=1, limit=4))
    story.batch(watched(*failed(*FLOOD[:9])), minute=0)
    told = story.state["open_summaries"].sort("kind").select("kind", "template", "occurrences")
    assert told.rows() == [
        ("", "cannot aaa", 1), ("folded", "2026-11-23T16Z", 3), ("suppressed", "2026-11-23T16Z warning 4 kubelet", 5),
    ]  # fmt: skip


def test_what_is_redacted_in_the_archive_is_in_no_template_and_splits_no_summary() -> None:
    story = Story(replace(RULES, redact_archive=(Redaction(r"token=\S+", "***"),)))
    story.batch(watched(*failed("token=canary refused", "token=other refused")), minute=0)
    assert story.state["open_summaries"].select("template", "occurrences").rows() == [("*** refused", 2)]
    last = story.batch(minute=10)
    assert last.tables["summaries"].select("template", "message").rows() == [("*** refused", "*** refused")]


def test_what_is_told_elsewhere_is_told_apart_there_too() -> None:
    everything = Route("sre", mapped=True, elsewhere=(Where("root:sre"),))
    story = Story(replace(RULES, routes=(everything,)))
    story.batch(watched(*failed(PROBE, TIMEOUT, PROBE)), minute=0)
    told = story.state["open_summaries"].sort("workspace", "position").select("workspace", "template", "occurrences")
    assert told.rows() == [
        ("root:shop", TIMEOUT, 1), ("root:shop", PROBE, 2), ("root:sre", TIMEOUT, 1), ("root:sre", PROBE, 2),
    ]  # fmt: skip


def unhealthy(cluster: str, message: str, version: int) -> Section:
    metadata = {"name": f"web.{version}", "namespace": "web", "uid": f"{version}", "resourceVersion": f"{version}"}
    return said(cluster, version=version, message=message, reason="Unhealthy", metadata=metadata)


def test_however_much_one_cluster_says_of_an_object_it_is_one_cluster_and_one_object_of_an_incident() -> None:
    story = Incidents()
    story.batch(unhealthy("us", PROBE, 1), unhealthy("us", TIMEOUT, 2), minute=0)
    story.batch(unhealthy("us", "took 5s", 3), minute=1)
    assert story.events() == []
    story.batch(unhealthy("eu", PROBE, 4), unhealthy("eu", TIMEOUT, 5), minute=2)
    (told,) = story.events()
    assert told["message"].startswith("Unhealthy in 2 of 2 clusters (eu x2, us x3) since 16:00Z. Members: ")
    assert told["metadata"]["annotations"]["batcher.kcp.io/objects"] == "1"
    labels = [event["metadata"]["labels"]["batcher.kcp.io/incident"] for event in story.events("summary")]
    assert labels == [told["metadata"]["labels"]["batcher.kcp.io/incident"]] * 5
    story.batch(minute=20)
    (row,) = story.incidents()
    assert (row["members"], row["occurrences"]) == (5, 5)
