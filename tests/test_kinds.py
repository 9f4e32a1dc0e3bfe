"""Which kinds are looked up, and where."""

import pytest

from batcher.kinds import BUILT_IN, DEFAULT, api, parse


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
