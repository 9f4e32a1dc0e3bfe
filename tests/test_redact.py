"""What is taken out of lines before they are spooled, and what stays as it was."""

import json
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.decode import decode
from batcher.redact import Redaction, Redactor, redacted
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from tests.sections import event, lines, watched

TOKEN = Redaction(r"token=[^\s&]+", "token=***")
SECRET = "token=hunter2"


def listed(*items: bytes, kind: Kind = Kind.LISTED, resource: str = "events") -> Section:
    body = b"".join(item + b"\n" for item in items)
    return Section(Stream("uid-us", resource), "us-west1", kind, None, len(items), body)


def after(section: Section, *redactions: Redaction) -> Section:
    (found,) = Redactor(redactions or (TOKEN,))([section])
    assert found.lines == section.lines == found.body.count(b"\n")
    return found


def searched(item: bytes, *redactions: Redaction, kind: Kind = Kind.LISTED) -> bytes:
    return after(listed(item, kind=kind), *redactions).body[:-1]


def object_of(section: Section) -> Any:
    return json.loads(section.body)["object"]


def test_a_message_is_rewritten_and_all_that_counting_needs_stays() -> None:
    section = after(watched(event("a", 7, count=3, message=f"GET /?{SECRET}&x=1 failed")))
    assert object_of(section) == json.loads(event("a", 7, count=3, message="GET /?token=***&x=1 failed"))
    assert json.loads(section.body)["type"] == "MODIFIED"


@pytest.mark.parametrize(
    "place",
    [
        ("reason",), ("action",), ("type",), ("reportingComponent",), ("reportingInstance",), ("source", "component"),
        ("source", "host"), ("metadata", "generateName"), ("unknown",), ("metadata", "unknown"), ("source", "unknown"),
        ("related", "unknown", "deep"), ("involvedObject", "fieldPath"), ("related", "fieldPath"),
        ("metadata", "labels", "any"), ("metadata", "annotations", "example.com/any"),
    ],
    ids=".".join,
)  # fmt: skip
def test_every_other_text_of_an_event_s_author_is_searched_too(place: tuple[str, ...]) -> None:
    document = json.loads(event("a", 1))
    where = document
    for key in place[:-1]:
        where = where.setdefault(key, {})
    where[place[-1]] = f"x {SECRET}"
    item = json.dumps(document).encode()
    where[place[-1]] = "x token=***"
    assert json.loads(searched(item)) == document
    assert json.loads(after(watched(item)).body)["object"] == document


def test_lists_of_an_event_are_searched_too() -> None:
    document = json.loads(event("a", 1))
    for key, found in (("finalizers", [SECRET]), ("managedFields", [{"manager": SECRET, "fieldsV1": {"f:x": {}}}])):
        item = json.dumps(document | {"metadata": document["metadata"] | {key: found}}).encode()
        assert SECRET.encode() not in searched(item)


def test_a_watch_line_among_listed_objects_is_searched_as_well() -> None:
    item = b'{"type":"ADDED","object":' + event("a", 1, message=SECRET) + b"}"
    assert SECRET.encode() not in searched(item)


def test_names_references_versions_and_times_stay_though_a_pattern_finds_them() -> None:
    item = event("token=x", 5, message=f"{SECRET} a", namespace="token=y", related={"kind": "Pod", "name": "token=z"})
    found = json.loads(searched(item))
    expected = json.loads(item)
    expected["message"] = "token=*** a"
    assert found == expected


def test_what_holds_nothing_to_find_stays_byte_for_byte() -> None:
    odd = b'{ "metadata" : {"annotations":{"a":"\\u0041\\/"}},  "message":"caf\\u00e9 \xc3\xa9 tok\\u0065n" }'
    for item in (odd, event("a", 1), b"{}", b'{"metadata":null}', b"[]", b"7", b"no JSON", b"\xff\x00"):
        assert searched(item) == item
    section = watched(event("a", 1), event("b", 2))
    (same,) = Redactor([TOKEN])([section])
    assert same is section


def test_a_text_is_searched_as_it_reads_and_not_as_json_writes_it() -> None:
    escaped = b'{"message":"\\u0074oken=a\\u0026b \\"q\\""}'
    assert json.loads(searched(escaped)) == {"message": 'token=***&b "q"'}
    starts = Redaction("^pass .*$", "gone")
    assert json.loads(searched(b'{"message":"pass x"}', starts)) == {"message": "gone"}
    assert json.loads(searched(b'{"message":"say pass x"}', starts)) == {"message": "say pass x"}
    quoted = Redaction('"pw":"[^"]*"', '"pw":"***"')
    assert json.loads(searched(b'{"message":"{\\"pw\\":\\"x\\"}"}', quoted)) == {"message": '{"pw":"***"}'}


def test_groups_and_dollars_stand_as_they_are_documented_and_one_follows_the_other() -> None:
    assert json.loads(searched(b'{"message":"user=joe"}', Redaction("(user)=(j)oe", "$1=${2}_ $$"))) == {
        "message": "user=j_ $"
    }
    both = (Redaction("a", "b"), Redaction("b+", "c"))
    assert json.loads(searched(b'{"message":"ab"}', *both)) == {"message": "c"}


def test_only_the_lines_in_which_something_is_found_change() -> None:
    odd = b'{"type":"ADDED",  "object":{"message":"x"}}'
    section = lines(odd, b'{"type":"ADDED","object":' + event("a", 1, message=SECRET) + b"}", odd)
    first, second, third = after(section).body.splitlines()
    assert (first, third) == (odd, odd)
    assert SECRET.encode() not in second


