"""A kubeconfig for the simulated servers: one context a cluster and one a workspace."""

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

USER = "sandbox"


def write_kubeconfig(path: Path, servers: Mapping[str, str], token: str) -> None:
    """Write ``servers`` (context name → URL) with one user of ``token``, readable by its owner only."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": next(iter(servers), ""),
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in servers.items()],
        "contexts": [{"name": name, "context": {"cluster": name, "user": USER}} for name in servers],
        "users": [{"name": USER, "user": {"token": token}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(document, file, sort_keys=False)
    temporary.replace(path)
