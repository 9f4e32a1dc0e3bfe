"""Every command of kubectl, helm and docker, every query, and every fenced block that any page shows: tried here."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from batcher.cli import app
from tests.commands import found, options
from tests.history import history
from tests.installed import TOOLS, WrongError, check
from tests.sections import event, watched

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "deploy" / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
}
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", flags=re.DOTALL | re.MULTILINE)
SHOWN = [(page, kind, block) for page, text in PAGES.items() for kind, block in FENCED.findall(text)]
LINES = [
    (page, line.strip().removeprefix("$ "))
    for page, kind, block in SHOWN
    if kind in {"console", "sh"}
    for line in block.splitlines()
]
QUOTED = [
    (page, " ".join(quoted.split()))
    for page, text in PAGES.items()
    for quoted in re.findall(r"`([^`]+)`", FENCED.sub("", text))
]
COMMENTS = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
WHOLE = re.findall(r"^# .*: (docker build .*)$", COMMENTS, flags=re.MULTILINE)
WHOLE += [command for _, command in LINES if command.split()[0] in TOOLS]
WITH_ARGUMENTS = [
    command
    for _, command in QUOTED
    if command.split()[0] in TOOLS and re.search(r"deploy/\w", command)
]  # fmt: skip
QUERIES = list(
    dict.fromkeys(
        shlex.split(command.partition("batcher sql ")[2])[0] for _, command in LINES if "batcher sql " in command
    )
)


def test_pages_show_blocks_of_these_kinds_each_of_which_is_tried() -> None:
    tried = {
        "console": "here, in test_docs.py and in test_readme.py",
        "sh": "here",
        "yaml": "in test_docs.py, test_readme.py and deploy/test_values.py",
        "text": "what a screen shows, or a picture",
        "": "a picture",
    }
    assert {kind for _, kind, _ in SHOWN} <= set(tried)


def test_every_line_of_a_console_is_a_command_of_a_tool_that_is_tried() -> None:
    ours = {".venv/bin/batcher", "batcher", "make"}
    assert {command.split()[0] for _, command in LINES} - ours == set(TOOLS)
    assert len(WHOLE) >= 40


@pytest.mark.parametrize("command", list(dict.fromkeys([*WHOLE, *WITH_ARGUMENTS])))
def test_a_command_of_kubectl_helm_or_docker_would_work_on_what_is_here(command: str) -> None:
    check(command)


@pytest.mark.parametrize(
    "command",
    [
        "kubectl exec -n batcher batcher-1 -- batcher status",
        "kubectl exec -n batcher batcher-0 -- sh",
        "kubectl exec -n batcher batcher-0 batcher status",
        "kubectl exec -n batcher batcher-0 -- batcher nothing",
        "kubectl exec -n batcher batcher-0 -- batcher verify --shallow",
        "kubectl exec -n batcher batcher-0 -- batcher config validate /etc/batcher/batcher.yaml",
        "kubectl exec -n other batcher-0 -- batcher status",
        "kubectl logs -n batcher batcher-0 --lines=3",
        "kubectl logs -n batcher batcher-0 --tail=all",
        "kubectl get deployments -n batcher",
        "kubectl get secret -n batcher secrets",
        "kubectl get pods -n batcher -o tree",
        "kubectl rollout restart -n batcher deployment/batcher",
        "kubectl rollout undo -n batcher statefulset/batcher",
        "kubectl delete statefulset -n batcher batchers",
        "kubectl label namespace batcher restricted",
        "kubectl create namespace other",
        "kubectl create secret generic batcher-kubeconfigs -n batcher --from-file=other.kubeconfig",
        "kubectl create token nobody -n batcher",
        "kubectl create token batcher -n batcher --duration=long",
        "kubectl apply -k deploy/nothing",
        "kubectl apply -f deploy/nothing.yaml",
        "kubectl apply",
        "kubectl explode pods",
        "helm install batcher deploy/charts -n batcher",
        "helm install batcher deploy/chart -n batcher --set install=everything",
        "helm install batcher deploy/chart -n batcher --set replicas=2",
        "helm install batcher deploy/chart -n batcher --set source.loctor=true",
        "helm install batcher deploy/chart -n batcher --sets a=b",
        "helm install batcher deploy/chart -n batcher -f values.yaml",
        "helm install other deploy/chart -n batcher",
        "helm upgrade batcher deploy/chart -n batcher --set persistence.existingClaim=data-batcher",
        "helm destroy batcher deploy/chart -n batcher",
        "docker build -f Dockerfile -t batcher:0.1.0 .",
        "docker build -f deploy/Dockerfile -t batcher:latest .",
        "docker build -f deploy/Dockerfile -t batcher:0.1.0 deploy",
        "docker build -f deploy/Dockerfile -t batcher:0.1.0 --build-arg BASE=x .",
        "docker run batcher",
    ],
)
def test_a_command_that_would_not_work_is_found(command: str) -> None:
    with pytest.raises((Exception, SystemExit)) as raised:
        check(command)
    assert (
        isinstance(raised.value, WrongError | KeyError | SystemExit | ValueError)
        or "no such option" in str(raised.value).lower()
    ), repr(raised.value)


def each_of(command: str) -> list[str]:
    """The commands that are meant by one with alternatives, such as ``batcher incidents list|describe ID``."""
    words = [word.split("|") for word in command.split(" ")]
    return [" ".join(chosen) for chosen in itertools.product(*words)]


OURS = sorted({each for _, command in QUOTED if re.match(r"batcher [a-z]", command) for each in each_of(command)})


@pytest.mark.parametrize("command", OURS)
def test_a_command_of_batcher_in_a_sentence_is_one_and_has_the_options_that_are_named(command: str) -> None:
    words = shlex.split(command)[1:]
    found(words)
    assert {word.strip("[]") for word in words if re.match(r"--?[a-z]", word)} <= options(words)


def test_queries_are_shown() -> None:
    assert len(QUERIES) >= 2


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_can_be_asked_of_an_archive(query: str, tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.directory.write_archive(tmp_path / "archive")
        h.batch(watched(event("a", 1)), minute=0)
        h.batch(watched(event("a", 2)), minute=90)
    asked = CliRunner().invoke(app, ["sql", query, "--data-dir", str(tmp_path / "data"), "--output", "csv"])
    assert asked.exit_code == 0, asked.output
    assert len(asked.output.splitlines()) == 2
