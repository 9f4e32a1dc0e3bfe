"""The Dockerfile and what is sent to the builder, read as text: there is no builder here to ask.

What it installs is held against what is imported, and the one step that needs no network is done.
"""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from benchmarks.process import ENVIRONMENT
from tests.deploy.rendered import ROOT

TEXT = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
STAGES = re.split(r"^FROM ", "\n".join(LINES), flags=re.MULTILINE)[1:]


def instructions(stage: str, word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in stage.splitlines() if line.startswith(f"{word} ")]


KNOWN = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "ENTRYPOINT", "CMD"}
IMPORTED_BY_OTHERS = {"pydantic-settings", "tzdata"}
"""Requirements that are no import of ours: what pydantic, and zoneinfo for polars, are to find."""


def test_every_line_is_an_instruction_that_is_known_and_written_as_it_has_to_be() -> None:
    for line in filter(None, LINES):
        word, _, rest = line.partition(" ")
        assert word in KNOWN, line
        assert rest.strip(), line
        if word in {"ENTRYPOINT", "CMD"}:
            assert all(isinstance(each, str) for each in json.loads(rest)), "without a shell, as JSON"
        if word == "WORKDIR":
            assert rest.startswith("/")
        if word in {"ENV", "LABEL"}:
            assert all(re.fullmatch(r"[\w.]+=.*", pair) for pair in shlex.split(rest)), line
        if word == "RUN":
            assert not re.search(r"\b(sudo|cd|su|chmod 777)\b", rest), line


@pytest.mark.skipif(not shutil.which("sh"), reason="no sh here: that the steps are of its language is not checked")
def test_every_step_can_be_read_by_the_shell_that_runs_it() -> None:
    for stage in STAGES:
        for step in instructions(stage, "RUN"):
            command = ["sh", "-n", "-c", step]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), step


def test_what_is_copied_is_there_or_of_a_stage_before() -> None:
    built = [stage.splitlines()[0].partition(" AS ")[2] for stage in STAGES]
    for number, stage in enumerate(STAGES):
        for copy in instructions(stage, "COPY"):
            *origins, _ = copy.split()
            if origins[0].startswith("--from="):
                assert origins[0].removeprefix("--from=") in built[:number]
            else:
                assert all((ROOT / origin).exists() for origin in origins), copy


def imported() -> set[str]:
    """The packages that modules of batcher import, wherever in them."""
    found = set[str]()
    for path in (ROOT / "batcher").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            found |= {name.partition(".")[0] for name in names}
    return found - set(sys.stdlib_module_names) - {"batcher"}


def named(requirements: Iterable[str]) -> set[str]:
    """The names of ``requirements``, as an index has them."""
    return {re.split(r"[<>=\[]", each)[0].lower().replace("_", "-") for each in requirements}


def test_what_is_installed_is_what_is_imported_and_nothing_else_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked, optional = named(project["dependencies"]), named(project["optional-dependencies"]["notebooks"])
    distributions = packages_distributions()
    ours = named(distributions.get(package, [package])[0] for package in imported())
    assert ours - optional <= asked
    assert asked - ours == IMPORTED_BY_OTHERS
    pinned = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    for name in asked:
        assert re.search(rf"^{re.escape(name)}==", pinned, flags=re.MULTILINE | re.IGNORECASE), name


def test_what_the_builder_is_sent_makes_a_wheel_with_every_module_and_no_network(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "batcher", tmp_path / "batcher", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import flit_core.buildapi as b; print(b.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(tmp_path / done.stdout.strip()) as wheel:
        names = set(wheel.namelist())
        (scripts,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {str(path.relative_to(tmp_path)) for path in (tmp_path / "batcher").rglob("*.py")} <= names
    assert "batcher=batcher.__main__:main" in scripts.replace(" ", "")


def test_it_is_built_in_two_stages_from_one_slim_base_that_can_be_pinned_to_a_digest() -> None:
    assert instructions("\n".join(LINES), "ARG") == ["PYTHON=python:3.11-slim-trixie"]
    assert [stage.splitlines()[0] for stage in STAGES] == ["${PYTHON} AS build", "${PYTHON}"]
    assert "latest" not in TEXT


def test_everything_that_is_downloaded_has_a_hash() -> None:
    installs = [part for run in instructions(STAGES[0], "RUN") for part in run.split("&&") if " install " in part]
    assert len(installs) == 3
    for install in installs:
        assert "--no-deps" in install
        assert "--require-hashes -r requirements/" in install or "--no-index" in install
    wheels = [part for run in instructions(STAGES[0], "RUN") for part in run.split("&&") if "pip wheel" in part]
    assert ["--no-index" in wheel for wheel in wheels] == [True]
    assert "PIP_ONLY_BINARY=:all:" in TEXT
    assert not re.search(r"apt-get|curl|wget|ADD |--trusted-host|--index-url|https?://", TEXT)


def test_what_builds_stays_behind_and_neither_pip_nor_a_shell_is_left() -> None:
    assert instructions(STAGES[1], "COPY") == ["--from=build /opt/batcher /opt/batcher"]
    (removed,) = instructions(STAGES[1], "RUN")
    assert removed.startswith("rm -rf ")
    for path in ("/usr/local/bin/pip*", "/usr/local/lib/python3*/site-packages/*", "/usr/bin/sh", "/usr/bin/bash"):
        assert path in removed.split()
    assert "venv --without-pip /opt/batcher" in STAGES[0]


def test_it_runs_as_somebody_who_is_not_root_by_number() -> None:
    (user,) = instructions(STAGES[1], "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert STAGES[1].index("\nUSER ") > STAGES[1].index("\nRUN ")


def test_it_is_batcher_and_runs_unless_told_otherwise() -> None:
    assert instructions(STAGES[1], "ENTRYPOINT") == ['["batcher"]']
    assert instructions(STAGES[1], "CMD") == ['["run"]']
    environment = " ".join(instructions(STAGES[1], "ENV"))
    assert "PATH=/opt/batcher/bin:" in environment
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert not re.search(r"TOKEN|SECRET|PASSWORD|BATCHER_", environment)


def test_benchmarks_measure_with_the_memory_settings_of_the_image() -> None:
    pairs = shlex.split(" ".join(instructions(STAGES[1], "ENV")))
    assert {f"{name}={value}" for name, value in ENVIRONMENT.items()} <= set(pairs)


def test_the_builder_is_sent_what_the_image_is_made_of_and_nothing_else() -> None:
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert sent == {"requirements/*.txt", "pyproject.toml", "LICENSE", "batcher"}
    copied = {path for copy in instructions(STAGES[0], "COPY") for path in copy.split()[:-1]}
    assert copied == {"requirements/", "pyproject.toml", "LICENSE", "batcher/"}


def test_the_build_backend_is_among_what_is_installed_to_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (backend,) = project["build-system"]["requires"]
    name = re.split(r"[<>=]", backend)[0].replace("_", "-")
    assert f"{name}==" in (ROOT / "requirements" / "build.txt").read_text(encoding="utf-8")
