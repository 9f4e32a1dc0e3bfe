"""``docs/metrics.md`` and what the code shows: the same metrics, types, labels and meanings."""

import re

import aiohttp

from batcher.serve import Health, serving
from batcher.telemetry import METRICS, Action, Cause, Verdict
from tests.deploy.rendered import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[str]:
    """The rows of the first table below ``heading`` that are about a metric."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line for line in part.splitlines() if re.match(r"\| `(batcher|process)_", line)]


def test_every_metric_is_in_the_page_as_it_is_in_the_code() -> None:
    expected = []
    for name, metric in METRICS.items():
        shown = f"{name}_total" if metric.kind == "counter" else name
        labels = f" {', '.join(f'`{label}`' for label in metric.labels)} " if metric.labels else " "
        expected.append(f"| `{shown}` | {metric.kind} |{labels}| {metric.meaning} |")
    assert rows("Of batcher") == expected


async def test_the_metrics_of_the_process_are_in_the_page_as_they_are_shown() -> None:
    async with (
        serving("127.0.0.1", 0, samples=list, health=lambda: Health({})) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as response,
    ):
        text = await response.text()
    kinds = dict(re.findall(r"^# TYPE (process_\w+) (\w+)$", text, flags=re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (process_\w+) (.*)$", text, flags=re.MULTILINE))
    assert rows("Of the process") == [f"| `{name}` | {kinds[name]} | | {helps[name]} |" for name in helps]


def test_the_values_of_closed_labels_are_told() -> None:
    told = {
        label: set(re.findall(r"`([^`]+)`", values))
        for label, values in re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, flags=re.MULTILINE)
    }
    assert told["verdict"] == {verdict.value for verdict in Verdict}
    assert told["cause"] == {cause.value for cause in Cause}
    assert told["action"] == {action.value for action in Action}
    assert {label for metric in METRICS.values() for label in metric.labels} - set(told) == {
        "cluster", "name", "rule", "workspace",
    }  # fmt: skip


def test_the_buckets_are_told() -> None:
    told = {
        name: [float(word) for word in re.findall(r"[\d.]+", said)]
        for name, said in re.findall(r"`(\w+)` has the buckets (.*) seconds", PAGE)
    }
    assert told == {name: list(metric.bounds) for name, metric in METRICS.items() if metric.kind == "histogram"}
