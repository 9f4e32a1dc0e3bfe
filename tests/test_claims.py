"""Lines of Namespace streams become claims, as of their positions; Events' lines do not."""

import msgspec
import polars as pl

from batcher.claims import Claims
from batcher.mapping import Flaw
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from tests.sections import event, lines, watched

NAMESPACES = Stream("uid-us", "namespaces")
NAME = "kcp-33jbiactwhg0"
LOCATOR = (
    '{"syncTarget":{"cluster":"root:org:ws","name":"us-west1","uid":"syncTargetUID"},'
    '"cluster":"root:org:ws","namespace":"test"}'
)


def claims_of(frames: list[tuple[Place, list[Section]]]) -> pl.DataFrame:
    claims = Claims()
    assert list(claims.passing(frames)) == frames
    return claims.read


def line(change: str, name: str = NAME, locator: str = LOCATOR) -> bytes:
    metadata = {"name": name, "uid": f"uid-{name}", "annotations": {"kcp.io/namespace-locator": locator}}
    return msgspec.json.encode({"type": change, "object": {"metadata": metadata}})


def test_a_namespace_claims_the_workspace_of_its_locator() -> None:
    found = claims_of([(Place(1, 0), [lines(line("ADDED"), stream=NAMESPACES)])])
    assert found.select("cluster_uid", "namespace", "uid", "workspace", "target_namespace", "flaw").rows() == [
        ("uid-us", NAME, f"uid-{NAME}", "root:org:ws", "test", "")
    ]


def test_a_copied_locator_has_a_flaw() -> None:
    found = claims_of([(Place(1, 0), [lines(line("ADDED", name="copy"), stream=NAMESPACES)])])
    assert found["flaw"].to_list() == [Flaw.OTHER_NAME.value]


def test_positions_count_the_lines_of_events_before_them() -> None:
    place = Place(1, 0)
    found = claims_of([(place, [watched(event("a", 1), event("b", 2)), lines(line("ADDED"), stream=NAMESPACES)])])
    assert found["position"].to_list() == [place.line(2)]


def test_a_deleted_namespace_is_gone_when_it_was_told() -> None:
    said = lines(line("ADDED"), line("DELETED"), stream=NAMESPACES, at=5_000_000)
    assert [at and at.timestamp() for at in claims_of([(Place(1, 0), [said])])["gone_at"]] == [None, 5.0]


def test_where_lists_begin_and_end_is_read_too_and_that_the_last_is_under_way() -> None:
    page = msgspec.structs.replace(lines(b'{"metadata":{"name":"a","uid":"1"}}', stream=NAMESPACES), kind=Kind.LISTED)
    complete = Section(NAMESPACES, "us-west1", Kind.LIST_COMPLETE, "9", received_at=5_000_000)
    claims, place, later = Claims(), Place(1, 0), Place(1, 500)
    list(claims.passing([(place, [watched(event("a", 1)), page, page, complete]), (later, [page])]))
    assert claims.lists.select("cluster_uid", "first", "end").rows() == [
        ("uid-us", place.line(1), place.line(3)),
        ("uid-us", later.line(0), None),
    ]
    assert [at and at.timestamp() for at in claims.lists["received_at"]] == [5.0, None]


def test_a_line_that_is_no_namespace_costs_no_other() -> None:
    said = lines(b"{", b'{"type":"ADDED","object":{"metadata":{}}}', line("ADDED"), stream=NAMESPACES)
    assert claims_of([(Place(1, 0), [said])])["namespace"].to_list() == [NAME]
