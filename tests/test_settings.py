from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from batcher.causes import CauseRule, Side
from batcher.errors import ConfigError
from batcher.settings import Match, Settings, allowed, load, parse_duration, validate


def document(**changes: Any) -> dict[str, Any]:
    """The smallest configuration there is, with top-level ``changes``."""
    smallest = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "clusters": [{"name": "us-west1", "kubeconfig": "us-west1.kubeconfig"}],
        "kcp": {"kubeconfig": "kcp.kubeconfig", "workspaces": [{"path": "root:team-a"}]},
    }
    return smallest | changes


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(document(**changes), "test.yaml")
    return caught.value.problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "batcher.yaml"
    path.write_text(yaml.safe_dump(document(batch={"interval": "7s", "maxRows": 10})), encoding="utf-8")
    return path


def test_the_smallest_file_has_the_documented_defaults() -> None:
    settings = validate(document(), "test.yaml")
    assert settings.data_dir == Path("/var/lib/batcher")
    assert settings.clusters[0].event_ttl == timedelta(hours=1)
    assert (settings.batch.interval, settings.batch.max_rows) == (timedelta(seconds=5), 50_000)
    assert (settings.aggregation.window, settings.aggregation.max_duration) == (
        timedelta(minutes=5),
        timedelta(hours=1),
    )
    correlation = settings.correlation
    assert (correlation.enabled, correlation.window, correlation.max_duration) == (
        True,
        timedelta(minutes=10),
        timedelta(hours=1),
    )
    assert (settings.archive.path, settings.archive.interval) == ("./archive", timedelta(seconds=60))
    assert (settings.publish.rewrite_after, settings.publish.rewrite_most) == (
        timedelta(seconds=30),
        timedelta(minutes=10),
    )
    assert (settings.publish.max_pending, settings.publish.max_live_events) == (100_000, 2000)
    assert settings.limit.max_events_per_minute == 600
    assert settings.aggregation.max_aggregated_events == 500
    assert settings.aggregation.key == ["object", "type", "reason", "template"]
    assert settings.spool.max_bytes == 10_737_418_240


def test_all_problems_are_told_at_once_each_with_its_path() -> None:
    found = problems(
        clusters=[{"name": "US_West", "kubeconfig": "x", "eventTtl": "1h"}, {"name": "eu"}],
        batch={"interval": "soon", "maxRows": 0},
        surprise=1,
    )
    assert found == [
        "clusters[0].name: 'US_West' is not a DNS-1123 label (lower-case letters, digits and -, at most 63)",
        "clusters[0].eventTtl: unknown setting",
        "clusters[1]: give either kubeconfig or inCluster: true",
        "batch.interval: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d",
        "batch.maxRows: Input should be greater than or equal to 1",
        "surprise: unknown setting",
    ]


def test_an_incident_is_not_cut_sooner_than_it_can_end() -> None:
    assert problems(correlation={"window": "2h", "maxDuration": "1h"}) == [
        "correlation: maxDuration: shorter than window, so that no incident could end before it is cut"
    ]


def test_important_rows_are_kept_no_shorter_than_others_and_none_for_less_than_a_day() -> None:
    archive = validate(document(), "test.yaml").archive
    assert (archive.retention, archive.retention_important) == (timedelta(days=30), timedelta(days=365))
    assert archive.compact_every == timedelta(hours=1)
    assert problems(archive={"retention": "400d"}) == ["archive: retentionImportant: shorter than retention"]
    assert problems(archive={"retention": "23h"}) == [
        "archive: retention: shorter than 1d, which a lost data directory may need to go on from"
    ]


def test_the_message_names_the_file_and_counts_the_problems() -> None:
    with pytest.raises(ConfigError) as caught:
        validate({"apiVersion": "batcher.kcp.io/v1alpha1", "kind": "BatcherConfig"}, "etc/batcher.yaml")
    assert str(caught.value) == "etc/batcher.yaml: 2 problems\n  clusters: required\n  kcp: required"
    assert caught.value.exit_code == 2


