"""What each matcher is for, and what it is not."""

from typing import Any

import polars as pl
import pytest

from batcher.schema import OCCURRENCES
from batcher.stages.match import Match, covers, matches
from tests.stages.rows import frame

ROW = {
    "cluster": "us-west1", "namespace": "shop-1", "type": "Warning", "reason": "BackOff", "workspace": "root:shop",
    "regarding_kind": "Pod", "regarding_name": "web-0", "message": 'Back-off pulling image "web:1.9" (x3)',
}  # fmt: skip


def matched(match: Match, *, critical: Any = (), **row: Any) -> Any:
    rows = frame(OCCURRENCES, [ROW | row])
    return rows.select(matches(match, critical=critical)).collect().item()


@pytest.mark.parametrize(
    ("given", "row", "expected"),
    [
        ({}, {}, True),
        ({"severities": ("warning",)}, {}, True),
        ({"severities": ("critical",)}, {"reason": "SystemOOM", "type": "Normal"}, True),
        ({"severities": ("normal", "warning")}, {"reason": "SystemOOM"}, False),
        ({"severities": ("normal",)}, {"type": "Fatal"}, True),
        ({"severities": ("warning",)}, {"type": "warning"}, False),
        ({"types": ("Warning",)}, {}, True),
        ({"types": ("warning",)}, {}, True),
        ({"types": ("WARNING",)}, {"type": "warning"}, True),
        ({"types": ("Normal", "Warning")}, {"type": "Fatal"}, False),
        ({"types": ("Fatal",)}, {"type": "Fatal"}, True),
        ({"types": ("Warn*",)}, {}, False),
        ({"types": ("",)}, {"type": ""}, True),
        ({"reasons": ("BackOff",)}, {}, True),
        ({"reasons": ("backoff",)}, {}, False),
        ({"reasons": ("Back*",)}, {}, True),
        ({"reasons": ("Back",)}, {}, False),
        ({"reasons": ("*Off", "Other")}, {}, True),
        ({"reasons": ("Other", "?ackOff")}, {}, True),
        ({"reasons": ("B.ckOff",)}, {}, False),
        ({"reasons": ("a|BackOff",)}, {}, False),
        ({"reasons": ("Zurück*",)}, {"reason": "Zurückgesetzt"}, True),
        ({"reasons": ("?",)}, {"reason": "ü"}, True),
        ({"reasons": ("?",)}, {"reason": "👩‍🚀"}, False),
        ({"reasons": ("*",)}, {"reason": ""}, True),
        ({"reasons": ("?*",)}, {"reason": ""}, False),
        ({"namespaces": ("shop-?",)}, {}, True),
        ({"namespaces": ("Shop-?",)}, {}, False),
        ({"namespaces": ("*",)}, {"namespace": ""}, True),
        ({"objects": ("Pod/web-*",)}, {}, True),
        ({"objects": ("pod/web-*",)}, {}, True),
        ({"objects": ("pod/WEB-*",)}, {}, False),
        ({"objects": ("Node/*", "*/web-0")}, {}, True),
        ({"objects": ("Po?/*",)}, {}, True),
        ({"objects": ("Node/*",)}, {}, False),
        ({"objects": ("Pod/web",)}, {}, False),
        ({"objects": ("Pod/a/b",)}, {"regarding_name": "a/b"}, True),
        ({"objects": ("Pod/a/b",)}, {"regarding_kind": "Pod/a", "regarding_name": "b"}, False),
        ({"objects": ("*/*",)}, {"regarding_kind": "", "regarding_name": ""}, True),
        ({"clusters": None}, {}, True),
        ({"clusters": ("us-west1", "eu")}, {}, True),
        ({"clusters": ("us-*",)}, {}, False),
        ({"clusters": ()}, {}, False),
        ({"workspaces": ("^root:shop$", "^x$")}, {}, True),
        ({"workspaces": ("^root:dev-.*$",)}, {"workspace": ""}, False),
        ({"message": "pulling image"}, {}, True),
        ({"message": "^pulling"}, {}, False),
        ({"message": r"web:\d+\.\d+"}, {}, True),
        ({"message": "(?i)BACK-OFF"}, {}, True),
        ({"message": "BACK-OFF"}, {}, False),
        ({"message": r"\(x3\)$"}, {}, True),
        ({"message": "é"}, {"message": "café"}, True),
        ({"message": "(?i)É"}, {"message": "café"}, True),
        ({"message": "a.b"}, {"message": "a\nb"}, False),
        ({"message": "(?s)a.b"}, {"message": "a\nb"}, True),
        ({"types": ("Warning",), "reasons": ("BackOff",), "message": "image"}, {}, True),
        ({"types": ("Warning",), "reasons": ("BackOff",), "message": "volume"}, {}, False),
        ({"types": ("Normal",), "reasons": ("BackOff",)}, {}, False),
    ],
)  # fmt: skip
def test_a_match_is_for_rows_that_have_all_that_it_names_and_one_of_each_list(
    given: dict[str, Any], row: dict[str, Any], expected: object
) -> None:
    assert matched(Match(**given), **row) is expected


