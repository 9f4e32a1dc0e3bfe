"""Which kinds are looked up and watched, and where."""

import pytest

from batcher.kinds import BUILT_IN, DEFAULT, WATCHED, api, parse, parse_watched, watched


def test_each_default_is_a_kind_that_is_known() -> None:
    assert {parse(kind).kind for kind in DEFAULT} == set(DEFAULT)


def test_no_secret_is_ever_asked_for() -> None:
    assert "Secret" not in BUILT_IN
    with pytest.raises(ValueError, match="'Secret' is neither a kind that is known"):
        parse("Secret")


@pytest.mark.parametrize(
    ("entry", "version", "root"),
    [
        ("Pod", "v1", "/api/v1"),
        ("Pod", "", "/api/v1"),
        ("Deployment", "apps/v1", "/apis/apps/v1"),
        ("Deployment", "apps/v1beta2", "/apis/apps/v1"),
        ("Deployment", "v1", ""),
        ("Deployment", "example.com/v1", ""),
        ("Certificate.cert-manager.io=certificates", "cert-manager.io/v1alpha2", "/apis/cert-manager.io/v1alpha2"),
        ("Certificate.cert-manager.io=certificates", "other.io/v1", ""),
        ("Certificate.cert-manager.io=certificates", "", ""),
        ("Certificate.cert-manager.io=certificates", "cert-manager.io/../../v1", ""),
    ],
)
def test_objects_are_where_the_events_api_version_says_and_nowhere_else(entry: str, version: str, root: str) -> None:
    assert api(parse(entry), version) == root


@pytest.mark.parametrize("entry", ["", "pod", "Certificate", "Certificate.io", "A.b=C", "A.b=c/d", "A./=b"])
def test_what_names_no_kind_is_refused_with_what_is_known(entry: str) -> None:
    with pytest.raises(ValueError, match="known: ConfigMap, CronJob"):
        parse(entry)


def test_each_kind_that_is_watched_by_default_is_known() -> None:
    assert {parse_watched(kind).kind for kind in WATCHED} == set(WATCHED)


@pytest.mark.parametrize(
    ("entry", "resource", "root"),
    [
        ("Deployment", "Deployment.v1.apps=deployments", "/apis/apps/v1"),
        ("ConfigMap", "ConfigMap.v1=configmaps", "/api/v1"),
        ("Foo.v1beta1.example.com=foos", "Foo.v1beta1.example.com=foos", "/apis/example.com/v1beta1"),
    ],
)
def test_a_kind_is_watched_in_the_version_that_it_names(entry: str, resource: str, root: str) -> None:
    kind = parse_watched(entry)
    assert (kind.resource, kind.root) == (resource, root)
    assert watched(resource) == kind


@pytest.mark.parametrize(
    "entry", ["", "pod", "Secret", "Secret.v1=secrets", "Foo.example.com=foos", "Foo.v1.example.com", "Foo.v1.a/b=foos"]
)
def test_what_names_no_kind_in_a_version_is_not_watched(entry: str) -> None:
    with pytest.raises(ValueError, match=r"nor Kind\.version\.group=plural; known: ConfigMap"):
        parse_watched(entry)


@pytest.mark.parametrize("resource", ["events", "namespaces", ""])
def test_what_else_is_watched_is_no_such_kind(resource: str) -> None:
    assert watched(resource) is None
