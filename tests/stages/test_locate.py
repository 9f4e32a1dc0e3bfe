import polars as pl
import pytest

from batcher.stages.locate import Rule, locate

RULES = (
    Rule("edge-*", "shop-*", "root:org:shop"),
    Rule("*", "shop-eu", "root:eu", "shop"),
    Rule("*", "team-?", "root:teams", "from-{namespace}"),
    Rule("*", "both-*", "root:both", "a-{namespace}-b"),
    Rule("us-west1", "*", "root:platform", cluster_scoped=True),
)


def located(cluster: str, namespace: str, regarding: str | None = None) -> tuple[str, str, str]:
    row = {
        "cluster": cluster,
        "namespace": namespace,
        "regarding_namespace": namespace if regarding is None else regarding,
    }
    found = locate(pl.LazyFrame([row]), rules=RULES).collect()
    return found.select("workspace", "target_namespace", "verdict").row(0)


@pytest.mark.parametrize(
    ("cluster", "namespace", "expected"),
    [
        ("edge-1", "shop-eu", ("root:org:shop", "shop-eu", "kept")),
        ("far", "shop-eu", ("root:eu", "shop", "kept")),
        ("far", "team-a", ("root:teams", "from-team-a", "kept")),
        ("far", "both-x", ("root:both", "a-both-x-b", "kept")),
        ("far", "team-ab", ("", "", "unmapped")),
        ("far", "my-shop-eu", ("", "", "unmapped")),
        ("far", "shop-eu\nx", ("", "", "unmapped")),
        ("edge-1", "shop-e\nu", ("root:org:shop", "shop-e\nu", "kept")),
        ("us-west1", "anything", ("root:platform", "anything", "kept")),
        ("us-west10", "anything", ("", "", "unmapped")),
    ],
)
def test_the_first_rule_that_matches_whole_names_wins(
    cluster: str, namespace: str, expected: tuple[str, str, str]
) -> None:
    assert located(cluster, namespace) == expected


def test_an_event_about_an_object_without_a_namespace_is_the_cluster_owners_and_no_tenants() -> None:
    assert located("us-west1", "default", regarding="") == ("root:platform", "default", "kept")
    assert located("edge-1", "shop-eu", regarding="") == ("", "", "unmapped")


def test_without_rules_everything_is_unmapped_and_kept_in_the_archive() -> None:
    rows = pl.LazyFrame({"cluster": ["a"], "namespace": ["n"], "regarding_namespace": ["n"]})
    assert locate(rows, rules=()).collect()["verdict"].to_list() == ["unmapped"]
