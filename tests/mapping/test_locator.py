import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.mapping import Claim, Flaw, read_claim
from batcher.mapping.locator import CURRENT, LEGACY, SYNC_TARGET_LABEL

TARGET = {"cluster": "root:org:ws", "name": "us-west1", "uid": "syncTargetUID"}
LOCATOR = {"syncTarget": TARGET, "cluster": "root:org:ws", "namespace": "test"}
NAME = "kcp-33jbiactwhg0"
KEY = {SYNC_TARGET_LABEL: "6ohB8yeXhwqTQVuBzJRgqcRJTpRjX7yTZu5g5g"}


def claim(locator: Any, *, name: str = NAME, key: str = CURRENT, labels: dict[str, str] | None = None) -> Claim | None:
    text = locator if isinstance(locator, str) else json.dumps(locator)
    return read_claim(name, {key: text}, labels or {})


def test_a_namespace_without_a_locator_claims_nothing() -> None:
    assert read_claim("web", {}, {}) is None
    assert read_claim("web", {CURRENT: ""}, {"kcp.io/tenant-id": "x"}) is None


def test_a_locator_whose_hash_is_the_namespace_s_name_is_believed() -> None:
    assert claim(LOCATOR, labels=KEY) == Claim("root:org:ws", "test", "us-west1", Flaw.NONE)
    assert claim(json.dumps(LOCATOR, indent=4)) == Claim("root:org:ws", "test", "us-west1", Flaw.NONE)
    assert claim(dict(reversed(LOCATOR.items()))) == Claim("root:org:ws", "test", "us-west1", Flaw.NONE)


def test_a_legacy_locator_is_read() -> None:
    legacy = {"syncTarget": {"workspace": "root:org:ws", "name": "us-west1", "uid": "syncTargetUID"},
              "workspace": "root:org:ws", "namespace": "test"}  # fmt: skip
    expected = Claim("root:org:ws", "test", "us-west1", Flaw.NONE)
    assert claim(legacy, name="kcp-hcbsa8z6c2er", key=LEGACY) == expected
    assert claim(legacy | {"workspace": "root:other"}, name="kcp-hcbsa8z6c2er", key=LEGACY) is not None


def test_the_oldest_form_is_read() -> None:
    oldest = {"logical-cluster": "root:org:ws", "namespace": "test"}
    assert claim(oldest, name="kcp-iq68ijd8g8nl", key=LEGACY) == Claim("root:org:ws", "test", "", Flaw.NONE)


@pytest.mark.parametrize(
    "change",
    [{"cluster": "root:victim"}, {"namespace": "secrets"}, {"syncTarget": TARGET | {"uid": "other"}}],
    ids=["workspace", "namespace", "sync-target"],
)
def test_a_locator_that_was_edited_or_copied_is_another_name_s(change: dict[str, Any]) -> None:
    found = claim(LOCATOR | change)
    assert found is not None
    assert found.flaw is Flaw.OTHER_NAME


def test_a_locator_of_another_sync_target_than_the_label_says_is_foreign() -> None:
    found = claim(LOCATOR, labels={SYNC_TARGET_LABEL: "someone-else"})
    assert found is not None
    assert found.flaw is Flaw.FOREIGN


@pytest.mark.parametrize(
    ("locator", "flaw"),
    [
        ("{", Flaw.UNREADABLE),
        ("[]", Flaw.UNREADABLE),
        ('{"cluster":7,"namespace":"x"}', Flaw.UNREADABLE),
        ("[" * 4000, Flaw.UNREADABLE),
        ('{"cluster":"' + "x" * 5000 + '","namespace":"x"}', Flaw.UNREADABLE),
        ("{}", Flaw.INCOMPLETE),
        ('{"cluster":"root:a"}', Flaw.INCOMPLETE),
        ('{"namespace":"a"}', Flaw.INCOMPLETE),
    ],
    ids=["cut", "list", "number", "deep", "long", "empty", "no-namespace", "no-workspace"],
)
def test_a_locator_that_cannot_be_used_says_why(locator: str, flaw: Flaw) -> None:
    found = claim(locator)
    assert found is not None
    assert (found.flaw, found.namespace if flaw is Flaw.UNREADABLE else "") == (flaw, "")


@given(st.text(), st.text(max_size=80))
def test_no_annotation_makes_it_raise_and_none_is_believed_by_chance(text: str, name: str) -> None:
    found = read_claim(name, {CURRENT: text}, {SYNC_TARGET_LABEL: text})
    assert found is None or found.flaw is not Flaw.NONE
