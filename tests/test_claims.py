"""Lines of the streams of Namespaces and watched objects become claims, as of their positions; Events' do not."""

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


DEPLOYMENTS = Stream("uid-us", "Deployment.v1.apps=deployments")
CERTIFICATES = Stream("uid-us", "Certificate.v1.cert-manager.io=certificates", "team")


def objects_of(frames: list[tuple[Place, list[Section]]]) -> pl.DataFrame:
    claims = Claims()
    assert list(claims.passing(frames)) == frames
    return claims.objects


def made(change: str = "ADDED", **annotations: str) -> bytes:
    """A line about an object that api-syncagent made; its annotations by the last words of their names."""
    said = {f"syncagent.kcp.io/remote-object-{key}": value for key, value in annotations.items()}
    labels = {"syncagent.kcp.io/remote-object-cluster": "1abc"}
    metadata = {"name": "x1-y2", "namespace": "1abc", "uid": "u1", "labels": labels, "annotations": said}
    return msgspec.json.encode({"type": change, "object": {"kind": "PartialObjectMetadata", "metadata": metadata}})


COLUMNS = (
    "namespace", "object_group", "object_kind", "object_name", "uid", "workspace", "target_namespace", "target_name",
    "flaw",
)  # fmt: skip


def test_an_object_claims_the_workspace_object_that_it_was_made_from() -> None:
    said = [lines(made(name="web", namespace="shop"), stream=DEPLOYMENTS), lines(made(name="web"), stream=CERTIFICATES)]
    assert objects_of([(Place(1, 0), said)]).select(COLUMNS).rows() == [
        ("1abc", "apps", "Deployment", "x1-y2", "u1", "1abc", "shop", "web", ""),
        ("1abc", "cert-manager.io", "Certificate", "x1-y2", "u1", "1abc", "default", "web", ""),
    ]


def test_an_object_that_lacks_its_annotations_has_a_flaw_and_one_that_lost_its_label_says_nothing() -> None:
    unlabelled = b'{"type":"DELETED","object":{"metadata":{"name":"x1-y2","namespace":"1abc","uid":"u1"}}}'
    found = objects_of([(Place(1, 0), [lines(made(), unlabelled, stream=DEPLOYMENTS)])])
    assert found.select("object_name", "workspace", "flaw").rows() == [
        ("x1-y2", "", Flaw.INCOMPLETE.value),
        ("x1-y2", "", ""),
    ]
    assert [at is not None for at in found["gone_at"]] == [False, True]


def test_an_object_with_a_locator_and_a_namespace_with_labels_claim_nothing() -> None:
    said = [lines(made(name="web"), stream=NAMESPACES), lines(line("ADDED"), stream=DEPLOYMENTS)]
    assert claims_of([(Place(1, 0), said)])["workspace"].to_list() == [""]
    assert objects_of([(Place(1, 0), said)])["workspace"].to_list() == [""]


def test_objects_of_kinds_that_lists_bring_claim_as_those_of_watches_do() -> None:
    metadata = msgspec.json.encode(msgspec.json.decode(made(name="web"))["object"])
    listed = msgspec.structs.replace(lines(metadata, stream=DEPLOYMENTS), kind=Kind.LISTED)
    found = objects_of([(Place(1, 0), [listed])])
    assert found.select("target_name", "is_listing").rows() == [("web", True)]


def test_the_end_of_a_list_of_objects_is_told_by_its_scope_behind_the_lines_of_the_list() -> None:
    claims, place = Claims(), Place(1, 0)
    said = lines(made(name="web"), stream=CERTIFICATES, at=5_000_000)
    end = Section(CERTIFICATES, "us-west1", Kind.LIST_COMPLETE, "7", received_at=5_000_000)
    of_namespaces = Section(NAMESPACES, "us-west1", Kind.LIST_COMPLETE, "7", received_at=5_000_000)
    assert list(claims.passing([(place, [said, end, of_namespaces])])) == [(place, [said, end, of_namespaces])]
    about = ("uid-us", "cert-manager.io", "Certificate", "team")
    assert [row[:5] for row in claims.object_lists.rows()] == [(*about, place.line(1))]
    assert claims.objects["is_listing"].to_list() == [False]
