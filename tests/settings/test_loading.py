"""Flags over variables over the file, and everything that is wrong with them at once."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from batcher.errors import ConfigError
from batcher.settings import Gate, Settings, load
from batcher.settings.environment import variable_of
from tests.settings.files import document


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "batcher.yaml"
    said = document(batch={"interval": "7s", "maxRows": 10}, featureGates={"AutomaticResync": False})
    path.write_text(yaml.safe_dump(said), encoding="utf-8")
    return path


def refused(path: Path, environment: dict[str, str], **more: str | None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, environment, gates=more.get("gates"))
    assert caught.value.source == str(path)
    return caught.value.problems


def interval(settings: Settings) -> float:
    return settings.batch.interval.total_seconds()


def test_a_variable_is_over_the_file_and_a_flag_over_both(file: Path) -> None:
    variables = {"BATCHER_BATCH__INTERVAL": "2s"}
    assert interval(load(file, {})) == 7
    assert interval(load(file, variables)) == 2
    assert interval(load(file, variables, {"batch.interval": "1s"})) == 1
    assert interval(load(file, {}, {"batch.interval": "1s"})) == 1
    assert interval(load(file, variables, {"batch.interval": None})) == 2


def test_what_a_variable_does_not_name_stays_as_the_file_has_it(file: Path) -> None:
    assert load(file, {"BATCHER_BATCH__INTERVAL": "2s"}).batch.max_rows == 10


def test_gates_are_over_each_other_gate_by_gate(file: Path) -> None:
    def is_open(environment: dict[str, str], gates: str | None = None) -> bool:
        return load(file, environment, gates=gates).enabled(Gate.AUTOMATIC_RESYNC)

    on, off = {"BATCHER_FEATURE_GATES__AutomaticResync": "true"}, {"BATCHER_FEATURE_GATES": "{AutomaticResync: false}"}
    assert not is_open({})
    assert is_open(on)
    assert is_open(off, "AutomaticResync=true")
    assert not is_open(on, " AutomaticResync = False, ")


@pytest.mark.parametrize(
    ("variable", "value", "path", "expected"),
    [
        ("BATCHER_ARCHIVE__PATH", "/a", "archive.path", "/a"),
        ("BATCHER_KCP__RELAXED_X509", "true", "kcp.relaxed_x509", True),
        ("BATCHER_SERVE__PORT", "8080", "serve.port", 8080),
        ("BATCHER_PUBLISH__MAX_AGE", "2h", "publish.max_age", timedelta(hours=2)),
        ("BATCHER_MAPPING__TRUST", "[locator, cluster]", "mapping.trust", ["locator", "cluster"]),
        ("BATCHER_TRANSFORM__ADD_LABELS", "{team: a}", "transform.add_labels", {"team": "a"}),
        ("BATCHER_TRANSFORM__ADD_LABELS__example.com/Team", "a", "transform.add_labels", {"example.com/Team": "a"}),
        ("BATCHER_DATA_DIR", "1", "data_dir", Path("1")),
        ("BATCHER_LOG", "{level: debug}", "log.level", "debug"),
    ],
)
def test_a_variable_sets_any_setting(file: Path, variable: str, value: str, path: str, expected: object) -> None:
    found: object = load(file, {variable: value})
    for name in path.split("."):
        found = getattr(found, name)
    assert found == expected


def test_whole_lists_are_set_by_a_variable(file: Path) -> None:
    settings = load(file, {"BATCHER_CLUSTERS": "[{name: eu, kubeconfig: eu.kubeconfig}]", "BATCHER_ROUTES": "[]"})
    assert [cluster.name for cluster in settings.clusters] == ["eu"]


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        (
            "BATCHER_BATCH__INTERVALL",
            "BATCHER_BATCH__INTERVALL: batch.intervall: unknown setting; did you mean BATCHER_BATCH__INTERVAL?",
        ),
        ("BATCHER_BATCH_INTERVAL",
         "BATCHER_BATCH_INTERVAL: batchInterval: unknown setting; did you mean BATCHER_BATCH__INTERVAL?"),
        ("BATCHER_ZZZ", "BATCHER_ZZZ: zzz: unknown setting"),
        ("BATCHER_CLUSTERS__0__NAME",
         "BATCHER_CLUSTERS__0__NAME: clusters.0.name: unknown setting; did you mean BATCHER_CLUSTERS?"),
    ],
)  # fmt: skip
def test_a_variable_of_ours_that_is_no_setting_is_an_error(file: Path, variable: str, told: str) -> None:
    assert refused(file, {variable: "1"}) == [told]


@pytest.mark.parametrize(
    "variable",
    ["BATCHER_SERVICE_HOST", "BATCHER_PORT", "BATCHER_PORT_8080_TCP_ADDR", "BATCHER_METRICS_SERVICE_PORT_HTTP",
     "BATCHER_METRICS_PORT_8080_TCP"],
)  # fmt: skip
def test_what_kubelet_tells_of_a_service_called_batcher_is_no_setting_and_no_error(file: Path, variable: str) -> None:
    assert load(file, {variable: "tcp://10.0.0.1:8080", "BATCHER_CONFIG": "x"}).batch.max_rows == 10


def test_everything_that_is_wrong_with_file_variables_and_flags_is_told_at_once_with_who_gives_it(file: Path) -> None:
    file.write_text(yaml.safe_dump(document(batch={"maxRows": 0}, surprise=1)), encoding="utf-8")
    variables = {
        "BATCHER_BATCH__INTERVAL": "soon",
        "BATCHER_LOG__LEVEL": "{",
        "BATCHER_SERVE__ADDRES": "x",
        "BATCHER_SPOOL": "[1]",
        "BATCHER_SPOOL__MAX_BYTES": "1GiB",
    }
    no_yaml, *others = refused(file, variables, gates="AutomaticResync,Foo=true")
    assert no_yaml.startswith("BATCHER_LOG__LEVEL: not YAML: while parsing a flow node expected the node content")
    assert others == [
        "BATCHER_SERVE__ADDRES: serve.addres: unknown setting; did you mean BATCHER_SERVE__ADDRESS?",
        "--feature-gates: 'AutomaticResync' is neither Name=true nor Name=false",
        "spool.maxBytes: spool is no mapping (BATCHER_SPOOL__MAX_BYTES)",
        "batch.interval: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d (BATCHER_BATCH__INTERVAL)",
        "batch.maxRows: Input should be greater than or equal to 1",
        "spool: Input should be a valid dictionary or instance of Spool (BATCHER_SPOOL)",
        "featureGates: Foo: unknown feature gate; known: AutomaticResync",
        "surprise: unknown setting",
    ]


def test_a_file_that_is_no_yaml_hides_no_wrong_variable(file: Path) -> None:
    file.write_text("a: [", encoding="utf-8")
    found = refused(file, {"BATCHER_LOG__LEVEL": "{", "BATCHER_ZZZ": "1"})
    assert [problem.partition(":")[0] for problem in found] == ["not YAML", "BATCHER_LOG__LEVEL", "BATCHER_ZZZ"]


def test_what_is_no_yaml_is_told_with_its_place_and_not_repeated(file: Path) -> None:
    (problem,) = refused(file, {"BATCHER_ARCHIVE__STORAGE_OPTIONS": "{aws_secret_access_key: canary: x"})
    assert problem == (
        "BATCHER_ARCHIVE__STORAGE_OPTIONS: not YAML: while parsing a flow mapping expected ',' or '}', but got ':', "
        "line 1, column 31"
    )


def test_a_wrong_variable_alone_is_refused_too(file: Path) -> None:
    assert refused(file, {"BATCHER_ZZZ": "1"}) == ["BATCHER_ZZZ: zzz: unknown setting"]


@pytest.mark.parametrize("text", ["batch: {interval: 1s}\nbatch: {maxRows: 1}", "batch:\n  maxRows: 1\n  maxRows: 2"])
def test_a_key_that_is_given_twice_is_an_error_and_not_half_of_it_forgotten(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    (problem,) = refused(file, {})
    assert problem.startswith("not YAML: '")
    assert "is given twice" in problem


def test_an_entry_that_a_file_merges_may_be_overridden(file: Path) -> None:
    file.write_text(
        yaml.safe_dump(document()) + "x: &x {interval: 1s, maxRows: 1}\nbatch: {<<: *x, maxRows: 2}\n", encoding="utf-8"
    )
    assert refused(file, {}) == ["x: unknown setting"]


@pytest.mark.parametrize(
    ("path", "variable"),
    [
        ("publish.maxAge", "BATCHER_PUBLISH__MAX_AGE"),
        ("clusters", "BATCHER_CLUSTERS"),
        ("kcp.apiExport.name", "BATCHER_KCP__API_EXPORT__NAME"),
        ("clusters.name", ""),
        ("nothing", ""),
    ],
)
def test_the_variable_of_a_setting_is_known(path: str, variable: str) -> None:
    assert variable_of(path) == variable
