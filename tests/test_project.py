"""What the files around the code promise to each other."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ["runtime.txt", "dev.txt", "build.txt"]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _requirements(name: str) -> list[str]:
    """Return each requirement with its hashes as one line, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", _text(f"requirements/{name}"), flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


def _pins(name: str) -> dict[str, str]:
    pairs = (line.split(maxsplit=1)[0].split("==") for line in _requirements(name))
    return {package.lower(): version for package, version in pairs}


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_requirements_name_no_index_host_path_or_option(name: str) -> None:
    text = _text(f"requirements/{name}")
    assert re.findall(r"://|^\s*-(?!-hash)|(?<![\w.])/\w+", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_and_has_a_hash(name: str) -> None:
    pinned = re.compile(r"[\w.-]+==\S+( ;.*?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert [line for line in _requirements(name) if not pinned.fullmatch(line)] == []


def test_tests_run_with_the_versions_that_users_run() -> None:
    runtime, dev = _pins("runtime.txt"), _pins("dev.txt")
    assert {package: dev.get(package) for package in runtime} == runtime


def test_every_dependency_of_the_project_is_among_the_requirements() -> None:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    wanted = {re.split(r"[<>=]", dependency)[0].lower() for dependency in project["dependencies"]}
    assert wanted - _pins("runtime.txt").keys() == set()


def test_changelog_has_an_unreleased_section() -> None:
    assert "## [Unreleased]" in _text("CHANGELOG.md").splitlines()


def test_contributing_draws_the_layers_of_the_import_contract() -> None:
    contracts = tomllib.loads(_text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    picture = re.search(r"## The arrows\n.*?```\n(.*?)\n```", _text("CONTRIBUTING.md"), flags=re.DOTALL)
    assert picture is not None
    assert picture[1].splitlines() == [re.sub(r"[()]", "", layer) for layer in layers]
