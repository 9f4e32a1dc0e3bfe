"""What the image is made of, for whoever asks whether something in it is affected: a bill of materials (CycloneDX).

Made of ``requirements/runtime.txt``, which pins each package with its hashes, and of nothing else, so that it is the
same wherever it is made. Run as ``python -m tests.deploy.sbom`` (``make sbom``) it writes ``deploy/sbom.cdx.json``.
"""

import json
import re
from typing import Any

from batcher import __version__
from tests.deploy.rendered import ROOT

PATH = ROOT / "deploy" / "sbom.cdx.json"
_OURS = f"pkg:pypi/batcher@{__version__}"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?:.*\\\n)*.*)((?:\n +#.*)*)", re.MULTILINE)


def sbom() -> dict[str, Any]:
    """Return the document: a component a package, and who needs it."""
    found = _PINNED.findall((ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8"))
    urls = {name: f"pkg:pypi/{name}@{version}" for name, version, *_ in found}
    needed: dict[str, list[str]] = {url: [] for url in (_OURS, *urls.values())}
    for name, _, _, comment in found:
        for by in re.findall(r"# +(?:via )?([A-Za-z0-9._-]+)", comment):
            if by != "via":
                needed[urls.get(by, _OURS)].append(urls[name])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component("application", "batcher", __version__)},
        "components": [_component("library", name, version) for name, version, *_ in found],
        "dependencies": [{"ref": url, "dependsOn": sorted(on)} for url, on in needed.items()],
    }


def _component(kind: str, name: str, version: str) -> dict[str, str]:
    url = f"pkg:pypi/{name}@{version}"
    return {"type": kind, "bom-ref": url, "name": name, "version": version, "purl": url}


def text() -> str:
    """Return the file."""
    return json.dumps(sbom(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
