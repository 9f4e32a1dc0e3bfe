"""The Dockerfile and what is sent to the builder, read as text: there is no builder here to ask."""

import re
import tomllib

from tests.deploy.rendered import ROOT

TEXT = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
STAGES = re.split(r"^FROM ", "\n".join(LINES), flags=re.MULTILINE)[1:]


def instructions(stage: str, word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in stage.splitlines() if line.startswith(f"{word} ")]


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
    (environment,) = instructions(STAGES[1], "ENV")
    assert "PATH=/opt/batcher/bin:" in environment
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert not re.search(r"TOKEN|SECRET|PASSWORD|BATCHER_", environment)


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
