"""Every way that a delivered line can be counted, ignored or kept in quarantine."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batcher.decode import decode, decode_again
from batcher.decode.lines import decode_line, decode_lines
from batcher.schema import LINES, QUARANTINE
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from batcher.telemetry import Ignored

DUMP = Path(__file__).parent / "real-events" / "k3s-default.json"
RECEIVED = 1_700_000_000_000_000


def line(kind: str = "ADDED", **fields: Any) -> bytes:
    metadata = {"name": "e", "namespace": "web", "uid": "u", "resourceVersion": "7"} | fields.pop("metadata", {})
    return json.dumps({"type": kind, "object": {"metadata": metadata, **fields}}).encode()


def spooled(
    *lines: bytes, kind: Kind = Kind.WATCHED, note: str = "", resource: str = "events", incarnation: int = 0
) -> Any:
    body = b"".join(one + b"\n" for one in lines)
    section = Section(Stream("c1", resource, "", incarnation), "us-west1", kind, None, len(lines), body, note, RECEIVED)
    return decode([(Place(3, 4096), [section])])


def test_a_line_becomes_a_row_with_its_place_in_the_spool() -> None:
    found = spooled(line("DELETED"), line(reason="BackOff", count=3, source={"component": "kubelet"}))
    (row,) = found.lines.to_dicts()
    assert found.lines.schema == LINES
    assert row["position"] == (3 << 42) | (4096 << 16) | 1
    assert (row["cluster_uid"], row["cluster"], row["delivered"]) == ("c1", "us-west1", "ADDED")
    assert (row["reason"], row["count"], row["resource_version"], row["reporting_controller"]) == (
        "BackOff", 3, 7, "kubelet",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"<html>", "not-json"),
        (b"", "not-json"),
        (b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}', "not-json"),
        (b'{"type":"ADDED","object":{"metadata":{"name":"\\ud800","uid":"u"}}}', "not-json"),
        (b'{"type":"ADDED","object":{"metadata":{},"x":' + b"[" * 100_000, "not-json"),
        (b"[]", "wrong-shape"),
        (line(count=2**70), "wrong-shape"),
        (line(count=2**31), "wrong-shape"),
        (line(series={"count": 2**31}), "wrong-shape"),
        (line(count=1.5), "wrong-shape"),
        (line(message=None), "wrong-shape"),
        (line(metadata={"labels": {"a": 1}}), "wrong-shape"),
        (line(metadata={"uid": ""}), "no-uid"),
        (line(metadata={"name": ""}), "no-name"),
        (line(metadata={"resourceVersion": "abc"}), "bad-resource-version"),
        (line(metadata={"resourceVersion": "-1"}), "bad-resource-version"),
        (line(metadata={"resourceVersion": "0"}), "bad-resource-version"),
        (line(metadata={"resourceVersion": str(2**63)}), "bad-resource-version"),
        (line(metadata={"resourceVersion": "٣"}), "bad-resource-version"),
        (line(metadata={"resourceVersion": "9" * 5000}), "bad-resource-version"),
        (b'{"type":"ADDED","object":{"kind":"Table","metadata":{"resourceVersion":"9"},"rows":[]}}', "no-uid"),
        (b'{"type":"ADDED","object":null}', "wrong-shape"),
        (b'{"type":"ERROR","object":{"kind":"Status","code":410}}', "wrong-shape"),
    ],
)
def test_a_line_that_cannot_be_counted_is_kept_with_its_cause_and_harms_no_other(raw: bytes, cause: str) -> None:
    found = spooled(line(), raw, line())
    assert len(found.lines) == 2
    (bad,) = found.quarantined.to_dicts()
    assert (bad["cause"], bad["line"]) == (cause, raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (line("DELETED"), Ignored.DELETED),
        (b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}', Ignored.BOOKMARK),
        (line("SURPRISE"), Ignored.UNKNOWN_TYPE),
        (line(metadata={"labels": {"batcher.kcp.io/kind": "summary"}}), Ignored.OWN),
    ],
)
def test_a_line_that_is_no_happening_is_ignored_and_counted(raw: bytes, why: Ignored) -> None:
    found = spooled(raw)
    assert {name: number for name, number in found.ignored.items() if number} == {why: 1}
    assert (len(found.lines), len(found.quarantined)) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"eventTime": None, "firstTimestamp": None, "lastTimestamp": None},
        {"series": {"count": 5, "lastObservedTime": "2026-11-23T12:00:00.000001Z"}},
        {"message": "nul \x00 and \u202e and \x1b[2J"},
        {"firstTimestamp": "0001-01-01T00:00:00Z", "lastTimestamp": "9999-12-31T23:59:59Z"},
        {"firstTimestamp": "yesterday"},
        {"newField": {"deep": [1, {"er": None}]}},
        {"count": -5},
        {"count": 2**31 - 1, "series": {"count": -(2**31)}},
        {"related": {"kind": "Pod", "name": "p"}},
    ],
)
def test_odd_events_are_rows_like_any_other(fields: dict[str, Any]) -> None:
    assert len(spooled(line(**fields)).lines) == 1


def test_what_the_watcher_refused_keeps_the_watchers_word() -> None:
    (bad,) = spooled(b"x", kind=Kind.REFUSED, note="longer than 4194304 bytes").quarantined.to_dicts()
    assert (bad["cause"], bad["line"]) == ("longer than 4194304 bytes", b"x")


def again(*lines: bytes, cause: str = "wrong-shape") -> Any:
    """What lines that came in the third incarnation are when they are read again."""
    rows = [[1, position, None, "c1", "us-west1", 2, cause, raw] for position, raw in enumerate(lines)]
    return decode_again(pl.DataFrame(rows, schema=QUARANTINE, orient="row"), at=RECEIVED, first=70)


def test_a_line_that_is_read_again_stands_and_was_received_where_it_is_told() -> None:
    bare = json.dumps({"metadata": {"name": "e", "uid": "u", "resourceVersion": "9"}}).encode()
    found = again(b"no JSON", line(), bare)
    assert found.lines.schema == LINES
    columns = ("position", "cluster_uid", "cluster", "incarnation", "delivered", "resource_version")
    assert found.lines.select(columns).rows() == [
        (71, "c1", "us-west1", 2, "RETRIED", 7), (72, "c1", "us-west1", 2, "RETRIED", 9),
    ]  # fmt: skip
    assert set(found.lines["received_at"].dt.timestamp("us")) == {RECEIVED}
    assert found.others.rows() == [(0, 70, "quarantined", "not-json")]
    assert found.places.rows() == [(0, 70), (1, 71), (2, 72)]


def test_of_what_is_read_again_each_line_has_one_fate() -> None:
    own = line(metadata={"labels": {"batcher.kcp.io/kind": "summary"}})
    found = again(line("DELETED"), own, b'{"object":null}', b"[]", line(metadata={"uid": ""}))
    assert found.others.rows() == [
        (0, 70, "ignored", ""), (1, 71, "ignored", ""), (2, 72, "quarantined", "wrong-shape"),
        (3, 73, "quarantined", "wrong-shape"), (4, 74, "quarantined", "no-uid"),
    ]  # fmt: skip
    assert again(line(), cause="longer than 4194304 bytes").others.rows() == [
        (0, 70, "quarantined", "longer than 4194304 bytes")
    ]


def test_listed_items_are_bare_objects() -> None:
    raw = json.dumps({"metadata": {"name": "e", "uid": "u", "resourceVersion": "1"}}).encode()
    assert spooled(raw, kind=Kind.LISTED).lines["delivered"].to_list() == ["LISTED"]


def test_other_resources_are_not_events() -> None:
    found = spooled(line(), resource="namespaces")
    assert (len(found.lines), len(found.contacts)) == (0, 0)


def test_rows_and_contacts_say_which_incarnation_of_their_stream_brought_them() -> None:
    found = spooled(line(), incarnation=3)
    assert found.lines["incarnation"].to_list() == [3]
    assert found.contacts["incarnation"].to_list() == [3]


def test_every_section_of_events_is_a_contact_but_a_repeated_cursor() -> None:
    assert len(spooled(kind=Kind.CONTACT).contacts) == 1
    assert len(spooled(kind=Kind.CURSOR).contacts) == 0


def test_the_identity_is_the_name_and_first_time_and_not_the_uid() -> None:
    first = {"firstTimestamp": "2026-11-23T12:00:00Z"}
    rows = spooled(
        line(**first),
        line(metadata={"uid": "another"}, **first),
        line(firstTimestamp="2026-11-23T12:00:01Z"),
        line(eventTime="2026-11-23T12:00:00Z"),
        line(metadata={"uid": "x"}),
        line(metadata={"uid": "y"}),
    ).lines
    identities = [tuple(row) for row in rows.select("identity_high", "identity_low").rows()]
    assert identities[0] == identities[1] == identities[3]
    assert len(set(identities)) == 4


def test_the_first_time_names_an_identity_before_the_event_time_and_namespaces_part_it() -> None:
    first, second = "2026-11-23T12:00:00Z", "2026-11-23T12:00:01Z"
    rows = spooled(
        line(firstTimestamp=first),
        line(firstTimestamp=first, eventTime=second),
        line(firstTimestamp=second),
        line(firstTimestamp=first, metadata={"namespace": "api"}),
    ).lines
    identities = [tuple(row) for row in rows.select("identity_high", "identity_low").rows()]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3


def test_series_reporter_and_related_object_have_columns_of_their_own() -> None:
    series = {"count": 5, "lastObservedTime": "2026-11-23T12:00:00.000001Z"}
    related = {"apiVersion": "v1", "kind": "Pod", "namespace": "web", "name": "p", "fieldPath": "spec"}
    raw = line(count=3, series=series, related=related, reportingComponent="sched", source={"component": "old"})
    (row,) = spooled(raw).lines.to_dicts()
    assert (row["count"], row["series_count"], row["series_last"]) == (3, 5, "2026-11-23T12:00:00.000001Z")
    assert (row["reporting_controller"], row["component"]) == ("sched", "old")
    assert [row[f"related_{part}"] for part in ("api_version", "kind", "namespace", "name", "field_path")] == [
        "v1", "Pod", "web", "p", "spec",
    ]  # fmt: skip


LINES_OF_EVERY_FATE = st.sampled_from([
    line(), line(count=7), line("DELETED"), line("SURPRISE"), line(metadata={"labels": {"batcher.kcp.io/kind": "x"}}),
    line(metadata={"uid": ""}), line(count=2**70), b"", b"\x00", b"\xff", b"null", b'{"type":"ADDED"',
])  # fmt: skip


@given(
    st.lists(
        st.one_of(LINES_OF_EVERY_FATE, st.binary(max_size=8).map(lambda raw: raw.replace(b"\n", b""))), max_size=12
    )
)
def test_every_delivered_line_has_one_fate_and_a_place_of_its_own(raw: list[bytes]) -> None:
    found = spooled(*raw)
    assert len(found.lines) + len(found.quarantined) + sum(found.ignored.values()) == len(raw)
    places = [*found.lines["position"], *found.quarantined["position"]]
    assert len(set(places)) == len(places)
    assert [raw[place & 0xFFFF] for place in found.quarantined["position"]] == found.quarantined["line"].to_list()


ODD_VERSIONS = st.sampled_from(
    ["", "0", "000", "-1", "+1", " 1", "1_0", "٣", "9" * 18, "9" * 19, str(2**63 - 1), str(2**63)]
)
EVENTS = st.one_of(
    LINES_OF_EVERY_FATE,
    ODD_VERSIONS.map(lambda version: line(metadata={"resourceVersion": version})),
    st.sampled_from([
        line(metadata={"labels": {"app": "web"}}), line("MODIFIED"), line("BOOKMARK"), line() + b" ", b" " + line(),
        line() + line(), line()[:-1], b"}" + line(), b'{"metadata":{"name":"e","uid":"u","resourceVersion":"7"}}',
    ]),
)  # fmt: skip


@given(st.sampled_from([Kind.WATCHED, Kind.LISTED, Kind.REFUSED]), st.lists(EVENTS, max_size=6))
@example(Kind.WATCHED, [line()[:-1], b"}" + line()])
@example(Kind.WATCHED, [line(metadata={"resourceVersion": ""}), line()])
@example(Kind.REFUSED, [line()])
def test_lines_that_are_read_at_once_are_what_each_is_by_itself(kind: Kind, raw: list[bytes]) -> None:
    body = b"".join(one + b"\n" for one in raw)
    assert list(decode_lines(kind, body, len(raw))) == [decode_line(kind, one) for one in raw]


def test_lines_are_numbered_over_all_sections_of_a_frame() -> None:
    one = Section(Stream("c1", "namespaces"), "us", Kind.LISTED, None, 2, b"{}\n{}\n")
    two = Section(Stream("c1", "events"), "us", Kind.WATCHED, "7", 1, line() + b"\n")
    assert decode([(Place(1, 0), [one, two])]).lines["position"].to_list() == [Place(1, 0).line(2)]


def test_a_real_dump_decodes_whole() -> None:
    items = [json.dumps(item).encode() for item in json.loads(DUMP.read_text(encoding="utf-8"))["items"]]
    found = spooled(*items, kind=Kind.LISTED)
    assert (len(found.lines), len(found.quarantined), sum(found.ignored.values())) == (56, 0, 0)
    assert found.lines["count"].fill_null(1).sum() == 99
