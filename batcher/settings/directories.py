"""Clusters that are files of a directory: which are there now, and what is said of each.

The configuration names directories; who connects looks into them (:func:`find_clusters`), at the start and whenever a
file came or went. A file that appears is a cluster from then on, and one that disappears is none any more; an entry
that overrides a cluster which is not there waits for it. Nothing here opens a kubeconfig.
"""

from collections.abc import Iterable
from pathlib import Path

from batcher.errors import ConfigError
from batcher.settings.document import Settings
from batcher.settings.sources import Cluster, ClusterDirectory
from batcher.settings.values import is_cluster_name

ENDING = ".kubeconfig"


def directories(settings: Settings) -> list[ClusterDirectory]:
    """Return the entries of ``clusters`` that are directories."""
    return [source for source in settings.sources if isinstance(source, ClusterDirectory)]


def kubeconfigs(directory: Path) -> list[Path]:
    """Return the kubeconfigs in ``directory``, by name. Raises :class:`OSError` if it cannot be read.

    A mounted Secret has links to files; one that leads nowhere is a file that is just being replaced or removed.
    """
    return sorted(path for path in directory.iterdir() if path.name.endswith(ENDING) and path.is_file())


def find_clusters(settings: Settings) -> Settings:
    """Return ``settings`` with the clusters that their directories hold now.

    Raises :class:`ConfigError` with every directory that cannot be read, and every file that can name no cluster.
    """
    problems: list[str] = []
    by_entry = [(entry, _looked_into(entry, problems)) for entry in directories(settings)]
    names = [name for _, files in by_entry for name in files]
    names += [cluster.name for cluster in _own(settings)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"clusters: names must be unique, given twice: {', '.join(twice)}")
    if problems:
        raise ConfigError(problems, "clusters")
    overrides = {cluster.name: cluster for cluster in _overriding(settings)}
    clusters = [
        _cluster(name, file, entry, overrides.get(name)) for entry, files in by_entry for name, file in files.items()
    ]
    return settings.with_clusters([*_own(settings), *clusters], found=[cluster.name for cluster in clusters])


def waiting(settings: Settings) -> list[str]:
    """Return the names of entries that override a cluster which no directory of ``settings`` has now."""
    there = {cluster.name for cluster in settings.clusters}
    return [cluster.name for cluster in _overriding(settings) if cluster.name not in there]


def _own(settings: Settings) -> list[Cluster]:
    return [source for source in settings.sources if isinstance(source, Cluster) and source.has_way_in]


def _overriding(settings: Settings) -> Iterable[Cluster]:
    return [source for source in settings.sources if isinstance(source, Cluster) and not source.has_way_in]


def _looked_into(entry: ClusterDirectory, problems: list[str]) -> dict[str, Path]:
    try:
        files = {path.name.removesuffix(ENDING): path for path in kubeconfigs(entry.directory)}
    except OSError as error:
        problems.append(f"{entry.directory}: cannot be read: {error.strerror}")
        return {}
    problems += [
        f"{path}: {name!r} names no cluster: lower-case letters, digits and -, at most 63"
        for name, path in files.items()
        if not is_cluster_name(name)
    ]
    return files


def _cluster(name: str, kubeconfig: Path, entry: ClusterDirectory, override: Cluster | None) -> Cluster:
    """What was said counts: first of the cluster, then of the directory; labels of both."""
    defaults = entry.defaults
    said = {field: getattr(defaults, field) for field in defaults.model_fields_set}
    if override is not None:
        own = {field: getattr(override, field) for field in override.model_fields_set}
        said |= own | {"labels": defaults.labels | override.labels}
    return Cluster(name=name, kubeconfig=kubeconfig).model_copy(update=said)
