"""Configurations and folders of kubeconfigs, as tests write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from batcher.errors import ConfigError
from batcher.settings import Settings, validate


def document(**changes: Any) -> dict[str, Any]:
    """The smallest configuration there is, with top-level ``changes``."""
    smallest = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "clusters": [{"name": "us-west1", "kubeconfig": "us-west1.kubeconfig"}],
        "kcp": {"kubeconfig": "kcp.kubeconfig", "workspaces": [{"path": "root:team-a"}]},
    }
    return smallest | changes


def valid(**changes: Any) -> Settings:
    return validate(document(**changes), "test.yaml")


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        valid(**changes)
    return caught.value.problems


def folder(path: Path, *names: str) -> Path:
    """A folder with kubeconfigs of clusters of these ``names``."""
    path.mkdir()
    for name in names:
        (path / f"{name}.kubeconfig").write_text("", encoding="utf-8")
    return path


class Mounted:
    """A ConfigMap or Secret as kubelet mounts it: links to what ``..data`` leads to, which is swapped as a whole."""

    def __init__(self, path: Path, files: dict[str, str]) -> None:
        """Mount ``files`` at ``path``."""
        self.path = path
        self._version = 0
        path.mkdir()
        self.swap(files)

    def swap(self, files: dict[str, str]) -> None:
        """Replace all files by ``files``, in the order of kubelet's AtomicWriter: ``..data`` first, then names."""
        self._version += 1
        written = self.path / f"..2026_{self._version}"
        written.mkdir()
        for name, content in files.items():
            (written / name).write_text(content, encoding="utf-8")
        (self.path / "..data_tmp").symlink_to(written.name)
        (self.path / "..data_tmp").rename(self.path / "..data")
        for name in files.keys() - _names(self.path):
            (self.path / name).symlink_to(f"..data/{name}")
        for name in _names(self.path) - files.keys():
            (self.path / name).unlink()


def _names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir() if not entry.name.startswith("..")}


def by_name(settings: Settings, fields: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Some fields of each cluster."""
    return {cluster.name: tuple(getattr(cluster, field) for field in fields) for cluster in settings.clusters}