def test_another_version_or_kind_is_refused() -> None:
    assert problems(apiVersion="batcher.kcp.io/v2", kind="Batcher") == [
        "apiVersion: Input should be 'batcher.kcp.io/v1alpha1'",
        "kind: Input should be 'BatcherConfig'",
    ]


@pytest.mark.parametrize(
    ("name", "valid"),
    [("a", True), ("edge-07", True), ("a" * 63, True), ("a" * 64, False), ("", False), ("-a", False), ("a.b", False),
     ("a\n", False), ("ä", False)],
    ids=["letter", "dash", "63", "64", "empty", "leading-dash", "dot", "newline", "umlaut"],
)  # fmt: skip
def test_a_cluster_is_named_by_a_dns_label(name: str, valid: bool) -> None:  # noqa: FBT001  a parameter of the case
    clusters = [{"name": name, "kubeconfig": "x"}]
    if valid:
        assert validate(document(clusters=clusters), "t").clusters[0].name == name
    else:
        assert len(problems(clusters=clusters)) == 1


def test_a_cluster_has_one_way_in() -> None:
    both = [{"name": "a", "kubeconfig": "x", "inCluster": True}]
    assert problems(clusters=both) == ["clusters[0]: give either kubeconfig or inCluster: true"]
    assert problems(clusters=[]) == ["clusters: List should have at least 1 item after validation, not 0"]


def test_the_ttl_of_a_cluster_s_events_is_spelt_as_documented() -> None:
    clusters = [{"name": "a", "kubeconfig": "x", "eventTTL": "3h"}]
    assert validate(document(clusters=clusters), "t").clusters[0].event_ttl == timedelta(hours=3)


def test_two_clusters_of_one_name_are_refused() -> None:
    twice = [{"name": "a", "kubeconfig": "x"}, {"name": "a", "kubeconfig": "y"}]
    assert problems(clusters=twice) == ["clusters: names must be unique, given twice: a"]


def test_a_workspace_outside_of_the_allowed_ones_is_refused_wherever_it_is_named() -> None:
    found = problems(
        clusters=[{"name": "us", "kubeconfig": "x", "workspace": "root:other"}],
        mapping={"rules": [
            {"namespace": "a", "workspace": "root:team-a"},
            {"namespace": "b", "workspace": "root:team-b"},
        ]},
    )  # fmt: skip
    assert found == [
        "not among kcp.workspaces: clusters[us].workspace: 'root:other'; mapping.rules[1].workspace: 'root:team-b'"
    ]


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("root:team-a", ["root:team-a"], ["root:team-ab", "root", "root:team-a:x", "xroot:team-a", "root:team-a\n"]),
        ("root:*", ["root:a"], ["root", "root:", "root:a:b", "rootx:a"]),
        ("root:**", ["root:a", "root:a:b:c"], ["root", "root:", "roots:a"]),
        ("root:*:web", ["root:a:web"], ["root:a:b:web", "root::web"]),
        ("root:team-*", ["root:team-a"], ["root:team-a:b", "root:team"]),
        ("2gqhevx8nd4cpfx1", ["2gqhevx8nd4cpfx1"], ["2gqhevx8nd4cpfx2"]),
        ("root.a", ["root.a"], ["root:a", "rootxa"]),
        ("", [""], ["root"]),
    ],
    ids=["path", "segment", "any", "middle", "prefix", "logical-name", "dot-is-a-dot", "empty"],
)
def test_a_pattern_allows_what_it_says_and_nothing_else(pattern: str, inside: list[str], outside: list[str]) -> None:
    assert [allowed(name, [pattern]) for name in inside] == [True] * len(inside)
    assert [allowed(name, [pattern]) for name in outside] == [False] * len(outside)


@pytest.mark.parametrize("odd", ["root:..", "root:a/b", "root:a%2Fb", "root:A", "root:a b", "root:a\x00", ""])
def test_odd_names_match_no_wildcard(odd: str) -> None:
    assert not allowed(odd, ["root:*", "root:**", "**", "*"])