@pytest.mark.parametrize(
    ("given", "column"),
    [
        ({"severities": ("normal", "warning", "critical")}, "reason"),
        ({"types": ("Warning",)}, "type"),
        ({"reasons": ("*",)}, "reason"),
        ({"namespaces": ("*",)}, "namespace"),
        ({"objects": ("*/*",)}, "regarding_kind"),
        ({"objects": ("*/*",)}, "regarding_name"),
        ({"clusters": ("us-west1",)}, "cluster"),
        ({"workspaces": ("^.*$",)}, "workspace"),
        ({"message": "."}, "message"),
    ],
)
def test_what_is_null_matches_nothing_that_is_given_and_no_row_is_neither(given: Any, column: str) -> None:
    found = matched(Match(**given), **{column: None})
    assert found is (column == "reason" and "severities" in given)
    assert matched(Match(), **{column: None}) is True


def test_reasons_of_the_configuration_are_critical_too() -> None:
    assert matched(Match(severities=("critical",)), critical=["BackOff"])
    assert not matched(Match(severities=("critical",)))


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*c", "(.*)(.*)(.*)(.*)(.*)x$"])
def test_a_pattern_that_would_never_end_elsewhere_is_no_work(pattern: str) -> None:
    assert not matched(Match(message=pattern), message="a" * 20_000)


ANY = Match()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ANY, Match(reasons=("a",), message="x"), True),
        (ANY, ANY, True),
        (Match(reasons=("a",)), ANY, False),
        (Match(reasons=("a", "b")), Match(reasons=("b",)), True),
        (Match(reasons=("b",)), Match(reasons=("a", "b")), False),
        (Match(reasons=("*",)), Match(reasons=("a",)), True),
        (Match(reasons=("*",)), ANY, True),
        (Match(clusters=("us",)), ANY, False),
        (Match(clusters=("us", "eu")), Match(clusters=("eu",)), True),
        (Match(clusters=("us",)), Match(clusters=()), True),
        (ANY, Match(clusters=()), True),
        (Match(message="a"), Match(message="a", types=("Normal",)), True),
        (Match(message="a"), Match(message="ab"), False),
        (Match(message="a"), ANY, False),
        (Match(types=("Normal",), reasons=("a",)), Match(types=("Normal",)), False),
    ],
)
def test_one_covers_another_only_where_its_text_proves_it(one: Match, other: Match, expected: object) -> None:
    assert covers(one, other) is expected


def test_many_globs_of_a_list_are_one_pass_and_the_same() -> None:
    rows = pl.LazyFrame({"namespace": ["a1", "b1", "c", "", "a"]})
    found = rows.select(matches(Match(namespaces=("a?", "b*", "")))).collect().to_series().to_list()
    assert found == [True, True, False, True, False]
