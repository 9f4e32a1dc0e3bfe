"""The pages of ``docs/``: what they show can be called, what they name is there, and what they count is so."""

import re
import shlex
import signal
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from batcher import clock
from batcher.batch import DataDirectory
from batcher.batch.directory import FORMAT
from batcher.sandbox import Sandbox
from batcher.settings import API_VERSION, load, parse_duration, validate
from batcher.settings.document import FIXED
from batcher.settings.explain import Setting, every, plain_path, settings_tree
from batcher.stages.redefine import KEY
from tests.commands import options, parse
from tests.deploy.rendered import chart
from tests.history import RULES
from tests.service.world import batcher, finish, until

ROOT = Path(__file__).parent.parent
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
LINKING = {
    **{f"docs/{name}": text for name, text in PAGES.items()},
    **{
        name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md", "deploy/README.md")
    },
}
TEXT = "\n".join(PAGES.values())
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BASE = yaml.safe_load((ROOT / "deploy" / "examples" / "one-cluster.yaml").read_text(encoding="utf-8"))

OF_EVENTS = {
    "series.count", "metadata.creationTimestamp", "source.component", "source.host", "eventTime", "firstTimestamp",
    "creationTimestamp", "lastTimestamp", "resourceVersion", "reportingComponent", "reportingInstance", "apiVersion",
}  # fmt: skip
"""What pages name of a core/v1 Event, spelt as settings are."""
OF_OTHERS = {"maxEventAgeSeconds"}
"""Settings of the tools that batcher is compared with."""
UNITS = {"ms": "ms", "s": "s", "min": "m", "h": "h", "d": "d"}


def blocks(text: str, *kinds: str) -> list[str]:
    """Return what is fenced as one of ``kinds``, without the indentation of a list."""
    wanted = "|".join(kinds)
    fenced = re.findall(rf"^( *)```(?:{wanted})\n(.*?)^ *```$", text, flags=re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in fenced]


def lines(*kinds: str) -> list[str]:
    """Return the lines of all fenced blocks of ``kinds``, each once."""
    return list(dict.fromkeys(line for text in PAGES.values() for b in blocks(text, *kinds) for line in b.splitlines()))


def quoted(text: str = TEXT) -> list[str]:
    """Return what stands in backticks outside of fenced blocks, each once."""
    plain = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return list(dict.fromkeys(" ".join(each.split()) for each in re.findall(r"`([^`]+)`", plain)))


def section(page: str, heading: str) -> str:
    """Return what stands below ``heading`` of a page, up to the next one."""
    return PAGES[page].split(f"\n## {heading}\n")[1].split("\n## ")[0]


def names(value: Any, path: str = "") -> set[str]:
    """Return the dotted names of everything in a document of nested mappings."""
    if not isinstance(value, dict):
        return set()
    below = [names(each, f"{path}{name}.") for name, each in value.items()]
    return {f"{path}{name}" for name in value}.union(*below)


@cache
def settings() -> dict[str, Setting]:
    return {setting.path: setting for setting in every(settings_tree())}


COMMANDS = [line.removeprefix("$ ") for line in lines("console")]
OURS = [each for each in COMMANDS if each.split()[0] in {"batcher", ".venv/bin/batcher"}]
MADE = [each for each in COMMANDS if each.split()[0] == "make"]


def test_a_console_shows_commands_of_batcher_make_and_kubectl_and_nothing_else() -> None:
    assert all(line.startswith("$ ") for line in lines("console"))
    assert len(OURS) >= 15
    assert len(MADE) >= 4
    assert {each.split()[0] for each in COMMANDS} == {".venv/bin/batcher", "make", "kubectl"}


@pytest.mark.parametrize("command", OURS)
def test_a_command_of_batcher_is_one(command: str) -> None:
    parse(shlex.split(command)[1:])


@pytest.mark.parametrize("command", MADE)
def test_a_target_of_make_is_one_and_so_is_what_it_is_given(command: str) -> None:
    _, target, *given = shlex.split(command)
    assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE), target
    for name, _, value in (each.partition("=") for each in given):
        assert re.search(rf"^{name} \?=", MAKEFILE, flags=re.MULTILINE), name
        if (target, name) == ("demo", "ARGS"):
            parse(["demo", *shlex.split(value)])


def test_a_command_that_is_none_would_be_found() -> None:
    with pytest.raises(KeyError):
        parse(["nothing"])
    assert "--deep" in options(["verify"])
    assert "--shallow" not in options(["verify"])


CONFIGURATIONS = [block for text in PAGES.values() for block in blocks(text, "yaml")]


@pytest.mark.parametrize("block", CONFIGURATIONS)
def test_a_configuration_or_a_part_of_one_is_valid(block: str) -> None:
    document = yaml.safe_load(block)
    assert document.get("apiVersion", API_VERSION) == API_VERSION
    assert validate((document if "kind" in document else BASE | document), "docs").clusters


