"""``make manifests``: what kustomize takes, made from the chart, which is the one place that is edited.

Each folder is what the chart makes of some values, a file a template. A test compares what is there with what would be
made. Files that are no longer made are removed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.deploy.templates import Chart

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
MARK = "# Made by `make manifests` from deploy/chart: edit that.\n"
_APART = {"monitoring.yaml"}
"""Templates that have a folder of their own, because not every cluster knows their kinds."""


class Folder(NamedTuple):
    """A folder for kustomize: the chart's values, where its objects go, and what kind of kustomization it is."""

    values: Mapping[str, Any]
    namespace: str
    is_component: bool = False


FOLDERS = {
    "base": Folder({}, "batcher"),
    "monitoring": Folder({"monitoring": {"create": True}}, "batcher", is_component=True),
    "source": Folder({"install": "source"}, "batcher"),
    "source-namespaces": Folder({"install": "source", "source": {"namespaces": ["shop", "web"]}}, "batcher"),
    "workspace": Folder({"install": "workspace"}, "default"),
    "provider": Folder({"install": "provider"}, "default"),
}


def manifests(folder: Folder) -> dict[str, str]:
    """Return the files of ``folder`` by name."""
    made = Chart(DEPLOY / "chart").render(folder.values, release="batcher", namespace=folder.namespace)
    chosen = {name: MARK + text for name, text in made.items() if (name in _APART) == folder.is_component}
    kind = ("kustomize.config.k8s.io/v1alpha1", "Component") if folder.is_component else (
        "kustomize.config.k8s.io/v1beta1", "Kustomization"
    )  # fmt: skip
    resources = "".join(f"  - {name}\n" for name in chosen)
    chosen["kustomization.yaml"] = f"{MARK}apiVersion: {kind[0]}\nkind: {kind[1]}\nresources:\n{resources}"
    return chosen


def main() -> None:
    """Write every folder."""
    for name, folder in FOLDERS.items():
        place = DEPLOY / name
        place.mkdir(exist_ok=True)
        made = manifests(folder)
        for path in place.iterdir():
            if path.name not in made:
                path.unlink()
        for file, text in made.items():
            (place / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
