"""The address of a request, with and without what has to be quoted."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from batcher.connect.urls import url

SERVERS = ("http://127.0.0.1:8080", "https://KCP.example:6443", "https://kcp.example/services/root", "http://[::1]:80")
PARTS = st.text(st.sampled_from("aZ09-_.~:%2Ff*/?#@ é\n\\&+"), max_size=6)


@given(server=st.sampled_from(SERVERS), parts=st.lists(PARTS, min_size=1, max_size=6))
@example(server=SERVERS[0], parts=["a%2f%41"])
def test_an_address_is_what_the_whole_text_of_it_is(server: str, parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    made, whole = url(server, path), URL(server + path)
    assert made == whole
    assert (made.raw_path_qs, made.host_port_subcomponent) == (whole.raw_path_qs, whole.host_port_subcomponent)


@pytest.mark.parametrize("path", ["/api/v1/namespaces/web/events/web.18a2f3c4d5e6f701", "/clusters/root:shop/api/v1"])
def test_a_plain_path_is_sent_as_it_is_behind_that_of_the_server(path: str) -> None:
    assert url("https://kcp:6443", path).raw_path_qs == path
    assert url("https://kcp:6443/services/x", path).raw_path_qs == f"/services/x{path}"


def test_a_step_in_a_path_is_taken_before_it_is_sent() -> None:
    assert url("https://kcp:6443", "/api/../apis").raw_path_qs == "/apis"
