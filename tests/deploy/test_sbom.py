"""The bill of materials names what is installed in the image, all of it and nothing else."""

import re

from tests.deploy.rendered import ROOT
from tests.deploy.sbom import PATH, sbom, text


def test_the_file_is_what_the_requirements_make() -> None:
    assert PATH.read_text(encoding="utf-8") == text()


def test_every_pinned_package_is_a_component_and_no_other() -> None:
    pinned = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    assert [(each["name"], each["version"]) for each in sbom()["components"]] == pinned
    assert len(pinned) >= 20


def test_every_component_is_needed_by_somebody_and_what_we_need_ourselves_is_said() -> None:
    needed = {each["ref"]: each["dependsOn"] for each in sbom()["dependencies"]}
    assert {url for on in needed.values() for url in on} == {each["purl"] for each in sbom()["components"]}
    ours = {url.split("/")[1].split("@")[0] for url in needed[sbom()["metadata"]["component"]["purl"]]}
    assert ours >= {"aiohttp", "polars", "deltalake", "msgspec", "typer"}
    assert ours <= {each["name"] for each in sbom()["components"]}