def test_without_patterns_nothing_is_allowed() -> None:
    assert not allowed("root:team-a", [])


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("1h30m", timedelta(minutes=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1.5h", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
    ],
)
def test_durations_read_as_written(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "5s ", "1h-30m", "1y", "five minutes", "1h 30m", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("value", ["0s", "99999999999999d"], ids=["zero", "absurd"])
def test_a_duration_of_the_configuration_is_positive_and_sane(value: str) -> None:
    assert [problem.partition(":")[0] for problem in problems(batch={"interval": value})] == ["batch.interval"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GiB", 10_737_418_240),
        ("500MB", 500_000_000),
        ("1Ki", 1024),
        ("2 Ti", 2_199_023_255_552),
        (1000, 1000),
        ("7", 7),
    ],
)
def test_sizes_read_as_written(text: object, size: int) -> None:
    assert validate(document(spool={"maxBytes": text}), "t").spool.max_bytes == size


@pytest.mark.parametrize("text", ["10 gigabytes", "1i", "-1", "0", "1.5GiB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    assert [problem.partition(":")[0] for problem in problems(spool={"maxBytes": text})] == ["spool.maxBytes"]


def test_the_environment_is_over_the_file_and_flags_are_over_both(file: Path) -> None:
    environment = {
        "BATCHER_BATCH__INTERVAL": "2s",
        "BATCHER_BATCH__MAX_ROWS": "20",
        "BATCHER_DATA_DIR": "/data",
        "X": "1",
    }
    assert load(file, {}).batch.interval == timedelta(seconds=7)
    over = load(file, environment, {"batch.maxRows": 30, "dataDir": None})
    assert over.batch.interval == timedelta(seconds=2)
    assert over.batch.max_rows == 30
    assert over.data_dir == Path("/data")
    assert load(file, environment, {"dataDir": "/flag"}).data_dir == Path("/flag")


def test_an_unknown_variable_of_ours_is_an_error_with_its_path(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"batch\.intervall: unknown setting"):
        load(file, {"BATCHER_BATCH__INTERVALL": "2s"})


def test_a_variable_that_is_no_yaml_is_an_error_that_names_it(file: Path) -> None:
    with pytest.raises(ConfigError, match="BATCHER_LOG__LEVEL: not YAML"):
        load(file, {"BATCHER_LOG__LEVEL": "{"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: [", "not YAML: while parsing a flow node"),
        (b"dataDir: 2026-13-45", "not YAML: month must be in 1..12"),
        (b"- a", "the file must hold a mapping of settings"),
        (b"", "the file must hold a mapping of settings"),
        (b"\xff\xfe\xff", "cannot be read: not UTF-8 text"),
    ],
    ids=["broken", "no-date", "list", "empty", "binary"],
)
def test_a_file_that_holds_no_settings_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "c.yaml", {})
    assert caught.value.problems[0].startswith(problem)
    assert caught.value.source == str(tmp_path / "c.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml", {})


@pytest.mark.parametrize(
    ("transform", "problem"),
    [
        ({"addLabels": {"kcp.io/x": "x"}}, "'kcp.io/x': keys of kcp.io/ and batcher.kcp.io/ are set by batcher itself"),
        ({"addLabels": {"a b": "x"}}, "'a b' is not a key of a label or annotation, such as team or example.com/team"),
        (
            {"addLabels": {"a": ":"}},
            "':' is not a label's value (letters, digits, - _ and ., at most 63, no colon or slash)",
        ),
        ({"addAnnotations": {"a": "x" * 70_000}}, "addAnnotations: 70001 bytes together, at most 65536"),
    ],
)  # fmt: skip
def test_what_kcp_would_refuse_on_every_summary_is_refused_at_the_start(transform: Any, problem: str) -> None:
    (found,) = problems(transform=transform)
    assert found.endswith(problem)


def test_settings_cannot_be_changed() -> None:
    settings: Settings = validate(document(), "t")
    with pytest.raises(ValidationError, match="frozen"):
        settings.batch.max_rows = 1  # type: ignore[misc]  # the type says so too


NOT_RE2 = "is not a regular expression (RE2 syntax)"


def rule(**match: Any) -> dict[str, Any]:
    return {"name": "a", "action": "drop", "match": match}


def test_a_filter_has_the_documented_defaults_and_a_rule_without_a_match_is_for_all() -> None:
    assert validate(document(), "t").filter.model_dump() == {
        "minimum_severity": "normal", "include_types": [], "exclude_types": [], "rules": [],
    }  # fmt: skip
    (said,) = validate(document(filter={"rules": [{"name": "a", "action": "shadow"}]}), "t").filter.rules
    assert said.match == Match()


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "unclosed group"),
        ("a(?=b)", "look-around, including look-ahead and look-behind, is not supported"),
        (r"(a)\1", "backreferences are not supported"),
        ("a{1000}{1000}", "Compiled regex exceeds size limit of 10485760 bytes."),
    ],
)
def test_a_pattern_that_does_not_compile_is_told_with_its_path_and_the_reason(pattern: str, reason: str) -> None:
    (found,) = problems(filter={"rules": [rule(message=pattern)]})
    assert found == f"filter.rules[0].match.message: {pattern!r} {NOT_RE2}: {reason}"


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        ({"message": ""}, "message: String should have at least 1 character"),
        ({"message": "a" * 1001}, "message: String should have at most 1000 characters"),
        ({"objects": ["Pod"]}, "objects[0]: 'Pod' is not a glob kind/name, such as Pod/web-* or */web-*"),
        ({"severity": ["fatal"]}, "severity[0]: Input should be 'normal', 'warning' or 'critical'"),
        ({"reason": ["x"]}, "reason: unknown setting"),
    ],
)
def test_a_match_that_is_wrong_is_told_with_its_path(match: Any, problem: str) -> None:
    assert problems(filter={"rules": [rule(**match)]}) == [f"filter.rules[0].match.{problem}"]
    route = {"name": "a", "match": match, "to": ["mapped"]}
    assert problems(routes=[route]) == [f"routes[0].match.{problem}"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"rules": [rule() | {"action": "delete"}]}, "rules[0].action: Input should be 'drop', 'keep' or 'shadow'"),
        ({"rules": [rule() | {"name": "minimumSeverity"}]}, "rules[0].name: 'minimumSeverity' is not a DNS-1123 label"),
        ({"rules": [{"action": "drop"}]}, "rules[0].name: required"),
        ({"minimumSeverity": "high"}, "minimumSeverity: Input should be 'normal', 'warning' or 'critical'"),
        ({"includeTypes": "Warning"}, "includeTypes: Input should be a valid list"),
    ],
)
def test_a_filter_that_is_wrong_is_told_with_its_path(said: Any, problem: str) -> None:
    (found,) = problems(filter=said)
    assert found.startswith(f"filter.{problem}")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (["object", "type"], "key: reason: cannot be left out, for an Event has one; only template can"),
        (["template"], "key: object, type, reason: cannot be left out, for an Event has one; only template can"),
        (["object", "type", "reason", "reason"], "key: names a column twice"),
        (
            ["object", "type", "reason", "message"],
            "key[3]: Input should be 'object', 'type', 'reason' or 'template'",
        ),
        ("template", "key: Input should be a valid list"),
    ],
)
def test_a_key_that_no_event_could_have_is_told_with_its_path(said: Any, problem: str) -> None:
    assert problems(aggregation={"key": said}) == [f"aggregation.{problem}"]


