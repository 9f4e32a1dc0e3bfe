"""Which path and which logical name are one workspace, as answers say."""

import pytest

from batcher.publish.names import Names, is_logical


@pytest.mark.parametrize("name", ["9jspscp6nabehur5", "root", "a", "a" * 63])
def test_a_name_without_a_colon_is_a_logical_clusters(name: str) -> None:
    assert is_logical(name)


@pytest.mark.parametrize("name", ["", "root:shop", "A", "-a", "a-", "a" * 64, "*", "a/b", "a\n"])
def test_anything_else_is_none(name: str) -> None:
    assert not is_logical(name)


def test_a_path_and_its_logical_name_lead_to_each_other() -> None:
    names = Names()
    names.learn("root:shop", "abc")
    assert (names.logical("root:shop"), names.path("abc")) == ("abc", "root:shop")


def test_a_workspace_made_anew_at_a_path_has_the_newest_name() -> None:
    names = Names()
    names.learn("root:shop", "abc")
    names.learn("root:shop", "def")
    assert (names.logical("root:shop"), names.path("abc"), names.path("def")) == ("def", "", "root:shop")


def test_a_name_that_another_path_leads_to_is_not_learned() -> None:
    names = Names()
    names.learn("root:shop", "abc")
    names.learn("root:team-a", "abc")
    assert (names.logical("root:team-a"), names.path("abc")) == ("", "root:shop")


@pytest.mark.parametrize(("path", "logical"), [("root:shop", "root:other"), ("root:shop", ""), ("abc", "def")])
def test_what_is_no_name_is_not_learned(path: str, logical: str) -> None:
    names = Names()
    names.learn(path, logical)
    assert names.logical(path) == ""


def test_what_is_forgotten_is_not_known_by_either_name() -> None:
    names = Names()
    names.learn("root:shop", "abc")
    names.forget("root:shop")
    assert (names.logical("root:shop"), names.path("abc")) == ("", "")


def test_the_oldest_pair_is_forgotten_beyond_the_bound() -> None:
    names = Names(remembered=2)
    for path, logical in [("root:a", "a"), ("root:b", "b"), ("root:c", "c")]:
        names.learn(path, logical)
    assert [names.path(logical) for logical in "abc"] == ["", "root:b", "root:c"]


def test_a_pair_that_is_heard_again_is_not_the_oldest() -> None:
    names = Names(remembered=2)
    for path, logical in (("root:a", "a1"), ("root:b", "b1"), ("root:a", "a1"), ("root:c", "c1")):
        names.learn(path, logical)
    assert [names.logical(path) for path in ("root:a", "root:b", "root:c")] == ["a1", "", "c1"]
