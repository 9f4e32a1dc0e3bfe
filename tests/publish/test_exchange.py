"""Which requests one write takes, and what it never does."""

from typing import Any

import msgspec
import pytest

from batcher.errors import Unavailable
from batcher.publish.answers import Answer, Meaning
from batcher.publish.exchange import bring
from tests.publish.kcp import LAST_SEEN, LOST, OCCURRENCES, Fault, Kcp, where, write

WRITTEN = Answer(Meaning.WRITTEN)
HERE = where("web.1")


async def test_a_new_summary_is_created_by_post() -> None:
    kcp = Kcp()
    assert (await bring(kcp, write(total=3), None))[:2] == (WRITTEN, "101")
    assert kcp.sent() == [("POST", None)]
    assert kcp.told == {"web.1": 3}


async def test_an_update_is_put_with_the_remembered_resource_version() -> None:
    kcp = Kcp()
    await bring(kcp, write(total=3), None)
    assert (await bring(kcp, write(total=4), "101"))[:2] == (WRITTEN, "102")
    assert kcp.sent() == [("POST", None), ("PUT", "101")]
    assert kcp.told == {"web.1": 4}


async def test_an_expired_event_is_created_again_by_the_put() -> None:
    kcp = Kcp()
    assert (await bring(kcp, write(total=4), "77"))[:2] == (WRITTEN, "101")
    assert kcp.told == {"web.1": 4}


async def test_a_name_that_exists_is_read_and_then_updated() -> None:
    kcp = Kcp()
    await bring(kcp, write(total=3), None)
    assert (await bring(kcp, write(total=4), None))[:2] == (WRITTEN, "102")
    assert kcp.sent()[1:] == [("POST", None), ("GET", None), ("PUT", "101")]


async def test_a_stale_resource_version_is_read_and_then_updated() -> None:
    kcp = Kcp()
    await bring(kcp, write(total=3), None)
    kcp.touch(HERE)
    assert (await bring(kcp, write(total=4), "101"))[:2] == (WRITTEN, "103")
    assert kcp.sent()[1:] == [("PUT", "101"), ("GET", None), ("PUT", "102")]


@pytest.mark.parametrize("known", [None, "55"])
async def test_what_is_there_already_is_not_written_again(known: str | None) -> None:
    kcp = Kcp()
    await bring(kcp, write(total=3), None)
    assert (await bring(kcp, write(total=3), known))[:2] == (WRITTEN, "101")
    assert kcp.sent()[-1] == ("GET", None)


async def test_lower_totals_never_replace_higher_ones() -> None:
    kcp = Kcp()
    await bring(kcp, write(total=9), None)
    assert (await bring(kcp, write(total=3), None))[:2] == (WRITTEN, "101")
    assert kcp.totals == {HERE: [9]}


async def test_a_summary_that_is_there_is_written_again_when_it_became_a_member_of_an_incident() -> None:
    kcp = Kcp()
    await bring(kcp, write(total=3), None)
    told = write(total=3)
    labelled = {"labels": {"batcher.kcp.io/incident": "4f1c9ab27d03"}, **told.event["metadata"]}
    told = msgspec.structs.replace(told, event=told.event | {"metadata": labelled})
    assert (await bring(kcp, told, "55"))[:2] == (WRITTEN, "102")
    assert (await bring(kcp, told, "55"))[:2] == (WRITTEN, "102")
    assert [method for method, _ in kcp.sent()] == ["POST", "PUT", "GET", "PUT", "PUT", "GET"]


@pytest.mark.parametrize(
    ("last", "message", "puts"),
    [
        ("2026-11-23T16:00:00.000001Z", "Back-off restarting failed container", 1),
        ("2026-11-23T16:00:00.000000Z", "another", 1),
        ("2026-11-23T15:59:59.999999Z", "another", 0),
    ],
)
async def test_with_equal_totals_the_one_seen_last_wins(last: str, message: str, puts: int) -> None:
    kcp = Kcp()
    await bring(kcp, write(total=3), None)
    await bring(kcp, write(total=3, last=last, message=message), None)
    assert [method for method, _ in kcp.sent()].count("PUT") == puts


async def test_an_event_deleted_while_it_is_looked_at_is_created() -> None:
    kcp = Kcp()
    kcp.faults.append(Fault(409, "Conflict"))
    assert (await bring(kcp, write(total=3), "77"))[:2] == (WRITTEN, "101")
    assert kcp.sent() == [("PUT", "77"), ("GET", None), ("POST", None)]


async def test_a_name_that_somebody_else_uses_is_taken_over() -> None:
    kcp = Kcp()
    await bring(kcp, write(total=9), None)
    kcp.touch(HERE, involvedObject={"kind": "Pod", "name": "other"})
    assert (await bring(kcp, write(total=3), None))[:2] == (WRITTEN, "103")


@pytest.mark.parametrize("count", ["", "-1", "1e9", "²", "9" * 5000, "twelve"])
async def test_an_annotation_that_is_no_count_is_less_than_any(count: str) -> None:
    kcp = Kcp()
    await bring(kcp, write(total=9), None)
    kcp.objects[HERE]["metadata"]["annotations"] = {OCCURRENCES: count, LAST_SEEN: "9"}
    assert (await bring(kcp, write(total=10), None))[:2] == (WRITTEN, "102")


async def test_an_event_without_annotations_is_written_over() -> None:
    kcp = Kcp()
    await bring(kcp, write(total=9), None)
    kcp.objects[HERE]["metadata"]["annotations"] = None
    assert (await bring(kcp, write(total=10), None))[:2] == (WRITTEN, "102")


async def test_a_lost_answer_is_no_answer() -> None:
    kcp = Kcp()
    kcp.faults.append(LOST)
    with pytest.raises(Unavailable):
        await bring(kcp, write(), None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>signed in</html>",
        b"\xff",
        b"null",
        b"[]",
        b'{"deep":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        msgspec.json.encode({"kind": "Event"}),
        msgspec.json.encode({"metadata": {}, "involvedObject": {}}),
        msgspec.json.encode({"metadata": {"resourceVersion": 7}, "involvedObject": {}}),
        msgspec.json.encode({"metadata": {"resourceVersion": "7"}, "involvedObject": "web"}),
    ],
)
@pytest.mark.parametrize("first", [[], [Fault(409, "AlreadyExists")]])
async def test_a_success_that_is_no_event_is_no_answer(first: list[Fault | None], body: bytes) -> None:
    kcp = Kcp()
    kcp.faults.extend([*first, Fault(200, content=body)])
    with pytest.raises(Unavailable, match="the answer 200 is no Event"):
        await bring(kcp, write(), None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"null", b"[" * 200_000 + b"]" * 200_000])
async def test_a_failure_that_is_no_status_counts_by_its_code(body: bytes) -> None:
    kcp = Kcp()
    kcp.faults.append(Fault(422, content=body))
    assert (await bring(kcp, write(), None))[:2] == (Answer(Meaning.NEVER, "HTTP422"), None)


async def test_a_refused_read_is_the_answer() -> None:
    kcp = Kcp()
    kcp.faults.extend([Fault(409, "AlreadyExists"), Fault(403, "Forbidden")])
    assert (await bring(kcp, write(), None))[:2] == (Answer(Meaning.CAUSE_MAY_PASS, "Forbidden"), None)


async def test_the_events_own_content_is_sent_as_it_is() -> None:
    kcp = Kcp()
    sent: dict[str, Any] = write(total=3).event
    await bring(kcp, write(total=3), None)
    kept = kcp.objects[HERE]
    assert kept == sent | {"metadata": sent["metadata"] | {"resourceVersion": "101"}}
