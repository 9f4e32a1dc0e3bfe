from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import CLAIMS, empty
from batcher.stages.locate import Trust, cases, decide, locate
from batcher.stages.rule import Rule
from tests.stages.rows import at

RULES = (
    Rule("edge-*", "shop-*", "root:org:shop"),
    Rule("*", "shop-eu", "root:eu", "shop"),
    Rule("*", "team-?", "root:teams", "from-{namespace}"),
    Rule("*", "both-*", "root:both", "a-{namespace}-b"),
    Rule("us-west1", "*", "root:platform", cluster_scoped=True),
)


def located(cluster: str, namespace: str, regarding: str | None = None) -> tuple[str, str, str]:
    row = {
        "position": 5,
        "received_at": at(5),
        "cluster_uid": "uid",
        "cluster": cluster,
        "namespace": namespace,
        "regarding_namespace": namespace if regarding is None else regarding,
    }
    found = locate(pl.LazyFrame([row]), empty(CLAIMS).lazy(), rules=RULES).collect()
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
    rows = pl.LazyFrame([_row(1, "n")])
    assert locate(rows, empty(CLAIMS).lazy(), rules=()).collect()["verdict"].to_list() == ["unmapped"]


def _row(position: int, namespace: str, regarding: str | None = None) -> dict[str, object]:
    where = namespace if regarding is None else regarding
    return {
        "position": position,
        "received_at": at(position),
        "cluster_uid": "uid",
        "cluster": "a",
        "namespace": namespace,
        "regarding_namespace": where,
    }


def _claim(position: int, namespace: str, workspace: str, flaw: str = "") -> dict[str, object]:
    said = {"position": position, "namespace": namespace, "workspace": workspace, "flaw": flaw}
    return {"cluster_uid": "uid", "target_namespace": "shop", **said}


def told(rows: list[dict[str, object]], claims: list[dict[str, object]], trust: Trust) -> list[tuple[str, str]]:
    rules = [Rule("*", "*", "root:platform", cluster_scoped=True)]
    said = pl.LazyFrame(claims, schema=CLAIMS)
    found = locate(pl.LazyFrame(rows), said, rules=rules, trust=trust).sort("position")
    return found.select("workspace", "target_namespace").collect().rows()


LOCATORS = Trust(locators=True)


def test_a_row_goes_where_its_namespace_said_last_before_it() -> None:
    claims = [_claim(30, "n", "root:b"), _claim(10, "n", "root:a"), _claim(15, "other", "root:c")]
    assert told([_row(40, "n"), _row(5, "n"), _row(20, "n")], claims, LOCATORS) == [
        ("root:platform", "n"),
        ("root:a", "shop"),
        ("root:b", "shop"),
    ]


def test_a_claim_that_is_not_trusted_changes_nothing() -> None:
    assert told([_row(20, "n")], [_claim(10, "n", "root:a")], Trust()) == [("root:platform", "n")]


def test_a_namespace_with_a_flawed_claim_falls_to_nobody() -> None:
    assert told([_row(20, "n")], [_claim(10, "n", "root:a", "other-name")], LOCATORS) == [("", "")]


def test_a_claim_never_reaches_a_workspace_that_is_not_allowed() -> None:
    trust = Trust(locators=True, allowed=("^root:a$", "^root:platform$"))
    claims = [_claim(10, "n", "root:a"), _claim(10, "forged", "root:ab")]
    assert told([_row(20, "n"), _row(21, "forged")], claims, trust) == [("root:a", "shop"), ("", "")]


def test_a_namespace_that_was_deleted_counts_for_as_long_as_it_is_remembered() -> None:
    claims = pl.LazyFrame([_claim(10, "n", "root:a") | {"gone_at": at(10)}], schema=CLAIMS)
    rows = pl.LazyFrame([_row(15, "n"), _row(16, "n")])
    found = locate(rows, claims, rules=(), trust=LOCATORS, remembered=timedelta(minutes=5)).sort("position")
    assert found.collect()["workspace"].to_list() == ["root:a", ""]


def test_no_claim_of_a_namespace_takes_an_object_without_one() -> None:
    claims = [_claim(10, "default", "root:a")]
    assert told([_row(20, "default", regarding="")], claims, LOCATORS) == [("root:platform", "default")]


SAID = st.sampled_from(["*", "a", "b", "a*", "?"])
RULES_OF_ALL_KINDS = st.lists(
    st.builds(Rule, SAID, SAID, st.sampled_from(["root:x", "root:y"]), cluster_scoped=st.booleans()), max_size=8
)
PLACES = [
    {"cluster": cluster, "namespace": namespace, "cluster_scoped": scoped, "claimed": claimed, "flaw": flaw}
    for cluster in ("a", "b", "ab")
    for namespace in ("a", "c")
    for scoped in (False, True)
    for claimed, flaw in ((None, None), ("root:z", ""), ("", "other-name"))
]


@given(RULES_OF_ALL_KINDS, st.integers(0, 8), st.booleans())
def test_what_is_looked_up_by_name_decides_in_its_turn_among_all_that_are_asked(
    rules: list[Rule],
    first: int,
    locators: bool,  # noqa: FBT001  drawn
) -> None:
    trust = Trust(locators=locators, rules_first=min(first, len(rules)))
    claims = pl.LazyFrame(PLACES).with_columns(claimed_namespace="claimed", own="claimed", own_namespace="claimed")
    rows = claims.with_columns(own_name="claimed", own_flaw="flaw")
    found = decide(rows, rules, trust).collect()
    asked = {str(case.decided_by): case.holds.fill_null(value=False) for case in cases(rules, trust)}
    answers = rows.select(**asked).collect().rows() if asked else []
    in_turn = [next((int(name) for name, holds in zip(asked, row, strict=True) if holds), None) for row in answers]
    assert found["decided_by"].to_list() == in_turn