def test_a_key_is_the_same_in_whatever_order_it_is_given() -> None:
    given = validate(document(aggregation={"key": ["template", "reason", "type", "object"]}), "test.yaml")
    assert given.aggregation.key == ["object", "type", "reason", "template"]
    without = validate(document(aggregation={"key": ["reason", "type", "object"]}), "test.yaml")
    assert without.aggregation.key == ["object", "type", "reason"]


def test_rules_have_names_of_their_own() -> None:
    assert problems(filter={"rules": [rule(), rule()]}) == ["filter.rules: names must be unique, given twice: a"]
    twice = {"name": "a", "pattern": "x", "at": "spool"}
    assert problems(transform={"redact": [twice, twice]}) == ["transform.redact: names must be unique, given twice: a"]


def test_routes_and_filters_choose_rows_by_the_same_form() -> None:
    match = {"severity": ["critical"], "objects": ["Pod/web-*"], "message": "x", "workspaces": ["root:*"]}
    said = validate(
        document(routes=[{"name": "a", "match": match, "to": ["mapped"]}], filter={"rules": [rule(**match)]}), "t"
    )
    assert said.routes[0].match == said.filter.rules[0].match


@pytest.mark.parametrize(
    ("redaction", "problem"),
    [
        ({"pattern": "("}, f"transform.redact[0].pattern: '(' {NOT_RE2}: unclosed group"),
        ({"pattern": "a*"}, "transform.redact[0]: pattern: 'a*' matches the empty text, which is everywhere"),
        ({"replace": "x" * 65}, "transform.redact[0].replace: String should have at most 64 characters"),
        ({"at": "disk"}, "transform.redact[0].at: Input should be 'spool', 'archive' or 'publish'"),
    ],
)
def test_a_redaction_that_is_wrong_is_told_with_its_path_and_the_reason(redaction: Any, problem: str) -> None:
    assert problems(transform={"redact": [{"name": "a", "pattern": "x", "at": "spool"} | redaction]}) == [problem]


