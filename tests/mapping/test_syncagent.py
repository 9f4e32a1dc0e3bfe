"""What api-syncagent writes on the objects that it makes, and what of it is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.mapping import Flaw, ObjectClaim, read_object_claim

CLUSTER = "syncagent.kcp.io/remote-object-cluster"
NAME, NAMESPACE = "syncagent.kcp.io/remote-object-name", "syncagent.kcp.io/remote-object-namespace"
PATH = "syncagent.kcp.io/remote-object-workspace-path"
NAME_HASH, NAMESPACE_HASH = f"{NAME}-hash", f"{NAMESPACE}-hash"
LABELS = {
    CLUSTER: "1eiksweb95coe579",
    NAME_HASH: "ca84d1343b96baa8137c943ed1860e522cacb238",
    NAMESPACE_HASH: "5042d146667518a1a5017644946b8650aafca44c",
    "syncagent.kcp.io/agent-name": "certs",
}
ANNOTATIONS = {NAME: "web", NAMESPACE: "shop", PATH: "root:org:team"}


def test_an_object_claims_the_logical_cluster_of_its_label_and_the_names_of_its_annotations() -> None:
    assert read_object_claim(ANNOTATIONS, LABELS) == ObjectClaim("1eiksweb95coe579", "shop", "web", Flaw.NONE)


def test_an_object_that_has_no_namespace_there_is_told_of_in_the_default_one() -> None:
    labels = {CLUSTER: "1eiksweb95coe579", NAME_HASH: LABELS[NAME_HASH]}
    assert read_object_claim({NAME: "web"}, labels) == ObjectClaim("1eiksweb95coe579", "default", "web", Flaw.NONE)


def test_an_object_without_the_label_claims_nothing() -> None:
    assert read_object_claim(ANNOTATIONS, {NAME_HASH: LABELS[NAME_HASH]}) is None


def test_labels_without_hashes_are_believed() -> None:
    claim = read_object_claim({NAME: "a" * 253}, {CLUSTER: "root"})
    assert claim == ObjectClaim("root", "default", "a" * 253, Flaw.NONE)


@pytest.mark.parametrize(
    ("annotations", "labels", "flaw"),
    [
        ({}, {}, Flaw.INCOMPLETE),
        ({NAMESPACE: "shop"}, {}, Flaw.INCOMPLETE),
        ({NAME: ""}, {}, Flaw.INCOMPLETE),
        ({NAME: "web"}, {CLUSTER: ""}, Flaw.UNREADABLE),
        ({NAME: "web"}, {CLUSTER: "a"}, Flaw.UNREADABLE),
        ({NAME: "web"}, {CLUSTER: "root:org"}, Flaw.UNREADABLE),
        ({NAME: "web"}, {CLUSTER: "Upper"}, Flaw.UNREADABLE),
        ({NAME: "web"}, {CLUSTER: "a" * 64}, Flaw.UNREADABLE),
        ({NAME: "web"}, {CLUSTER: "team-"}, Flaw.UNREADABLE),
        ({NAME: "web/../x"}, {}, Flaw.UNREADABLE),
        ({NAME: "a" * 254}, {}, Flaw.UNREADABLE),
        ({NAME: "web\n"}, {}, Flaw.UNREADABLE),
        ({NAME: "web", NAMESPACE: "../shop"}, {}, Flaw.UNREADABLE),
        ({NAME: "web", NAMESPACE: "a" * 64}, {}, Flaw.UNREADABLE),
        ({NAME: "copied", NAMESPACE: "shop"}, LABELS, Flaw.OTHER_HASH),
        ({NAME: "web", NAMESPACE: "other"}, LABELS, Flaw.OTHER_HASH),
        ({NAME: "web"}, LABELS, Flaw.OTHER_HASH),
    ],
)
def test_what_the_agent_would_not_write_has_a_flaw_and_names_nobody(
    annotations: dict[str, str], labels: dict[str, str], flaw: Flaw
) -> None:
    assert read_object_claim(annotations, {CLUSTER: "1eiksweb95coe579"} | labels) == ObjectClaim("", "", "", flaw)


def test_the_secrets_in_which_the_agent_keeps_its_state_have_labels_and_claim_nothing() -> None:
    labels = LABELS | {"syncagent.kcp.io/object-state": "true"}
    assert read_object_claim({}, labels) == ObjectClaim("", "", "", Flaw.INCOMPLETE)


texts = st.one_of(st.sampled_from(["web", "shop", "1eiksweb95coe579", ""]), st.text(max_size=6))


@given(
    st.dictionaries(st.sampled_from([NAME, NAMESPACE, PATH]), texts),
    st.dictionaries(st.sampled_from([CLUSTER, NAME_HASH, NAMESPACE_HASH]), texts),
)
def test_whatever_is_written_a_claim_names_a_workspace_or_has_a_flaw(
    annotations: dict[str, str], labels: dict[str, str]
) -> None:
    claim = read_object_claim(annotations, labels)
    if claim is not None:
        assert (claim.workspace != "") == (claim.namespace != "") == (claim.name != "") == (claim.flaw is Flaw.NONE)
