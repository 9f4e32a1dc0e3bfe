"""What each recorded answer means for a write, and those that no recording has."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from batcher.publish.answers import Answer, Meaning, classify

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts" / "kcp"
EVENT = "/events"

WRITTEN = Answer(Meaning.WRITTEN)
INVALID = Answer(Meaning.NEVER, "Invalid")
BAD_REQUEST = Answer(Meaning.NEVER, "BadRequest")
FORBIDDEN = Answer(Meaning.CAUSE_MAY_PASS, "Forbidden")
TERMINATING = Answer(Meaning.CAUSE_MAY_PASS, "NamespaceTerminating")
NO_NAMESPACE = Answer(Meaning.CAUSE_MAY_PASS, "NamespaceNotFound")
NO_WORKSPACE = Answer(Meaning.CAUSE_MAY_PASS, "WorkspaceNotFound")
CONFLICT = Answer(Meaning.READ_FIRST, "Conflict")

MEANINGS = {
    "annotation-huge": INVALID,
    "apply-absent": WRITTEN,
    "apply-again": WRITTEN,
    "body-2mb": Answer(Meaning.NEVER, "RequestEntityTooLarge"),
    "body-huge": Answer(Meaning.NEVER, "RequestEntityTooLarge"),
    "count-int32max": WRITTEN,
    "count-negative": WRITTEN,
    "count-overflow": BAD_REQUEST,
    "create": WRITTEN,
    "create-conflict": Answer(Meaning.READ_FIRST, "AlreadyExists"),
    "hostile-name": WRITTEN,
    "hostile-name-dots": INVALID,
    "hostile-name-slash": INVALID,
    "hostile-reason-message": WRITTEN,
    "impersonate-nobody-post": FORBIDDEN,
    "involved-ns-empty-in-default": WRITTEN,
    "involved-ns-empty-in-kube-system": INVALID,
    "involved-ns-mismatch": INVALID,
    "label-bad": INVALID,
    "label-ok": WRITTEN,
    "long-message-legacy": WRITTEN,
    "merge-patch": WRITTEN,
    "name-dns-long": WRITTEN,
    "name-long": WRITTEN,
    "never-existed-logical-post": FORBIDDEN,
    "new-style-core": WRITTEN,
    "new-style-eventtime-millis": BAD_REQUEST,
    "new-style-eventtime-seconds": BAD_REQUEST,
    "new-style-long-message": INVALID,
    "new-style-no-action": INVALID,
    "new-style-update-message-core": WRITTEN,
    "new-style-update-series": WRITTEN,
    "ns-missing": NO_NAMESPACE,
    "ns-terminating-post": TERMINATING,
    "ns-terminating-put": TERMINATING,
    "patch-absent": Answer(Meaning.READ_FIRST, "NotFound"),
    "post-workspace-missing": NO_WORKSPACE,
    "put-absent-with-rv": WRITTEN,
    "put-upsert-existing-norv": WRITTEN,
    "put-upsert-new": WRITTEN,
    "put-wrong-rv": CONFLICT,
    "type-weird": WRITTEN,
    "update-in-place": WRITTEN,
    "update-stale-rv": CONFLICT,
    "ws-post-after-delete-0": TERMINATING,
    "ws-post-after-delete-1": NO_NAMESPACE,
    "ws-post-after-delete-2": FORBIDDEN,
    "ws-post-by-logical-name": WRITTEN,
}
"""Every recorded answer to a write of an Event."""

OTHERS = {
    "cm-finalizer": WRITTEN,
    "get-workspace-missing": NO_WORKSPACE,
    "leases-list": WRITTEN,
    "list-all": WRITTEN,
    "list-bad-continue": BAD_REQUEST,
    "list-future-rv": Answer(Meaning.LATER, "Timeout", 1.0),
    "list-page1": WRITTEN,
    "never-existed-logical": FORBIDDEN,
    "ns-create": WRITTEN,
    "ns-delete": WRITTEN,
    "sar": WRITTEN,
    "unauthorized": Answer(Meaning.LATER, "Unauthorized"),
    "wildcard-list": FORBIDDEN,
    "wildcard-list-shardadmin": WRITTEN,
    "ws-create": WRITTEN,
    "ws-delete": WRITTEN,
    "ws-get": WRITTEN,
    "ws-list-after-delete": FORBIDDEN,
    "ws-list-path-after-delete": NO_WORKSPACE,
}
"""Answers to all other requests: a write may get those of them that refuse."""


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((TRANSCRIPTS / f"{name}.json").read_bytes())
    return found


def writes_an_event(request: dict[str, Any]) -> bool:
    return request["method"] in {"POST", "PUT", "PATCH"} and EVENT in request["path"]


def test_the_tables_have_every_recorded_answer_and_the_first_every_write_of_an_event() -> None:
    names = {path.stem for path in TRANSCRIPTS.glob("*.json")}
    assert {name for name in names if writes_an_event(recorded(name)["request"])} == set(MEANINGS)
    assert names == set(MEANINGS) | set(OTHERS)


@pytest.mark.parametrize(("name", "meant"), [*MEANINGS.items(), *OTHERS.items()])
def test_a_recorded_answer_means(name: str, meant: Answer) -> None:
    response = recorded(name)["response"]
    assert classify(response["status"], response["body"], response["headers"].get("Retry-After")) == meant


@pytest.mark.parametrize(
    ("status", "retry_after", "meant"),
    [
        (429, "1", Answer(Meaning.LATER, "HTTP429", 1.0)),
        (429, None, Answer(Meaning.LATER, "HTTP429")),
        (429, "0", Answer(Meaning.LATER, "HTTP429", 0.0)),
        (429, "86400", Answer(Meaning.LATER, "HTTP429", 300.0)),
        (429, "Mon, 23 Nov 2026 16:00:00 GMT", Answer(Meaning.LATER, "HTTP429")),
        (429, "²", Answer(Meaning.LATER, "HTTP429")),
        (429, "-1", Answer(Meaning.LATER, "HTTP429")),
        (500, None, Answer(Meaning.LATER, "HTTP500")),
        (502, None, Answer(Meaning.LATER, "HTTP502")),
        (503, "5", Answer(Meaning.LATER, "HTTP503", 5.0)),
        (504, None, Answer(Meaning.LATER, "HTTP504")),
        (302, None, Answer(Meaning.LATER, "HTTP302")),
        (204, None, Answer(Meaning.LATER, "HTTP204")),
        (401, None, Answer(Meaning.LATER, "HTTP401")),
        (403, "1", Answer(Meaning.CAUSE_MAY_PASS, "HTTP403")),
        (404, None, Answer(Meaning.CAUSE_MAY_PASS, "HTTP404")),
        (418, None, Answer(Meaning.CAUSE_MAY_PASS, "HTTP418")),
    ],
)
def test_a_status_without_a_word_of_the_api_server_means(status: int, retry_after: str | None, meant: Answer) -> None:
    assert classify(status, None, retry_after) == meant


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("etcdserver: request is too large", Meaning.NEVER),
        ("rpc error: code = ResourceExhausted desc = trying to send message larger than max (3 vs. 2)", Meaning.NEVER),
        ("rpc error: code = ResourceExhausted desc = etcdserver: mvcc: database space exceeded", Meaning.LATER),
        ("etcdserver: leader changed", Meaning.LATER),
    ],
)
def test_only_the_500_that_is_about_size_never_passes(message: str, meaning: Meaning) -> None:
    assert classify(500, {"kind": "Status", "message": message}).meaning is meaning


def test_words_about_size_in_a_name_that_is_quoted_back_decide_nothing() -> None:
    message = 'namespaces "request is too large" not found'
    said = {"message": message, "reason": "NotFound", "details": {"kind": "namespaces"}}
    assert classify(404, said) == NO_NAMESPACE


@pytest.mark.parametrize("reason", ["two words", "<b>", "é", "x" * 65, "", 7, None])
def test_a_reason_that_is_no_short_word_is_replaced_by_the_status(reason: object) -> None:
    assert classify(403, {"reason": reason}).reason == "HTTP403"


@pytest.mark.parametrize(
    "body", ["text", [], 7, {"details": 7}, {"details": {"causes": 7}}, {"details": {"causes": [None]}}]
)
def test_a_body_that_is_no_status_is_judged_by_its_status_code(body: object) -> None:
    assert classify(422, body) == Answer(Meaning.NEVER, "HTTP422")
    assert classify(503, body) == Answer(Meaning.LATER, "HTTP503")
