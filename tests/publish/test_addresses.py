"""Names of other people in paths of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from batcher.publish.addresses import collection, has_address, item
from tests.publish.kcp import write

HOSTILE = st.text(st.sampled_from("./%?#\\:;@&*a2eEfF \n\x00\u202eé"), max_size=8)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("us-west1-web.18a2f3c4d5e6f701", "us-west1-web.18a2f3c4d5e6f701"),
        ("../../secrets/x", "..%2F..%2Fsecrets%2Fx"),
        ("a?watch=1#b", "a%3Fwatch%3D1%23b"),
        ("%2e%2e", "%252e%252e"),
        ("line\nline", "line%0Aline"),
    ],
)
def test_an_events_name_is_quoted(name: str, path: str) -> None:
    assert item(write(name)) == f"/clusters/root:shop/api/v1/namespaces/web/events/{path}"


def test_a_namespace_is_quoted() -> None:
    assert collection(write(namespace="a/../b")) == "/clusters/root:shop/api/v1/namespaces/a%2F..%2Fb/events"


@given(namespace=HOSTILE, name=HOSTILE)
def test_no_name_leaves_its_path_in_the_url_that_is_sent(namespace: str, name: str) -> None:
    hostile = write(name, namespace=namespace)
    if has_address(hostile):
        url = URL("http://kcp:6443" + item(hostile))
        before = ("/", "clusters", "root:shop", "api", "v1", "namespaces")
        assert (url.parts, url.query_string, url.fragment) == ((*before, namespace, "events", name), "", "")


@pytest.mark.parametrize("step", ["", ".", ".."])
def test_a_step_in_the_path_is_no_name(step: str) -> None:
    assert not has_address(write(step))
    assert not has_address(write(namespace=step))


@pytest.mark.parametrize("workspace", ["root:org:shop", "1eiksweb95coe579", "root"])
def test_a_workspace_is_a_path_or_a_logical_name(workspace: str) -> None:
    assert has_address(write(workspace=workspace))


@pytest.mark.parametrize("workspace", ["*", "", "root:*", "root/../x", "..", ":", "root:", "Root", "root:shop\n"])
def test_what_could_be_several_workspaces_or_none_has_no_address(workspace: str) -> None:
    assert not has_address(write(workspace=workspace))