def test_a_line_of_the_wrong_shape_is_searched_all_over_and_can_still_be_told_whose_it_is() -> None:
    item = event("token=x", 1, message=7, note=SECRET, extra=[{"deep": [SECRET]}])
    found = json.loads(searched(item))
    assert (found["note"], found["extra"], found["message"]) == ("token=***", [{"deep": ["token=***"]}], 7)
    assert found["metadata"]["name"] == "token=x.1"


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.WATCHED, Kind.LISTED])
def test_a_line_that_is_no_json_is_searched_as_it_is_whatever_bytes_it_holds(kind: Kind) -> None:
    assert searched(b'{"message":"token=hunter2 and', kind=kind) == b'{"message":"token=*** and'
    assert searched(b"\xff\x00 token=hunter2 \xfe", kind=kind) == b"\\xff\x00 token=*** \\xfe"
    assert searched(b"\xff\x00 nothing", kind=kind) == b"\xff\x00 nothing"


def test_a_line_that_is_no_json_is_searched_without_escapes_too() -> None:
    quoted = Redaction('"pw":"[^"]*"', "***")
    assert searched(b'{"message":"{\\"pw\\":\\"x\\"}\\n', quoted, kind=Kind.REFUSED) == b'{"message":"{***} '
    assert b"hunter2" not in searched(b'{"message":"\\u0074oken\\u003dhunter2', kind=Kind.REFUSED)
    assert b"\n" not in searched(b'{"message":"token=a \\u000a \\ud83d\\ude00 \\ud83d', kind=Kind.REFUSED)


def test_a_refused_line_that_is_json_is_searched_as_such() -> None:
    item = b'{"type":"ADDED","object":{"message":"token=hunter2"}}'
    assert searched(item, Redaction("^token=.*", "gone"), kind=Kind.REFUSED) == (
        b'{"type":"ADDED","object":{"message":"gone"}}'
    )


def test_json_that_is_nested_too_deeply_is_searched_as_bytes() -> None:
    deep = b'{"message":"token=hunter2","a":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert b"hunter2" not in searched(deep)


def test_a_replacement_cannot_make_a_line_so_long_that_its_frame_could_not_be_read() -> None:
    long = Redaction(".", "*" * 64)
    found = searched(event("a", 1, message="x" * 100_000), long)
    assert json.loads(found)["message"] == "…"
    many = json.dumps({"metadata": {"annotations": {str(n): "x" for n in range(10_000)}}}).encode()
    assert len(searched(many, long)) < 3 * len(many)
    assert searched(b"x" * 100_000, long, kind=Kind.REFUSED) == "…".encode()
    assert json.loads(searched(event("a", 1, message="xy"), long))["message"] == "*" * 128


def test_a_namespace_keeps_what_says_whose_it_is() -> None:
    labels = {"internal.workload.kcp.io/cluster": "token=a", "kubernetes.io/x": SECRET}
    annotations = {"kcp.io/namespace-locator": "token=b", "kcp.dev/namespace-locator": "token=c", "pw": SECRET}
    item = json.dumps({"metadata": {"name": "n", "uid": "u", "labels": labels, "annotations": annotations}}).encode()
    found = json.loads(after(listed(item, resource="namespaces")).body)["metadata"]
    assert found["labels"] == labels | {"kubernetes.io/x": "token=***"}
    assert found["annotations"] == annotations | {"pw": "token=***"}


def test_a_contact_has_no_line_and_stays() -> None:
    contact = Section(Stream("uid-us", "events"), "us-west1", Kind.CONTACT)
    assert Redactor([TOKEN])([contact]) == [contact]


def test_a_column_is_searched_in_the_same_way() -> None:
    frame = pl.DataFrame({"message": [f"a {SECRET}", "b", None]})
    assert frame.select(redacted(pl.col("message"), [TOKEN])).to_series().to_list() == ["a token=***", "b", None]
    assert frame.select(redacted(pl.col("message"), [])).equals(frame)


texts = st.text(st.sampled_from('ab=&" \\\n\té😀\u202e$'), max_size=12) | st.just("token=ab") | st.just("x token=")


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5))
def test_nothing_that_a_pattern_finds_is_left_and_every_line_counts_as_before(
    said: list[tuple[str, str, str]],
) -> None:
    events = [
        event(f"n{n}", n, message=message, reason=reason, source={"component": host, "host": host})
        for n, (message, reason, host) in enumerate(said, 1)
    ]
    section = watched(*events)
    before, now = (decode([(Place(1, 0), [each])]) for each in (section, after(section, TOKEN)))
    for column in ("message", "reason", "component", "host", "reporting_controller"):
        replaced = before.lines.select(redacted(pl.col(column), [TOKEN])).to_series()
        assert now.lines[column].to_list() == replaced.to_list()
    same = [name for name in before.lines.columns if name not in {
        "message", "reason", "component", "host", "reporting_controller"}]  # fmt: skip
    assert now.lines.select(same).equals(before.lines.select(same))


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=4))
def test_any_bytes_are_searched_and_stay_one_line_each(raw: list[bytes]) -> None:
    for kind in (Kind.WATCHED, Kind.LISTED, Kind.REFUSED):
        section = listed(*raw, kind=kind)
        found = after(section, Redaction("zz+", "y"))
        assert found == section or b"zz" in section.body or b"\\" in section.body


def test_what_decodes_as_another_number_is_left_alone_where_nothing_is_found() -> None:
    item = b'{"count":1e2,"big":123456789012345678901234567890,"message":"x"}'
    assert searched(item) == item
    assert msgspec.json.decode(searched(item.replace(b"x", SECRET.encode())))["message"] == "token=***"
