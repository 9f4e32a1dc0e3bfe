"""``batcher why``: the answer first, text that no Event can disturb, the same in JSON and YAML."""

import json
from pathlib import Path

import pytest
import yaml

from tests.called import Told, called
from tests.history import history
from tests.sections import event, watched

HOSTILE = "\x1b[31mred\x07 \u202egpj\nforged: line"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10, count=3, minute=1, message=HOSTILE)), minute=1)
    return tmp_path / "data"


async def run(*arguments: str) -> Told:
    return await called("why", *arguments, "--since", "2026-11-23T00:00:00Z")


async def test_the_answer_comes_first_and_then_what_to_do(data: Path) -> None:
    code, out, err = await run("po/web", "-n", "w*", "--cluster", "us-west1", "--data-dir", str(data))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:3] == [
        "It is on its way: its summary waits to be written to namespace web of workspace root:shop.",
        "To do: start the service: it does not run.",
        "",
    ]
    assert "event       web.1  in web of us-west1: Warning BackOff pod/web" in lines
    assert "message     [31mred   gpj forged: line" in lines
    assert "verdict     kept" in lines
    assert "mapping     root:shop / web, by rules[0]" in lines
    assert lines[-1].endswith("; the service does not run")
    assert not any(ord(char) < 32 or char == "\u202e" for line in lines for char in line)


async def test_json_and_yaml_are_exact_and_the_same(data: Path) -> None:
    _, out, _ = await run("web.1", "-o", "json", "--data-dir", str(data))
    _, same, _ = await run("web.1", "-o", "yaml", "--data-dir", str(data))
    found = json.loads(out)
    assert found == yaml.safe_load(same)
    assert not any(ord(char) < 32 and char != "\n" for char in out + same)
    (followed,) = found["events"]
    assert (found["because"], followed["message"], followed["counted_by"][0]["ending"]) == (
        "pending", HOSTILE, "pending",
    )  # fmt: skip


async def test_what_is_wrong_with_the_call_is_one_line_and_exit_2(data: Path, tmp_path: Path) -> None:
    place = ("--data-dir", str(data))
    code, out, err = await run("pod/", *place)
    assert (code, out) == (2, "")
    assert err == "'pod/' is neither KIND/NAME, such as pod/web-1, nor the name of an Event\n"
    code, out, err = await run("pod/web", "-n", "a[b]", *place)
    assert (code, out, err.count("\n")) == (2, "", 1)
    with history(tmp_path / "empty"):
        pass
    code, out, err = await run("pod/web", "--data-dir", str(tmp_path / "empty"))
    assert (code, out) == (2, "")
    assert err.endswith("no batch has been here yet; start one with: batcher run --config FILE\n")
    assert (await run("pod/nothing", *place))[0] == 0
