"""Alerts and dashboard: these and no others, over metrics that there are, each alert with what to do about it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from batcher.telemetry import METRICS
from tests.deploy.rendered import DEPLOY, ROOT, alerts, objects, of_kind

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((DEPLOY / "chart" / "files" / "dashboard.json").read_text(encoding="utf-8"))
FIRING = yaml.safe_load((Path(__file__).parent / "alerts.test.yaml").read_text(encoding="utf-8"))
OF_THE_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}
OF_THE_TARGET = {"namespace", "pod", "job", "instance"}
"""Labels that Prometheus adds to all of a target's metrics."""


def shown() -> dict[str, set[str]]:
    """Every name that ``/metrics`` shows, with its labels."""
    names = {name: set[str]() for name in OF_THE_PROCESS}
    for name, metric in METRICS.items():
        labels = set(metric.labels)
        if metric.kind == "histogram":
            names |= {f"{name}_bucket": labels | {"le"}, f"{name}_count": labels, f"{name}_sum": labels}
        else:
            names[name + ("_total" if metric.kind == "counter" else "")] = labels
    return names


def selectors(node: Any) -> Iterator[promql.VectorSelector]:
    """Yield what ``node`` selects, wherever it stands."""
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector"):
        below = getattr(node, name, None)
        if below is not None and not isinstance(below, str):
            yield from selectors(below)
    for argument in getattr(node, "args", None) or []:
        yield from selectors(argument)


def queries() -> list[tuple[str, str]]:
    """Every query of the dashboard, by its panel, as Grafana sends it."""
    asked = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return [(title, re.sub(r"\$__(rate_interval|range)", "5m", text)) for title, text in asked]


EXPRESSIONS = [*((alert["alert"], alert["expr"]) for alert in alerts()), *queries()]


def test_there_are_these_alerts_and_no_others() -> None:
    assert [alert["alert"] for alert in alerts()] == [
        "BatcherClusterSilent",
        "BatcherGap",
        "BatcherPublishLate",
        "BatcherFailedGrows",
        "BatcherBatchOverdue",
        "BatcherSpoolFilling",
        "BatcherVerifyFailed",
        "BatcherConfigRefused",
        "BatcherTokenExpires",
        "BatcherUnmapped",
    ]


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS)
def test_an_expression_is_promql_over_metrics_and_labels_that_there_are(where: str, text: str) -> None:
    names = shown()
    found = list(selectors(promql.parse(text)))
    assert {str(selector.name) for selector in found} == set(re.findall(r"\b(?:batcher|process)_\w+", text)), where
    for selector in found:
        assert selector.name in names, f"{where}: {selector.name}"
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= names[selector.name] | OF_THE_TARGET, f"{where}: {selector.name}{labels}"


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS)
def test_an_expression_groups_by_labels_that_its_metrics_have(where: str, text: str) -> None:
    names = shown()
    known = {label for selector in selectors(promql.parse(text)) for label in names[str(selector.name)]}
    grouped = re.findall(r"\b(?:by|without|on) \(([^)]*)\)", text)
    assert {label.strip() for labels in grouped for label in labels.split(",")} <= known | OF_THE_TARGET, where


def test_a_metric_that_is_not_there_would_be_found() -> None:
    (selector,) = selectors(promql.parse('sum(rate(batcher_nothing_total{cluster="a"}[5m])) > 1'))
    assert selector.name not in shown()


def test_every_alert_has_a_time_at_which_it_fires_and_one_at_which_it_does_not() -> None:
    tried = [each for test in FIRING["tests"] for each in test["alert_rule_test"]]
    names = {alert["alert"] for alert in alerts()}
    assert {each["alertname"] for each in tried if each["exp_alerts"]} == names
    assert {each["alertname"] for each in tried if not each["exp_alerts"]} == names


@pytest.mark.skipif(
    not shutil.which("promtool"),
    reason="no promtool here: at which figures alerts fire (alerts.test.yaml) is not checked; that their expressions "
    "can be read, and name metrics and labels that there are, is",
)
def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    groups = yaml.safe_load((DEPLOY / "chart" / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
    (tmp_path / "alerts.test.yaml").write_text(yaml.safe_dump(FIRING), encoding="utf-8")
    command = ["promtool", "test", "rules", "alerts.test.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_in_a_sentence_what_is_wrong_and_names_only_labels_that_it_has(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "runbook_url"}
    assert alert["annotations"]["summary"].endswith(".")
    selected = selectors(promql.parse(alert["expr"]))
    labels = {label for selector in selected for label in shown()[str(selector.name)]}
    assert set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"])) <= labels


def sections() -> dict[str, str]:
    """The runbook's sections, by heading."""
    parts = re.split(r"^## (.+)\n", RUNBOOK, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_alert_has_its_entry_in_the_runbook_and_each_entry_an_alert() -> None:
    assert list(sections()) == [alert["alert"] for alert in alerts()]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_links_to_its_entry(alert: dict[str, Any]) -> None:
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"


def test_the_runbook_can_be_elsewhere() -> None:
    where = {"monitoring": {"create": True, "runbook": "https://docs.example/runbook"}}
    (rule,) = of_kind(objects(where), "PrometheusRule")
    links = {alert["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for alert in group["rules"]}
    assert "https://docs.example/runbook#batchergap" in links
    assert all(link.startswith("https://docs.example/runbook#") for link in links)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_entry_says_what_it_means_how_to_look_and_what_to_do(alert: dict[str, Any]) -> None:
    text = sections()[alert["alert"]]
    before, *said = re.split(r"\*\*(What it means|How to look|What to do)\.\*\*", text)
    assert before.strip() == ""
    assert said[::2] == ["What it means", "How to look", "What to do"]
    assert all(len(part.split()) >= 5 for part in said[1::2])
    assert "```console\n$ " in text


def test_the_dashboard_has_these_rows_in_this_order() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Clusters",
        "Received, kept, written",
        "Workspaces",
        "Rules and limits",
        "Incidents",
        "Disk and memory",
        "Failed",
    ]


def test_nothing_in_the_dashboard_names_a_metric_a_variable_or_a_query_that_is_not_there() -> None:
    text = json.dumps(DASHBOARD)
    assert set(re.findall(r"\bbatcher_\w+", text)) <= set(shown())
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", text)) - {"__all", "__rate_interval", "__range"} == variables
    for panel in DASHBOARD["panels"]:
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)
        assert set(re.findall(r"Value #(\w)", json.dumps(panel))) <= set(letters)


@pytest.mark.parametrize("page", sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", DEPLOY / "README.md"]))
def test_a_metric_that_a_page_names_is_there(page: Path) -> None:
    assert set(re.findall(r"(?<![\w.])batcher_[a-z_]+\b", page.read_text(encoding="utf-8"))) <= set(shown()) | set(
        METRICS
    )


def test_no_panel_lies_over_another_and_each_has_an_id_of_its_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))


def test_the_dashboard_is_brought_to_grafana_as_it_is() -> None:
    (config,) = (
        each for each in objects({"monitoring": {"create": True}}) if each["metadata"]["name"].endswith("-dashboard")
    )
    assert json.loads(config["data"]["batcher.json"]) == DASHBOARD
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