async def test_the_first_file_runs_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ((name, content),) = re.findall(r"<!-- file: (\S+) -->\n```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    Path(name).write_text(content, encoding="utf-8")
    assert load(Path(name), {}).clusters
    async with Sandbox(["us-west1"], {"root:shop": ["default"]}, now=clock.now) as sandbox:
        sandbox.write_kubeconfig(tmp_path / "cluster.kubeconfig")
        sandbox.write_kubeconfig(tmp_path / "sandbox.kubeconfig")
        about = {"kind": "Pod", "namespace": "default", "name": "web-0"}
        event = {"metadata": {"name": "e", "namespace": "default"}, "involvedObject": about, "reason": "BackOff"}
        sandbox.clusters["us-west1"].create_event(event | {"count": 3})
        async with batcher("run", "--config", name) as process:
            await until(lambda: bool(sandbox.kcp.workspaces["root:shop"].events("default")))
            code, _, err = await finish(process, signal.SIGINT)
    assert code == 0, err
    (told,) = sandbox.kcp.workspaces["root:shop"].events("default")
    assert (told["count"], told["reason"], told["involvedObject"]["name"]) == (3, "BackOff", "web-0")


def anchor(heading: str) -> str:
    """Return how a link names ``heading``: as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    plain = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", plain, flags=re.MULTILINE)}


@pytest.mark.parametrize("page", LINKING)
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", LINKING[page]):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not heading or heading in anchors(target.read_text(encoding="utf-8")), link


def test_a_heading_is_named_as_github_names_it() -> None:
    assert anchor('"Why isn\'t my event here?"') == "why-isnt-my-event-here"
    assert anchor("What it promises, and where that ends") == "what-it-promises-and-where-that-ends"


def test_every_page_can_be_reached_from_another() -> None:
    linked = {
        Path(link.partition("#")[0]).name for text in LINKING.values() for link in re.findall(r"\]\(([^)\s]+)\)", text)
    }
    assert set(PAGES) - linked == set()


SPELT = re.compile(r"[a-z][A-Za-z]*(\[\])?(\.[a-z][A-Za-z]*(\[\])?)+|[a-z]+([A-Z][A-Za-z0-9]*)+")
ENDINGS = (".yaml", ".md", ".py", ".json", ".kubeconfig")
SETTINGS_NAMED = [each for each in quoted() if SPELT.fullmatch(each) and not each.endswith(ENDINGS)]


def test_pages_name_settings() -> None:
    assert len(SETTINGS_NAMED) >= 45


@pytest.mark.parametrize("name", SETTINGS_NAMED)
def test_what_is_spelt_like_a_setting_is_one_or_a_value_of_the_chart_or_a_field_of_an_event(name: str) -> None:
    paths = set(settings()) | names(chart().defaults)
    last = {path.rpartition(".")[2] for path in settings()}
    assert plain_path(name) in paths | last | OF_EVENTS | OF_OTHERS


DEFAULTS = list(dict.fromkeys(re.findall(r"`([\w.\[\]]+)`(?:\s+\(|,\s+)(\d+)\s(ms|s|min|h|d)\b", TEXT)))


def test_pages_name_defaults() -> None:
    assert len(DEFAULTS) >= 6


@pytest.mark.parametrize(("path", "number", "unit"), DEFAULTS)
def test_a_time_behind_a_setting_is_its_default(path: str, number: str, unit: str) -> None:
    default = settings()[plain_path(path)].default
    told: timedelta = parse_duration(f"{number}{UNITS[unit]}")
    assert parse_duration(default) == told


@pytest.mark.parametrize(
    "name", [each for each in quoted() if re.fullmatch(r"(tests|batcher|deploy|docs)/[\w./*-]+", each)]
)
def test_a_file_that_is_named_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_each_promise_names_its_tests_and_where_it_ends() -> None:
    promises = ("Exactly once", "Counted exactly", "Converging", "Nothing disappears silently")
    for promise in promises:
        text = section("guarantees.md", promise)
        assert "**Where it ends.**" in text
        assert len(re.findall(r"`tests/[\w/]+\.py`", text)) >= 5


THREATS = [text.partition("\n") for text in PAGES["security.md"].split("\n## ")[1:]]
PROOFS = re.findall(r"^- `(tests/[\w/]+\.py)::(\w+)`$", PAGES["security.md"], flags=re.MULTILINE)


@pytest.mark.parametrize(("threat", "text"), [(threat, text) for threat, _, text in THREATS])
def test_each_threat_says_what_stops_it_and_names_the_tests_that_show_it(threat: str, text: str) -> None:
    said, *proofs = re.split(r"^- ", text.strip(), flags=re.MULTILINE)
    assert len(said.split()) >= 10, threat
    assert len(proofs) >= 3
    assert all(re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`\s*", proof) for proof in proofs)


@pytest.mark.parametrize(("file", "function"), PROOFS)
def test_a_test_that_is_named_is_there(file: str, function: str) -> None:
    found = re.findall(r"^(?:async )?def (\w+)\(", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert function in found


def test_threats_and_proofs_are_found_on_the_page() -> None:
    assert (len(THREATS), len(PROOFS) == len(set(PROOFS)) >= 80) == (17, True)


def test_what_ends_open_summaries_is_what_the_code_compares() -> None:
    named = re.findall(r"^- `(.+)`$", section("upgrade.md", "What ends open summaries"), flags=re.MULTILINE)
    assert set(named) == set(RULES.definitions)
    assert KEY in named


def test_what_needs_a_restart_is_what_a_running_service_refuses() -> None:
    assert set(quoted(section("upgrade.md", "What needs a restart"))) - {"featureGates"} == set(FIXED)


def test_formats_are_those_of_today() -> None:
    text = section("upgrade.md", "What is on disk")
    assert f"`format`, today {FORMAT} " in text
    assert f"today `{API_VERSION}`" in text


def test_the_data_directory_has_what_the_page_shows_and_nothing_else(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    with directory.owned():
        directory.write_archive(tmp_path / "archive")
    rows = re.findall(r"^\| (`[^|]+) \|", section("architecture.md", "The data directory"), flags=re.MULTILINE)
    shown = {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert shown == {path.name for path in directory.root.iterdir()}


def test_the_stages_that_the_page_names_are_there() -> None:
    text = section("architecture.md", "What a batch computes").split("\n1. ")[1].split("\n\nNone of it")[0]
    named = set(re.findall(r"`(\w+)`", text))
    assert len(named) >= 12
    assert named <= {path.stem for path in (ROOT / "batcher" / "stages").glob("*.py")}
