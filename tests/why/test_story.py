"""One life of an Event a test: batches over a spool, and what is then said of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from batcher.archive import Deliverer, check_owner
from batcher.batch import DataDirectory, OutcomeRecord
from batcher.clock import to_micros
from batcher.errors import UsageError
from batcher.pipeline import Rules
from batcher.spool import Section
from batcher.stages.filter import Filter, FilterRule
from batcher.stages.grade import WARNING
from batcher.stages.locate import Trust
from batcher.stages.match import Match
from batcher.stages.route import Route, Where
from batcher.stages.rule import Rule
from batcher.telemetry import Action, SummaryKind
from batcher.why import Because, Ending, story, told
from batcher.why.story import Followed, Story
from tests.history import RULES, START_AT, History, history
from tests.sections import event, lines, watched

NOW = START_AT + timedelta(minutes=50)
HELD = replace(RULES, hold=timedelta(hours=1))
DROPS = Filter((FilterRule("probe-noise", Action.DROP, Match(reasons=("BackOff",))),))


def happened(tmp_path: Path, *said: Section, rules: Rules = RULES, silence: int = 0) -> DataDirectory:
    """The directory after one batch of what was ``said``, and maybe another after a silence of so many minutes."""
    with history(tmp_path / "data", rules=rules) as h:
        h.batch(*said, minute=1)
        if silence:
            h.batch(minute=1 + silence)
        return h.directory


def ask(directory: DataDirectory, text: str = "pod/web", since: str = "1h") -> Story:
    found = story(directory, text, since=since, now=NOW)
    assert all(line.isprintable() for line in told(found, now=NOW))
    assert next(told(found, now=NOW)) == found.answer
    return found


def only(found: Story) -> Followed:
    (event_,) = found.events
    assert (found.because, found.answer, found.to_do) == (event_.because, event_.answer, event_.to_do)
    return event_


def outcomes(h: History, minute: int, refusal: str = "", summaries: Sequence[str] | None = None) -> list[OutcomeRecord]:
    """What a publisher says after it tried every open summary that has a workspace."""
    rows = h.batches.state["open_summaries"].filter(workspace="root:shop").select("summary", "version").iter_rows()
    at = to_micros(START_AT + timedelta(minutes=minute))
    return [
        OutcomeRecord(name, version, None if refusal else "7", written=not refusal, refusal=refusal, at=at)
        for name, version in rows
        if summaries is None or name in summaries
    ]


def test_what_a_rule_drops_is_filtered_by_that_rule(tmp_path: Path) -> None:
    directory = happened(tmp_path, watched(event("web", 10)), rules=replace(RULES, filter=DROPS))
    found = only(ask(directory))
    assert (found.because, found.verdict, found.counted_by) == (Because.FILTERED, "filtered:probe-noise", [])
    assert found.answer == "It was received, and filtered: rule probe-noise drops it."
    assert found.to_do.startswith("batcher rules test probe-noise shows what else that rule drops")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Filter(minimum="critical"), "it is less severe than filter.minimumSeverity."),
        (Filter(exclude_types=("Warning",)), "filter.excludeTypes names its type."),
        (Filter(include_types=("Normal",)), "filter.includeTypes does not name its type."),
    ],
)
def test_what_a_setting_drops_is_filtered_by_that_setting(tmp_path: Path, said: Filter, expected: str) -> None:
    directory = happened(tmp_path, watched(event("web", 10)), rules=replace(RULES, filter=said))
    assert only(ask(directory)).answer == f"It was received, and filtered: {expected}"


def test_what_no_route_tells_is_archived_only(tmp_path: Path) -> None:
    rules = replace(RULES, routes=(Route("quiet", Match(namespaces=("web",))),))
    found = only(ask(happened(tmp_path, watched(event("web", 10)), rules=rules)))
    assert (found.because, found.routes) == (Because.ARCHIVE_ONLY, "quiet")
    assert found.answer == "It was received, and only archived: route quiet tells it to nobody."


def test_what_is_below_the_least_severity_is_archived_only(tmp_path: Path) -> None:
    directory = happened(tmp_path, watched(event("web", 10, type="Normal")), rules=replace(RULES, minimum=WARNING))
    found = only(ask(directory))
    assert (found.because, found.verdict, found.severity) == (Because.BELOW_SEVERITY, "archive-only", "normal")
    assert "less severe than publish.minimumSeverity (warning)" in found.answer


def test_what_is_held_back_is_counted_in_the_summary_of_its_source(tmp_path: Path) -> None:
    said = watched(event("other", 9), event("web", 10))
    found = only(ask(happened(tmp_path, said, rules=replace(RULES, limit=1))))
    (counted,) = found.counted_by
    assert (found.verdict, counted.kind, counted.reason) == ("limited", SummaryKind.SUPPRESSED, "EventsSuppressed")
    assert found.answer.startswith("Its source (kubelet) reported more than limit.maxEventsPerMinute, so that it is ")
    assert found.because is Because.PENDING


def test_what_is_too_much_is_told_together(tmp_path: Path) -> None:
    said = watched(event("other", 9), event("web", 10))
    found = only(ask(happened(tmp_path, said, rules=replace(RULES, max_keys=1))))
    (counted,) = found.counted_by
    assert (found.verdict, counted.kind, counted.about) == ("kept", SummaryKind.FOLDED, "namespace/web")
    assert found.answer.startswith("Too much was to be told in that hour, so that it is told together with others. ")
    assert only(ask(DataDirectory(tmp_path / "data"), "pod/other")).counted_by[0].kind is SummaryKind.PLAIN


def test_what_is_too_much_even_for_reasons_is_found_in_the_summary_of_all(tmp_path: Path) -> None:
    said = watched(*(event(f"pod-{n}", n + 1, reason=f"R{n}") for n in range(30)), event("web", 99, reason="Last"))
    found = only(ask(happened(tmp_path, said, rules=replace(RULES, max_keys=1))))
    (counted,) = found.counted_by
    assert (counted.kind, counted.reason) == (SummaryKind.FOLDED, "EventsFolded")


def test_what_has_no_workspace_waits_and_then_is_archived(tmp_path: Path) -> None:
    said = watched(event("job", 10, namespace="jobs"))
    directory = happened(tmp_path, said, rules=HELD)
    found = only(ask(directory, "pod/job"))
    assert (found.because, found.verdict) == (Because.WAITING, "unmapped")
    assert found.answer == (
        "It has no workspace yet: namespace jobs of us-west1 has none; it waits until 2026-11-23T17:01:00Z."
    )
    assert found.to_do.startswith("batcher mapping describe jobs --cluster us-west1")
    assert found.mapping is not None
    assert (found.mapping.workspace, found.mapping.source) == ("", "")
    with history(directory, rules=HELD) as h:
        h.batch(minute=70)
    found = only(ask(directory, "pod/job"))
    assert (found.because, found.counted_by[0].ending) == (Because.ARCHIVED, Ending.ARCHIVED)
    assert "got no workspace within mapping.hold" in found.answer


def test_what_waited_and_was_adopted_is_told_where_it_was_adopted(tmp_path: Path) -> None:
    directory = happened(tmp_path, watched(event("job", 10, namespace="jobs")), rules=HELD)
    rules = replace(HELD, mapping=(Rule(cluster="*", namespace="jobs", workspace="root:shop"),))
    with history(directory, rules=rules) as h:
        h.batch(minute=2)
        h.batch(minute=3, outcomes=outcomes(h, 3))
    found = only(ask(directory, "job.1"))
    assert (found.verdict, found.because) == ("unmapped", Because.PUBLISHED)
    assert found.counted_by[0].workspace == "root:shop"


def test_what_happened_between_two_workspaces_is_nobodys(tmp_path: Path) -> None:
    with history(tmp_path / "data", rules=HELD) as h:
        h.batch(watched(event("first", 1)), minute=0)
        directory = h.directory
    with history(directory, rules=replace(HELD, mapping=())) as h:
        h.batch(watched(event("web", 10)), minute=1)
    other = replace(HELD, mapping=(Rule(cluster="*", namespace="web", workspace="root:other"),))
    with history(directory, rules=other) as h:
        h.batch(watched(event("last", 20)), minute=2)
    found = only(ask(directory))
    assert (found.because, found.counted_by[0].ending) == (Because.NOBODYS, Ending.NOBODYS)
    assert found.answer == "It is nobody's: namespace web of us-west1 was between two workspaces then."


def test_what_is_not_written_yet_is_on_its_way(tmp_path: Path) -> None:
    found = only(ask(happened(tmp_path, watched(event("web", 10)))))
    (counted,) = found.counted_by
    assert (found.because, counted.ending, counted.writes) == (Because.PENDING, Ending.PENDING, 0)
    assert found.answer == "It is on its way: its summary waits to be written to namespace web of workspace root:shop."
    assert found.to_do == "start the service: it does not run"


def test_what_is_written_is_there_and_says_when_newer_totals_wait(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10)), minute=1)
        h.batch(minute=2, outcomes=outcomes(h, 2))
        found = only(ask(h.directory))
        (counted,) = found.counted_by
        assert (found.because, counted.writes, counted.behind) == (Because.PUBLISHED, 1, False)
        assert found.answer.endswith(
            " in namespace web of workspace root:shop counts it, written at 2026-11-23T16:02:00Z."
        )
        assert found.to_do == f"kubectl get event {counted.event} -n web, in that workspace"
        h.batch(watched(event("web", 20, count=4)), minute=3)
        found = only(ask(h.directory))
        assert (found.occurrences, found.counted_by[0].behind) == (4, True)
        assert found.answer.endswith("; newer totals are on their way.")


def test_what_has_ended_was_told_and_is_soon_gone(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10)), minute=1)
        h.batch(minute=10)
        h.batch(minute=11, outcomes=outcomes(h, 11))
        found = only(ask(h.directory))
        assert (found.because, found.counted_by[0].ending) == (Because.ENDED, Ending.ENDED)
        late = story(h.directory, "pod/web", now=START_AT + timedelta(hours=9))
        assert late.to_do.startswith("nothing: kcp keeps Events for an hour, and that is over")


def test_what_is_refused_while_it_goes_on_is_not_there(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10)), minute=1)
        h.batch(minute=2, outcomes=outcomes(h, 2, "NamespaceNotFound"))
        found = only(ask(h.directory))
    assert (found.because, found.counted_by[0].ending) == (Because.REFUSED, Ending.REFUSED)
    assert "refused it (NamespaceNotFound: it has no such namespace)" in found.answer


@pytest.mark.parametrize("reason", ["Forbidden", "WorkspaceNotAllowed", "HTTP418"])
def test_what_was_refused_for_good_is_a_dead_letter_and_can_be_retried(tmp_path: Path, reason: str) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10)), minute=1)
        h.batch(minute=10)
        h.batch(minute=11, outcomes=outcomes(h, 11, reason))
        found = only(ask(h.directory))
    (counted,) = found.counted_by
    assert (found.because, counted.ending, counted.refusal) == (Because.DEAD_LETTERED, Ending.DEAD_LETTERED, reason)
    assert found.to_do.endswith(f"; then: batcher failed retry {counted.summary}")


def test_what_waited_too_long_for_its_workspace_has_expired(tmp_path: Path) -> None:
    rules = replace(RULES, max_age=timedelta(minutes=10))
    with history(tmp_path / "data", rules=rules) as h:
        h.batch(watched(event("web", 10)), minute=1)
        h.batch(minute=10)
        h.batch(minute=40)
        found = only(ask(h.directory))
    assert (found.because, found.counted_by[0].refusal) == (Because.DEAD_LETTERED, "Expired")
    assert "it waited for longer than publish.maxAge" in found.answer


def test_what_a_route_copies_is_counted_in_both_places(tmp_path: Path) -> None:
    rules = replace(
        RULES,
        routes=(Route("sre", Match(), mapped=True, elsewhere=(Where("root:sre", "alerts"),)),),
        trust=Trust(allowed=("^root:.*$",)),
    )
    found = only(ask(happened(tmp_path, watched(event("web", 10)), rules=rules)))
    assert sorted((each.workspace, each.namespace, each.elsewhere) for each in found.counted_by) == [
        ("root:shop", "web", False), ("root:sre", "alerts", True),
    ]  # fmt: skip


def test_an_owner_is_also_what_its_pods_say(tmp_path: Path) -> None:
    directory = happened(tmp_path, watched(event("web-7c5d8f9b6-x2z4t", 10)))
    for text in ("deployment/web", "deploy.apps/w*", "pod/web-7c5d8f9b6-x2z4t", "web-7c5d8f9b6-x2z4t.1", "ev/web-*"):
        found = ask(directory, text)
        if text == "ev/web-*":
            assert found.because is Because.NOT_RECEIVED
        else:
            assert only(found).counted_by[0].about == "deployment/web"


def test_a_revision_that_adds_nothing_says_so_when_nothing_else_is_asked_for(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10, count=3)), minute=1)
        h.batch(minute=20)
        h.batch(watched(event("web", 20, count=3)), minute=30)
        assert only(ask(h.directory, since="25m")).because is Because.NOTHING_NEW
        found = only(ask(h.directory))
    assert (found.revisions, found.occurrences, found.because) == (2, 3, Because.PENDING)


def test_several_events_are_summed_up_and_the_trouble_says_what_to_do(tmp_path: Path) -> None:
    rules = replace(RULES, filter=Filter((FilterRule("quiet", Action.DROP, Match(reasons=("Pulled",))),)))
    with history(tmp_path / "data", rules=rules) as h:
        pulled = event("web", 11, reason="Pulled", metadata={
            "name": "web.2", "namespace": "web", "uid": "uid-2", "resourceVersion": "11",
            "creationTimestamp": "2026-11-23T16:00:00Z"})  # fmt: skip
        h.batch(watched(event("web", 10), pulled), minute=1)
        h.batch(minute=2, outcomes=outcomes(h, 2))
        found = ask(h.directory)
    assert found.answer == "2 Events were received: 1 filtered, 1 published."
    assert (found.because, [each.because.value for each in found.events]) == (
        Because.FILTERED, ["filtered", "published"],
    )  # fmt: skip
    assert found.to_do.startswith("batcher rules test quiet")


def test_what_is_delivered_and_gone_from_the_staged_files_is_found_all_the_same(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10)), minute=1)
        h.batch(minute=10)
        h.batch(minute=11, outcomes=outcomes(h, 11, "Forbidden"))
        before = ask(h.directory)
        archive = tmp_path / "archive"
        check_owner(archive, h.directory.id)
        h.batches.delivered(Deliverer(archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))
        assert ask(h.directory) == before


def test_what_was_not_received_tells_what_is_called_alike_and_what_was_not_understood(tmp_path: Path) -> None:
    directory = happened(tmp_path, watched(event("web-1", 10)), lines(b'{"pod": "api-7"}'))
    found = ask(directory, "pod/web-2")
    assert (found.because, found.events) == (Because.NOT_RECEIVED, [])
    assert found.absence is not None
    assert (found.absence.clusters, found.absence.nearest) == (["us-west1"], ["web-1"])
    assert found.answer == "It was not received: no revision of it is in the archive, or staged for it."
    assert found.to_do == "start the service, which does not run; check the name; there are: web-1"
    found = ask(directory, "pod/api-7")
    assert found.absence is not None
    assert found.to_do == f"look at it: batcher failed show {found.absence.quarantined[0]}"


@pytest.mark.parametrize("text", ["", "pod/", "/web", "a/b/c"])
def test_what_names_nothing_is_a_usage_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"is (neither|no) KIND/NAME"):
        ask(happened(tmp_path, watched(event("web", 10))), text)
