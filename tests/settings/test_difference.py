from batcher.settings.difference import differences
from tests.settings.files import valid


def told(*arguments: dict[str, object]) -> list[tuple[str, str, str]]:
    *before, after = (valid(**changes) for changes in arguments)
    return [tuple(d[:3]) for d in differences(before[0] if before else None, after)]  # type: ignore[misc]


def test_what_a_file_changes_of_the_defaults_is_told_in_the_order_of_the_file() -> None:
    assert told({"serve": {"port": 8080}, "batch": {"interval": "2s", "maxRows": 50_000}, "dataDir": "/x"}) == [
        ("dataDir", "/var/lib/batcher", "/x"),
        ("clusters[us-west1].name", "", "us-west1"),
        ("clusters[us-west1].kubeconfig", "", "us-west1.kubeconfig"),
        ("kcp.kubeconfig", "null", "kcp.kubeconfig"),
        ("kcp.workspaces[root:team-a].path", "", "root:team-a"),
        ("batch.interval", "5s", "2s"),
        ("serve.port", "null", "8080"),
    ]


def test_of_two_files_only_what_differs_is_told_whatever_the_spelling() -> None:
    assert told({"batch": {"interval": "60s"}, "spool": {"maxBytes": 2**30}},
                {"batch": {"interval": "1m"}, "spool": {"maxBytes": "1GiB"}}) == []  # fmt: skip
    assert told({"batch": {"interval": "2s"}}, {"publish": {"maxAge": "2h"}}) == [
        ("batch.interval", "2s", "5s"),
        ("publish.maxAge", "1h", "2h"),
    ]


def test_entries_of_lists_are_known_by_their_names_and_not_by_their_places() -> None:
    one, other = {"name": "a", "kubeconfig": "a"}, {"name": "b", "kubeconfig": "b"}
    directory = {"directory": "d", "defaults": {"labels": {"x": "y"}}}
    assert told({"clusters": [one, other]}, {"clusters": [other, one]}) == []
    assert told({"clusters": [one, other]}, {"clusters": [one | {"eventTTL": "2h"}, directory]}) == [
        ("clusters[a].eventTTL", "1h", "2h"),
        ("clusters[d].directory", "", "d"),
        ("clusters[d].defaults.labels.x", "", "y"),
        ("clusters[b].name", "b", ""),
        ("clusters[b].kubeconfig", "b", ""),
    ]


def _with_secret(number: int) -> dict[str, object]:
    return {"archive": {"storageOptions": {"aws_secret_access_key": f"canary {number}"}}}


def test_a_secret_that_differs_is_told_to_differ_and_is_not_shown() -> None:
    one, other = (_with_secret(n) for n in (1, 2))
    path, hidden = "archive.storageOptions.aws_secret_access_key", "**********"
    assert told(one, other) == [(path, hidden, hidden)]
    assert told(one, one) == []
    assert "canary" not in f"{valid(**one)!r}"
    assert [d.needs_restart for d in differences(valid(**one), valid(**other))] == [True]


def test_what_only_a_restart_changes_is_marked() -> None:
    found = differences(valid(), valid(dataDir="/x", batch={"interval": "2s"}, log={"level": "debug"}))
    assert {d.path: d.needs_restart for d in found} == {"dataDir": True, "batch.interval": False, "log.level": True}
