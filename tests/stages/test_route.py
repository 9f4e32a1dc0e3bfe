"""Where rows are told, by the configuration's routes."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import OCCURRENCES
from batcher.stages.grade import grade
from batcher.stages.match import Match
from batcher.stages.route import Route, Where, route, told_elsewhere, told_mapped
from tests.stages.rows import frame

SHOP = {"cluster": "us", "namespace": "shop-1", "workspace": "root:shop", "target_namespace": "shop", "verdict": "kept"}
NOBODYS = {"workspace": "", "target_namespace": "", "verdict": "unmapped"}
SRE = Where("root:sre", "default")
ANYWHERE = ("^root:.*$",)


def told(
    *routes: Route, allowed: Any = ANYWHERE, minimum: str = "normal", **row: Any
) -> tuple[str, list[tuple[str, ...]]]:
    """The verdict of a row, and all that is told of it: workspace, namespace, origin."""
    rows = route(frame(OCCURRENCES, [SHOP | row]).drop("routes"), routes, critical=["Mine"], minimum=minimum)
    copies = [told_mapped(rows, routes), told_elsewhere(rows, routes, allowed=allowed)]
    found = pl.concat(copies, how="diagonal").select("workspace", "target_namespace", "origin").collect().rows()
    return rows.select("verdict").collect().item(), found


HERE = ("root:shop", "shop", "")
THERE = ("root:sre", "default", "root:shop/shop")


def test_what_no_route_matches_goes_where_it_is_mapped() -> None:
    assert told() == ("kept", [HERE])
    assert told(Route("sre", Match(reasons=("Other",)), elsewhere=(SRE,)), reason="BackOff") == ("kept", [HERE])


def test_a_row_goes_to_all_places_of_all_routes_that_match_once_each() -> None:
    first, last = Route("a", mapped=True, elsewhere=(SRE,)), Route("c", mapped=True)
    routes = [first, Route("b", elsewhere=(SRE, Where("root:noc", "ops"))), last]
    assert told(*routes) == ("kept", [HERE, ("root:noc", "ops", "root:shop/shop"), THERE])


def test_a_route_without_mapped_takes_a_row_from_its_workspace() -> None:
    assert told(Route("sre", elsewhere=(SRE,))) == ("kept", [THERE])


def test_archive_alone_tells_nobody_and_says_so() -> None:
    assert told(Route("quiet")) == ("archive-only", [])
    assert told(Route("quiet"), **NOBODYS) == ("archive-only", [])
    assert told(Route("quiet"), Route("loud", mapped=True)) == ("kept", [HERE])


def test_what_is_filtered_stays_so_and_is_told_nowhere_whatever_routes_say() -> None:
    filtered = {"verdict": "filtered:noise"}
    assert told(Route("quiet"), **filtered) == ("filtered:noise", [])
    assert told(Route("sre", mapped=True, elsewhere=(SRE,)), **filtered) == ("filtered:noise", [])
    assert told(**filtered) == ("filtered:noise", [])


def test_what_is_unmapped_is_told_elsewhere_as_nobodys_and_goes_on_waiting() -> None:
    found = told(Route("sre", mapped=True, elsewhere=(SRE,)), **NOBODYS)
    assert found == ("unmapped", [("", "", ""), ("root:sre", "default", "/")])


def test_a_place_that_is_the_mapped_one_is_told_once_as_its_own() -> None:
    assert told(Route("same", mapped=True, elsewhere=(Where("root:shop", "shop"),))) == ("kept", [HERE])
    found = told(Route("same", elsewhere=(Where("root:shop", "shop"),)))
    assert found == ("kept", [("root:shop", "shop", "root:shop/shop")])


def test_a_place_without_workspace_is_another_namespace_of_the_mapped_one() -> None:
    assert told(Route("ns", elsewhere=(Where("", "ops"),)))[1] == [("root:shop", "ops", "root:shop/shop")]
    assert told(Route("ns", elsewhere=(Where("", "ops"),)), **NOBODYS)[1] == []


def test_a_place_that_is_not_allowed_is_never_told() -> None:
    assert told(Route("sre", mapped=True, elsewhere=(SRE,)), allowed=("^root:shop$",))[1] == [HERE]
    assert told(Route("ns", elsewhere=(Where("", "ops"),)), allowed=())[1] == []


@pytest.mark.parametrize(
    ("match", "row", "expected"),
    [
        ({"severities": ("critical",)}, {"reason": "SystemOOM"}, True),
        ({"severities": ("critical",)}, {"reason": "BackOff", "type": "Warning"}, False),
        ({"severities": ("normal", "warning")}, {"reason": "BackOff", "type": "Warning"}, True),
        ({"types": ("Warning",)}, {"type": "Normal"}, False),
        ({"reasons": ("Back*",)}, {"reason": "BackOff"}, True),
        ({"reasons": ("Back",)}, {"reason": "BackOff"}, False),
        ({"reasons": ("B.ckOff",)}, {"reason": "BackOff"}, False),
        ({"namespaces": ("shop-?",)}, {}, True),
        ({"namespaces": ("other", "shop-*")}, {}, True),
        ({"clusters": ("us", "eu")}, {}, True),
        ({"clusters": ("eu",)}, {}, False),
        ({"clusters": ()}, {}, False),
        ({"workspaces": ("^root:shop$",)}, {}, True),
        ({"workspaces": ("^root:dev-.*$",)}, {}, False),
        ({"workspaces": ("^root:shop$",)}, NOBODYS, False),
        ({"types": ("Warning",), "reasons": ("BackOff",)}, {"type": "Warning", "reason": "Other"}, False),
    ],
)  # fmt: skip
def test_a_route_is_for_what_matches_all_that_it_names(
    match: dict[str, Any], row: dict[str, Any], expected: object
) -> None:
    assert (told(Route("quiet", Match(**match)), **row)[0] == "archive-only") is expected


@pytest.mark.parametrize(
    ("minimum", "row", "expected"),
    [
        ("normal", {"type": "Normal", "reason": "Pulled"}, True),
        ("warning", {"type": "Normal", "reason": "Pulled"}, False),
        ("warning", {"type": "Warning", "reason": "BackOff"}, True),
        ("warning", {"type": "Normal", "reason": "NodeNotReady"}, True),
        ("critical", {"type": "Warning", "reason": "BackOff"}, False),
        ("critical", {"type": "Warning", "reason": "Mine"}, True),
        ("warning", {"type": "Fatal", "reason": "BackOff"}, False),
        ("normal", {"type": "Fatal", "reason": "BackOff"}, True),
    ],
)
def test_what_is_less_severe_than_the_minimum_is_archived_only_wherever_it_is_routed(
    minimum: str, row: dict[str, Any], expected: object
) -> None:
    sre = Route("sre", mapped=True, elsewhere=(SRE,))
    if expected:
        assert told(minimum=minimum, **row) == ("kept", [HERE])
        assert told(sre, minimum=minimum, **row) == ("kept", [HERE, THERE])
    else:
        assert told(minimum=minimum, **row) == told(sre, minimum=minimum, **row) == ("archive-only", [])
        assert told(minimum=minimum, **row | NOBODYS) == ("archive-only", [])


def test_the_names_of_the_routes_that_matched_are_kept() -> None:
    routes = [Route("a"), Route("b", Match(reasons=("x",))), Route("c", mapped=True)]
    rows = route(frame(OCCURRENCES, [SHOP]).drop("routes"), routes)
    assert rows.select("routes").collect().item() == "a,c"


def test_a_name_that_is_part_of_another_is_not_taken_for_it() -> None:
    assert told(Route("sre-2", mapped=True), Route("sre", Match(types=("x",)), elsewhere=(SRE,))) == ("kept", [HERE])


def test_reasons_of_the_configuration_are_critical_beside_the_built_in_ones() -> None:
    rows = pl.DataFrame({"type": ["Normal"] * 3, "reason": ["Mine", "SystemOOM", "Other"]})
    assert rows.select(grade(["Mine"])).to_series().to_list() == ["critical", "critical", "normal"]


names = st.sampled_from(["root:shop", "root:sre", "root:evil", "evil", "root:shop:x", "", "root:.*", "**"])
places = st.builds(Where, names, st.sampled_from(["default", "shop"]))
routes_ = st.lists(
    st.tuples(st.sampled_from(["a", "b", "a-b"]), st.booleans(), st.lists(places, max_size=3)),
    max_size=3,
    unique_by=lambda each: each[0],
).map(lambda found: [Route(name, mapped=mapped, elsewhere=tuple(to)) for name, mapped, to in found])


@given(routes_, names)
def test_no_route_reaches_beyond_what_is_allowed(routes: list[Route], mapped: str) -> None:
    allowed = ("^root:shop$", "^root:sre$")
    row = SHOP | {"workspace": mapped if mapped in {"root:shop", "root:sre"} else ""}
    rows = route(frame(OCCURRENCES, [row]).drop("routes"), routes)
    found = told_elsewhere(rows, routes, allowed=allowed).select("workspace").collect()["workspace"].to_list()
    assert set(found) <= {"root:shop", "root:sre"}
