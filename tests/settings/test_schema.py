"""The schema, the explanations, the printed defaults and the models say the same."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from batcher.errors import ConfigError
from batcher.settings import find_clusters, parse_duration, validate
from batcher.settings.defaults import defaults
from batcher.settings.explain import every, settings_tree
from batcher.settings.schema import file_schema
from batcher.settings.values import format_duration, format_size
from tests.settings.files import document, valid

ROOT = Path(__file__).parent.parent.parent
SCHEMA = Draft202012Validator(file_schema())
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))


def refused(said: dict[str, Any]) -> list[str]:
    """The paths of what the schema refuses."""
    return sorted("/".join(map(str, error.absolute_path)) for error in SCHEMA.iter_errors(said))


def test_the_schema_in_deploy_is_the_one_that_the_models_make() -> None:
    committed = (ROOT / "deploy" / "config.schema.json").read_text(encoding="utf-8")
    assert committed == json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n", "run: make schema"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(file_schema())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_meets_the_schema(example: Path) -> None:
    assert refused(yaml.safe_load(example.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"surprise": 1}, ""),
        ({"batch": {"interval": 5}}, "batch/interval"),
        ({"batch": {"interval": "soon"}}, "batch/interval"),
        ({"batch": {"interval": "PT5S"}}, "batch/interval"),
        ({"batch": {"max_rows": 5}}, "batch"),
        ({"batch": {"maxRows": 0}}, "batch/maxRows"),
        ({"spool": {"maxBytes": "10 gigabytes"}}, "spool/maxBytes"),
        ({"spool": {"maxBytes": 0}}, "spool/maxBytes"),
        ({"clusters": []}, "clusters"),
        ({"clusters": [{"name": "A", "kubeconfig": "k"}]}, "clusters/0"),
        ({"clusters": [{"directory": "d", "name": "a"}]}, "clusters/0"),
        ({"routes": [{"name": "a", "to": ["nowhere"]}]}, "routes/0/to/0"),
        ({"transform": {"addLabels": {"a": ":"}}}, "transform/addLabels/a"),
        ({"transform": {"addLabels": {"a b": ""}}}, "transform/addLabels"),
        ({"featureGates": {"Foo": True}}, "featureGates"),
        ({"kind": "Batcher"}, "kind"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value),
)
def test_what_the_schema_refuses_is_refused_by_loading_too(changes: dict[str, Any], path: str) -> None:
    assert refused(document(**changes)) == [path]
    with pytest.raises(ConfigError):
        valid(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"spool": {"maxBytes": "10GiB"}, "quarantine": {"maxBytes": 5}},
        {"clusters": [{"directory": "d", "defaults": {"eventTTL": "1h30m"}}, {"name": "a", "labels": {"b": "c"}}]},
        {"routes": [{"name": "a", "to": ["mapped", {"namespace": "ops"}], "match": {"severity": ["critical"]}}]},
        {"serve": {"port": None}, "transform": {"addLabels": {"example.com/team": "a"}}},
        {"featureGates": {"AutomaticResync": False}},
    ],
    ids=json.dumps,
)
def test_what_loads_meets_the_schema(changes: dict[str, Any]) -> None:
    valid(**changes)
    assert refused(document(**changes)) == []


def test_every_setting_is_explained() -> None:
    assert [setting.path for setting in every(settings_tree()) if not setting.meaning] == []


def test_settings_that_are_written_again_are_the_same() -> None:
    said = valid(
        clusters=[{"directory": "d", "defaults": {"eventTTL": "90m"}}, {"name": "a", "labels": {"b": "c"}}],
        spool={"maxBytes": "3GB"}, routes=[{"name": "a", "to": ["archive", {"namespace": "x"}]}],
    )  # fmt: skip
    written = said.model_dump(mode="json", by_alias=True)
    assert written["clusters"][0]["defaults"]["eventTTL"] == "1h30m"
    assert refused(written) == []
    assert validate(written, "written").model_dump() == said.model_dump()


def test_the_printed_defaults_are_a_file_with_every_default_once_what_is_required_is_filled() -> None:
    printed = yaml.safe_load("\n".join(defaults()))
    required = document()
    filled = printed | {"clusters": required["clusters"], "kcp": printed["kcp"] | required["kcp"]}
    assert validate(filled, "printed").model_dump() == valid().model_dump()
    assert refused(filled) == []


def test_the_printed_defaults_have_every_setting_with_its_explanation_above_it() -> None:
    lines = [line.lstrip("# ") for line in defaults()]
    for setting in every(settings_tree()):
        assert any(line.startswith(f"{setting.name}:") for line in lines), setting.path
    text = list(defaults())
    place = text.index("  maxAge: 1h")
    assert text[place - 1] == (
        "  # How long ended summaries wait; then they are dead letters. kcp keeps an Event no longer, by default."
    )


def test_what_a_list_can_hold_is_yaml_when_it_is_uncommented() -> None:
    lines = list(defaults())
    start = lines.index("clusters: []")
    end = lines.index("", start)
    entries = yaml.safe_load("\n".join(line.removeprefix("# ").removeprefix("#") for line in lines[start + 1 : end]))
    assert [min(entry) for entry in entries] == ["context", "defaults"]
    assert entries[1]["defaults"]["eventTTL"] == "1h"


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)))
def test_a_duration_reads_as_it_was_written(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (5, "5s"), (5400, "1h30m"), (86_400, "1d"), (90_000, "25h"), (0.5, "500ms"), (1.25, "1s250ms"),
     (0.0005, "0.5ms"), (2_592_000, "30d")],
)  # fmt: skip
def test_a_duration_is_written_in_few_words(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.integers(1, 2**60))
def test_a_size_reads_as_it_was_written(size: int) -> None:
    assert valid(spool={"maxBytes": format_size(size)}).spool.max_bytes == size


@pytest.mark.parametrize(
    ("size", "text"), [(2**30, "1GiB"), (10 * 2**30, "10GiB"), (1000, "1000"), (3 * 2**10, "3KiB")]
)
def test_a_size_is_written_in_its_largest_unit(size: int, text: str) -> None:
    assert format_size(size) == text


def test_a_directory_that_is_found_is_written_as_the_entry_that_it_is(tmp_path: Path) -> None:
    settings = find_clusters(valid(clusters=[{"directory": str(tmp_path)}]))
    assert settings.model_dump(mode="json", by_alias=True)["clusters"][0]["directory"] == str(tmp_path)
