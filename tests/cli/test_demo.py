"""``batcher demo`` as a user meets it: a process in a folder, interrupted, repeated, called wrongly."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.called import called
from tests.service.world import batcher, finish, until

DUMP = Path(__file__).parent.parent / "real-events" / "k3s-default.json"


class Shown(NamedTuple):
    """A demo that has ended: its report, and its data directory."""

    report: dict[str, Any]
    data: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return asyncio.run(_shown(tmp_path_factory.mktemp("shown") / "d"))


async def _shown(data: Path) -> Shown:
    async with batcher("demo", "--duration", "6s", "--data-dir", str(data), "--output", "json") as demo:
        out, err = await demo.communicate()
    assert (demo.returncode, err) == (0, b"")
    return Shown(json.loads(out), data)


of_one_demo = pytest.mark.xdist_group("demo")


@of_one_demo
def test_the_demo_counts_what_truly_happened(shown: Shown) -> None:
    report = shown.report
    assert report["occurrences"] == report["true_occurrences"] > 100
    assert (report["exact"], report["verified"], report["quarantined"]) == (True, True, 0)
    assert report["received"] == report["revisions"] + report["repeats"] + report["ignored"]


@of_one_demo
async def test_the_outage_is_one_incident_by_its_cause_in_the_clusters_that_have_the_bad_image_and_nothing_else_is(
    shown: Shown,
) -> None:
    (incident,) = shown.report["incidents"]
    assert (incident["workspace"], incident["value"]) == ("root:shop", "registry.example/web:1.9")
    assert {cluster["cluster"] for cluster in incident["clusters"]} == {"us-west1", "eu-central1"}
    assert incident["absent"] == ["ap-south1"]
    assert incident["cause"].startswith("rollout of Deployment web at ")
    code, out, err = await called("incidents", "describe", incident["id"], "--data-dir", str(shown.data))
    assert (code, err) == (0, "")
    assert "not in       ap-south1" in out.splitlines()


@of_one_demo
def test_a_relist_in_the_middle_repeats_events_and_adds_nothing(shown: Shown) -> None:
    assert shown.report["repeats"] > 0
    assert shown.report["exact"]


async def test_a_replayed_dump_is_summed_up_in_the_workspace_and_the_archive(tmp_path: Path) -> None:
    arguments = ("demo", "--replay", str(DUMP), "--data-dir", str(tmp_path / "d"))
    async with batcher(*arguments, "--output", "json") as demo:
        report = json.loads((await demo.communicate())[0])
    assert (report["received"], report["occurrences"], report["true_occurrences"]) == (56, 99, 99)
    assert (report["summaries"], report["published"], report["dead_lettered"]) == (35, 35, 0)
    _, out, _ = await called("events", "-A", "--output", "json", "--data-dir", str(tmp_path / "d"))
    archived = json.loads(out)["items"]
    assert (len(archived), sum(event["count"] for event in archived)) == (56, 99)


async def test_an_interrupted_demo_still_reports_and_the_next_one_replaces_it(tmp_path: Path) -> None:
    data = tmp_path / "d"
    ids = [""]
    for _ in range(2):
        async with batcher("demo", "--duration", "10m", "--data-dir", str(data)) as demo:
            await until(lambda: _id(data) not in ids and any((data / "batches").glob("*/commit.json")))
            ids.append(_id(data))
            code, out, err = await finish(demo, signal.SIGINT)
        assert (code, err) == (0, "")
        assert "exact" in out
        assert "Next:  batcher events -A" in out


def _id(data: Path) -> str:
    """The name of the data directory that is there now; empty between two demos."""
    try:
        return (data / "id").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--duration", "soon"), 2, "--duration: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d"),
        (("--rate", "many"), 2, "--rate: 'many' is not a rate such as 2000/min or 50/s"),
        (("--replay", "absent.json"), 2, "--replay absent.json: No such file or directory"),
    ],
)
async def test_a_wrong_flag_is_told_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    async with batcher("demo", "--data-dir", str(tmp_path / "d"), *arguments) as demo:
        _, err = await demo.communicate()
    assert (demo.returncode, err.decode().splitlines()) == (code, [said])


async def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    async with batcher("demo", "--data-dir", str(tmp_path)) as demo:
        _, err = await demo.communicate()
    assert err.decode().splitlines() == [f"{tmp_path}: not empty, and not a demo's; give another --data-dir"]
    assert demo.returncode == 1
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("command", ["verify", "events"])
async def test_a_folder_without_data_is_told_in_one_line(tmp_path: Path, command: str) -> None:
    code, _, err = await called(command, "--data-dir", str(tmp_path))
    assert code == 1
    assert err.splitlines() == [f"{tmp_path}: no batcher data here; give the --data-dir of a run"]


async def test_run_without_a_configuration_says_where_an_example_is() -> None:
    code, _, err = await called("run")
    assert code == 2
    assert err.splitlines() == ["run: give --config FILE (an example: deploy/examples/one-cluster.yaml)"]
