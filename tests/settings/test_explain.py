import pytest

from batcher.errors import UsageError
from batcher.settings.explain import explained


def test_a_duration_has_default_form_variable_and_when_it_changes() -> None:
    assert explained("publish.maxAge") == [
        "publish.maxAge   <duration>",
        "",
        "  How long ended summaries wait; then they are dead letters. kcp keeps an Event",
        "  no longer, by default.",
        "",
        "  Default:  1h",
        "  Written:  as in 500ms, 30s, 5m, 1h30m or 30d",
        "  Variable: BATCHER_PUBLISH__MAX_AGE",
        "  Changes:  in the running service",
    ]


def test_a_group_has_what_is_below_it_and_says_when_it_needs_a_restart() -> None:
    assert explained("spool") == [
        "spool   <object>",
        "",
        "  The bound of the write-ahead log.",
        "",
        "  Variable: BATCHER_SPOOL",
        "  Changes:  with a restart",
        "",
        "FIELDS",
        "  maxBytes   <size>   10GiB",
        "    At so many bytes reading stops until batches and archive have caught up;",
        "    nothing is dropped.",
    ]


def test_a_list_of_two_kinds_of_entries_has_the_fields_of_each() -> None:
    lines = explained("clusters")
    assert lines[0] == "clusters   <list of object>"
    assert [line for line in lines if line.startswith("FIELDS")] == ["FIELDS, of one kind", "FIELDS, of another"]
    assert "  name   <string>   required" in lines
    assert "  directory   <path>   required" in lines


@pytest.mark.parametrize("path", ["routes[0].match.severity", "routes[].match.severity", "routes.match.severity",
                                  "routes[sre].match.severity"])  # fmt: skip
def test_an_entry_of_a_list_may_be_named_or_left_out(path: str) -> None:
    assert explained(path)[0] == "routes.match.severity   <list of normal | warning | critical>"


def test_kinds_are_told_as_a_file_has_them() -> None:
    kinds = {path: explained(path)[0].partition("   ")[2] for path in (
        "routes.to", "log.level", "transform.addLabels", "serve.port", "kcp.apiExport", "batch.maxRows", "kind",
    )}  # fmt: skip
    assert kinds == {
        "routes.to": "<list of mapped | archive or object>",
        "log.level": "<debug | info | warning | error>",
        "transform.addLabels": "<map of string>",
        "serve.port": "<integer>",
        "kcp.apiExport": "<object>",
        "batch.maxRows": "<integer>",
        "kind": "<BatcherConfig>",
    }


def test_without_a_path_the_first_level_is_told() -> None:
    lines = explained("")
    assert lines[:3] == [
        "FIELDS",
        "  apiVersion   <batcher.kcp.io/v1alpha1>   required",
        "    The version of this file's format.",
    ]
    assert "  featureGates   <object>   {}" in lines


def test_every_gate_is_explained_with_its_stage() -> None:
    assert explained("featureGates.AutomaticResync") == [
        "featureGates.AutomaticResync   <boolean>",
        "",
        "  Beta. Write the open summaries of a workspace again when its resourceVersions",
        "  go back: kcp was restored. Without, only `batcher resync` does.",
        "",
        "  Default:  true",
        "  Changes:  in the running service",
    ]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "publish.maxage",
            "explain: 'publish.maxage' is no setting; near: publish.maxAge, publish.maxPending, publish.maxLiveEvents",
        ),
        ("maxAge", "explain: 'maxAge' is no setting; near: publish.maxAge"),
        ("zzz", "explain: 'zzz' is no setting; see: batcher config explain"),
    ],
)
def test_an_unknown_setting_names_the_nearest(path: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        explained(path)
    assert str(caught.value) == told


def test_no_line_is_wider_than_a_terminal() -> None:
    for path in ("", "clusters", "kcp", "publish", "transform"):
        assert max(len(line) for line in explained(path)) < 80