def test_a_redaction_replaces_by_three_stars_unless_told_otherwise() -> None:
    said = validate(document(transform={"redact": [{"name": "a", "pattern": "x", "at": "spool"}]}), "t")
    assert said.transform.redact[0].replace == "***"


def chain_rule(**said: Any) -> dict[str, Any]:
    return {"name": "failover", "cause": ["FailoverStarted"], "effect": ["Unhealthy"], "join": "namespace"} | said


def test_a_causal_rule_names_reasons_and_has_a_lag() -> None:
    said = [
        chain_rule(largestLag="2m"),
        chain_rule(name="other", cause=["A", "B"], effect=["C"], join="image", weight=1),
    ]
    one, other = (each.rule for each in validate(document(chains={"rules": said}), "test.yaml").chains.rules)
    assert one == CauseRule("failover", Side(("FailoverStarted",)), Side(("Unhealthy",)), "namespace", MINUTES[2], 0.8)
    assert other == CauseRule("other", Side(("A", "B")), Side(("C",)), "image", MINUTES[5], 1.0)


MINUTES = [timedelta(minutes=n) for n in range(6)]


def test_everything_wrong_with_causal_rules_is_told_at_once() -> None:
    wrong = [chain_rule(join="uid", largestLag="11m"), chain_rule(name="", effect=[], weight=2), chain_rule(cuase="X")]
    found = problems(chains={"rules": wrong}, surprise=1)
    assert sorted(problem.partition(":")[0] for problem in found) == [
        "chains.rules[0].join", "chains.rules[0].largestLag", "chains.rules[1].effect", "chains.rules[1].name",
        "chains.rules[1].weight", "chains.rules[2].cuase", "surprise",
    ]  # fmt: skip


def test_causal_rules_that_lead_back_or_share_a_name_are_told_at_once() -> None:
    wrong = [
        chain_rule(),
        chain_rule(),
        chain_rule(name="back", cause=["BackOff"], effect=["Unhealthy"]),
        chain_rule(name="creating"),
    ]
    (found,) = problems(chains={"rules": wrong})
    assert found.startswith(
        "chains: rules: failover: there is a rule of that name already; creating: there is a rule of"
    )
    assert "back: leads back to its own cause, alone or with rules that follow it" in found
