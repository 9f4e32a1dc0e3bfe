"""How metrics are named: as Prometheus has it, and ``batcher_<noun>_<unit>_total`` for what only grows."""

import re
import shutil
import subprocess

import pytest

from batcher.serve.http import exposition
from batcher.status import samples
from batcher.telemetry import METRICS, Metric
from tests.test_status import STATUS

COUNTED = {
    "commits", "endings", "events", "failures", "gaps", "hits", "links", "lists", "occurrences", "openings", "refusals",
    "restarts", "retries", "revisions", "revivals", "rows", "lines", "verdicts", "writes",
}  # fmt: skip
"""The units of counters: what there is one of, in the plural."""
OF_PROMETHEUS = {"total", "count", "sum", "bucket", "info", "created"}
"""Endings that Prometheus' client adds, or that have a meaning of their own."""
NO_WORDS = {"counter", "gauge", "histogram", "metric", "number", "num"}
OTHER_UNITS = re.compile(
    r"_(ms|millis\w*|micros\w*|minutes|hours|days|kb|kib|mb|mib|kilobytes|megabytes|percent|ratio)$"
)

EVERY = [pytest.param(name, metric, id=name) for name, metric in METRICS.items()]


@pytest.mark.parametrize(("name", "metric"), EVERY)
def test_a_metric_is_named_by_a_noun_and_a_base_unit_and_never_by_its_type(name: str, metric: Metric) -> None:
    words = name.split("_")
    assert re.fullmatch(r"batcher(_[a-z]+)+", name)
    assert not (OF_PROMETHEUS | NO_WORDS) & set(words)
    assert not OTHER_UNITS.search(name)
    if metric.kind == "counter":
        noun, unit = words[1:-1], words[-1]
        assert noun
        assert unit in COUNTED


@pytest.mark.parametrize(("name", "metric"), EVERY)
def test_a_time_is_a_timestamp_and_what_is_measured_ends_in_what_it_is_measured_in(name: str, metric: Metric) -> None:
    assert metric.meaning.startswith("Unix time") == name.endswith("_timestamp_seconds")
    assert metric.meaning.startswith("Bytes") == name.endswith("_bytes")
    if metric.kind == "histogram":
        assert name.endswith(("_seconds", "_bytes"))


@pytest.mark.parametrize(("name", "metric"), EVERY)
def test_no_label_can_have_a_value_for_each_object_and_each_is_spelt_as_prometheus_wants(
    name: str, metric: Metric
) -> None:
    assert not {"uid", "message", "event", "object", "pod", "namespace", "instance", "job", "le", "quantile"} & {
        *metric.labels
    }
    assert all(re.fullmatch(r"[a-z]+", label) for label in metric.labels), name


def test_a_metric_that_only_grows_is_shown_as_a_total_and_no_other_is() -> None:
    shown = dict(re.findall(r"^# TYPE (batcher_\w+) (\w+)$", exposition(samples(STATUS)).decode(), flags=re.MULTILINE))
    assert len(shown) == len(METRICS)
    assert {name for name, kind in shown.items() if kind == "counter"} == {
        name for name in shown if name.endswith("_total")
    }


@pytest.mark.skipif(
    not shutil.which("promtool"),
    reason="no promtool here: that Prometheus' own linter has nothing to say of the metrics is not checked; names are",
)
def test_the_linter_of_prometheus_has_nothing_to_say() -> None:
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=exposition(samples(STATUS)), capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
