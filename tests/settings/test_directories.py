from datetime import timedelta
from pathlib import Path

import pytest

from batcher.errors import ConfigError
from batcher.settings import Settings, find_clusters, waiting
from tests.settings.files import Mounted, by_name, folder, problems, valid


def found(*entries: object) -> Settings:
    return find_clusters(valid(clusters=list(entries)))


def refused(*entries: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        found(*entries)
    return caught.value.problems


def test_every_kubeconfig_of_a_directory_is_a_cluster_called_as_its_file(tmp_path: Path) -> None:
    edge = folder(tmp_path / "edge", "edge-02", "edge-01")
    (edge / "README.md").write_text("", encoding="utf-8")
    (edge / "folder.kubeconfig").mkdir()
    settings = found({"directory": str(edge)}, {"name": "own", "kubeconfig": "own.kubeconfig"})
    assert by_name(settings, ["kubeconfig", "in_cluster"]) == {
        "own": (Path("own.kubeconfig"), False),
        "edge-01": (edge / "edge-01.kubeconfig", False),
        "edge-02": (edge / "edge-02.kubeconfig", False),
    }
    assert settings.found == {"edge-01", "edge-02"}


def test_nothing_is_looked_into_before_it_is_asked_for(tmp_path: Path) -> None:
    settings = valid(clusters=[{"directory": str(tmp_path / "absent")}])
    assert settings.clusters == []


def test_defaults_hold_for_all_and_an_entry_of_that_name_is_over_them_with_its_labels_added(tmp_path: Path) -> None:
    edge = folder(tmp_path / "edge", "edge-01", "edge-07")
    settings = found(
        {"directory": str(edge), "defaults": {
            "eventTTL": "2h", "workspace": "root:team-a", "context": "admin",
            "labels": {"fleet": "edge", "region": "us"},
        }},
        {"name": "edge-07", "labels": {"region": "eu"}, "eventTTL": "3h"},
    )  # fmt: skip
    assert by_name(settings, ["event_ttl", "workspace", "context", "labels"]) == {
        "edge-01": (timedelta(hours=2), "root:team-a", "admin", {"fleet": "edge", "region": "us"}),
        "edge-07": (timedelta(hours=3), "root:team-a", "admin", {"fleet": "edge", "region": "eu"}),
    }


def test_what_an_entry_says_explicitly_is_over_the_directory_even_where_it_is_the_default(tmp_path: Path) -> None:
    edge = folder(tmp_path / "edge", "a")
    settings = found({"directory": str(edge), "defaults": {"eventTTL": "2h"}}, {"name": "a", "eventTTL": "1h"})
    assert settings.clusters[0].event_ttl == timedelta(hours=1)


def test_files_that_come_and_go_are_clusters_that_come_and_go(tmp_path: Path) -> None:
    secret = Mounted(tmp_path / "secret", {"a.kubeconfig": "", "b.kubeconfig": ""})
    settings = valid(clusters=[{"directory": str(secret.path)}])
    assert list(by_name(find_clusters(settings), [])) == ["a", "b"]
    secret.swap({"b.kubeconfig": "", "c.kubeconfig": ""})
    assert list(by_name(find_clusters(settings), [])) == ["b", "c"]
    secret.swap({})
    assert find_clusters(settings).clusters == []


def test_a_link_that_leads_nowhere_is_no_cluster(tmp_path: Path) -> None:
    edge = folder(tmp_path / "edge", "a")
    (edge / "b.kubeconfig").symlink_to("..data/b.kubeconfig")
    assert list(by_name(found({"directory": str(edge)}), [])) == ["a"]


def test_an_entry_whose_file_is_not_there_waits_for_it(tmp_path: Path) -> None:
    edge = folder(tmp_path / "edge", "a")
    settings = found({"directory": str(edge)}, {"name": "b", "labels": {"x": "y"}})
    assert list(by_name(settings, [])) == ["a"]
    assert waiting(settings) == ["b"]
    (edge / "b.kubeconfig").write_text("", encoding="utf-8")
    assert waiting(find_clusters(settings)) == []


def test_without_a_directory_an_entry_needs_a_way_in() -> None:
    assert problems(clusters=[{"name": "edge-07"}]) == ["clusters[0]: give either kubeconfig or inCluster: true"]
    assert problems(clusters=[{"directory": "d"}, {"name": "a", "kubeconfig": "k", "inCluster": True}]) == [
        "clusters[1]: give either kubeconfig or inCluster: true"
    ]


def test_a_directory_has_no_settings_of_a_cluster_and_its_path_is_told_without_more() -> None:
    found = problems(clusters=[{"directory": "d", "labels": {}, "defaults": {"kubeconfig": "k", "eventTTL": "x"}}])
    assert found == [
        "clusters[0].defaults.eventTTL: 'x' is not a duration such as 30s, 5m, 1h30m or 30d",
        "clusters[0].defaults.kubeconfig: unknown setting",
        "clusters[0].labels: unknown setting",
    ]


def test_all_that_is_wrong_with_directories_is_told_at_once(tmp_path: Path) -> None:
    edge, other = folder(tmp_path / "edge", "a", "B_1"), folder(tmp_path / "other", "a", "own")
    entries = [{"directory": str(tmp_path / name)} for name in ("absent", "edge", "other")]
    assert refused(*entries, {"name": "own", "kubeconfig": "k"}) == [
        f"{tmp_path / 'absent'}: cannot be read: No such file or directory",
        f"{edge / 'B_1.kubeconfig'}: 'B_1' names no cluster: lower-case letters, digits and -, at most 63",
        "clusters: names must be unique, given twice: a, own",
    ]
    assert other.exists()


def test_two_entries_of_one_name_are_refused_before_any_directory_is_looked_into() -> None:
    twice = [{"directory": "d"}, {"name": "a"}, {"name": "a"}]
    assert problems(clusters=twice) == ["clusters: names must be unique, given twice: a"]


def test_the_workspace_of_a_directory_is_among_those_allowed() -> None:
    assert problems(clusters=[{"directory": "d", "defaults": {"workspace": "root:b"}}]) == [
        "not among kcp.workspaces: clusters[d].defaults.workspace: 'root:b'"
    ]
