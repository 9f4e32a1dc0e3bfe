"""The chart's values: what is taken, what is refused, and that the configuration in them is one."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from batcher.settings import load, validate
from tests.deploy.rendered import DEPLOY, EVERYTHING, TWO, chart, objects, of_kind
from tests.installed import SCHEMA, problems


def without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


CONFIG_SCHEMA = json.loads((DEPLOY / "config.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("values", [{}, EVERYTHING, TWO, {"install": "source"}, {"install": "workspace"}])
def test_the_schema_takes_the_defaults_and_all_that_is_used_elsewhere(values: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert problems(values) == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"replicas": 3}, "replicas"),
        ({"replicas": 0}, "replicas"),
        (without(TWO, "leaderElection"), "leaderElection.create"),
        (without(TWO, "persistence"), "persistence.accessModes"),
        (without(TWO, "config"), "config"),
        ({**TWO, "serviceAccount": {"automountToken": False}}, "serviceAccount.automountToken"),
        (
            {"leaderElection": {"create": True}, "config": {"leaderElection": {"enabled": True}}},
            "config.leaderElection",
        ),
        ({"config": {"kcp": {"apiExport": {"name": "events"}}}}, "config.kcp"),
        ({"config": {"kcp": {"kubeconfig": None}}}, "config.kcp"),
        ({"image": {"tag": "latest"}}, "image.tag"),
        ({"image": {"digest": "sha256:abc"}}, "image.digest"),
        ({"uid": 0}, "uid"),
        ({"install": "all"}, "install"),
        ({"source": {"namespaces": ["Not A Name"]}}, "source.namespaces.0"),
        ({"source": {"syncagent": [{"apiGroups": [""], "resources": ["secrets"]}]}}, "source.syncagent.0.resources.0"),
        ({"source": {"syncagent": [{"apiGroups": [""], "resources": ["*"]}]}}, "source.syncagent.0.resources.0"),
        ({"workspace": {"lookup": [{"apiGroups": [""], "resources": ["secrets"]}]}}, "workspace.lookup.0.resources.0"),
        ({"config": {"dataDir": "/data"}}, "config.dataDir"),
        ({"config": {"clusters": []}}, "config.clusters"),
        ({"config": {"serve": {"port": None}}}, "config.serve"),
        ({"resources": {"limits": {"memory": None}}}, "resources.limits"),
        ({"secrets": {"kubeconfigs": ""}}, "secrets.kubeconfigs"),
        ({"terminationGracePeriodSeconds": 5}, "terminationGracePeriodSeconds"),
        ({"networkPolicy": {"metricsFrom": []}}, "networkPolicy.metricsFrom"),
    ],
)
def test_values_that_are_wrong_are_refused_where_they_are(changes: dict[str, Any], where: str) -> None:
    assert problems(changes) == [where]


def test_the_schema_knows_every_value_that_there_is() -> None:
    def unknown(values: Any, schema: Any, path: str) -> list[str]:
        known = schema.get("properties")
        if not (isinstance(values, dict) and known):
            return []
        return [
            found
            for name, value in values.items()
            for found in ([f"{path}{name}"] if name not in known else unknown(value, known[name], f"{path}{name}."))
        ]

    assert unknown({k: v for k, v in chart().defaults.items() if k != "config"}, SCHEMA, "") == []


def test_the_configuration_is_valid_as_the_service_loads_it(tmp_path: Path) -> None:
    (config,) = of_kind(objects(), "ConfigMap")
    (tmp_path / "batcher.yaml").write_text(config["data"]["batcher.yaml"], encoding="utf-8")
    settings = load(tmp_path / "batcher.yaml", {})
    assert [cluster.name for cluster in settings.clusters] == ["local"]
    jsonschema.validate(yaml.safe_load(config["data"]["batcher.yaml"]), CONFIG_SCHEMA)


def test_what_the_configuration_names_is_mounted_or_written_to_the_volume() -> None:
    (stateful,), (config,) = of_kind(objects(), "StatefulSet"), of_kind(objects(), "ConfigMap")
    settings = validate(yaml.safe_load(config["data"]["batcher.yaml"]), "values.yaml")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert Path(mounts["kubeconfigs"]) == settings.kcp.kubeconfig.parent if settings.kcp.kubeconfig else False
    assert mounts["data"] == "/var/lib/batcher"
    assert str(settings.data_dir) == "/var/lib/batcher/data"
    assert settings.archive.path == "/var/lib/batcher/archive"
    assert {"name": "BATCHER_CONFIG", "value": f"{mounts['config']}/batcher.yaml"} in container["env"]


def test_the_ports_are_that_of_the_configuration() -> None:
    changed = objects({"config": {"serve": {"port": 9000}}})
    (stateful,), (service,) = of_kind(changed, "StatefulSet"), of_kind(changed, "Service")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 9000}]
    assert service["spec"]["ports"] == [{"name": "http", "port": 9000, "targetPort": "http"}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "http"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


EXAMPLES = sorted(path for path in (DEPLOY / "examples").rglob("*.yaml") if path.name != "kustomization.yaml")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_configuration(example: Path) -> None:
    assert load(example, {}).clusters
    jsonschema.validate(yaml.safe_load(example.read_text(encoding="utf-8")), CONFIG_SCHEMA)


IN_A_POD = [path for path in EXAMPLES if "dataDir: /var/lib/batcher" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("example", IN_A_POD, ids=lambda path: path.stem)
def test_an_example_with_the_paths_of_a_pod_is_one_for_the_chart_too(example: Path) -> None:
    said = yaml.safe_load(example.read_text(encoding="utf-8"))
    of_defaults = {"kubeconfig": None, "workspaces": None} if "apiExport" in said["kcp"] else {}
    values = {"config": said | {"kcp": of_defaults | said["kcp"]}}
    assert problems(values) == []
    (config,) = of_kind(objects(values), "ConfigMap")
    assert validate(yaml.safe_load(config["data"]["batcher.yaml"]), "") == validate(said, "")


def test_the_example_for_kustomize_replaces_what_there_is() -> None:
    folder = DEPLOY / "examples" / "kustomize"
    said = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    for name in (*said["resources"], *said["components"]):
        assert (folder / name / "kustomization.yaml").is_file()
    (config,) = of_kind(objects(), "ConfigMap")
    (replaced,) = said["configMapGenerator"]
    assert (replaced["name"], replaced["files"]) == (config["metadata"]["name"], list(config["data"]))
    assert said["images"][0]["name"] == chart().defaults["image"]["repository"]


PAGE = (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_every_file_and_folder_of_the_page_is_there() -> None:
    named = re.findall(r"`([\w-]+/(?:[\w-]+/)?|[\w.]+\.json|Dockerfile)`", PAGE)
    assert len(named) >= 9
    for name in named:
        assert (DEPLOY / name).exists(), name
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DEPLOY / link).exists(), link


BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)]


@pytest.mark.parametrize("values", [block for block in BLOCKS if "kind" not in block], ids=list)
def test_values_that_the_page_shows_are_taken_and_make_a_configuration_that_is_valid(values: dict[str, Any]) -> None:
    assert problems(values) == []
    (config,) = of_kind(objects(values), "ConfigMap")
    assert validate(yaml.safe_load(config["data"]["batcher.yaml"]), "README.md").clusters


def test_the_binding_of_the_page_accepts_what_the_export_claims() -> None:
    (binding,) = (block for block in BLOCKS if "kind" in block)
    (accepted,) = binding["spec"]["permissionClaims"]
    (export,) = of_kind(objects({"install": "provider"}), "APIExport")
    (claim,) = export["spec"]["permissionClaims"]
    assert accepted == claim | {"state": "Accepted", "selector": {"matchAll": True}}
