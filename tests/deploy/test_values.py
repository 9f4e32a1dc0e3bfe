"""The chart's values: what is taken, what is refused, and that the configuration in them is one."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from batcher.settings import load, validate
from tests.deploy.rendered import DEPLOY, EVERYTHING, chart, objects, of_kind
from tests.deploy.templates import merged

SCHEMA = json.loads((DEPLOY / "chart" / "values.schema.json").read_text(encoding="utf-8"))
CONFIG_SCHEMA = json.loads((DEPLOY / "config.schema.json").read_text(encoding="utf-8"))


def problems(changes: Any) -> list[str]:
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(merged(chart().defaults, changes))
    return [".".join(map(str, error.absolute_path)) for error in found]


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"install": "source"}, {"install": "workspace"}])
def test_the_schema_takes_the_defaults_and_all_that_is_used_elsewhere(values: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert problems(values) == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"replicas": 2}, ""),
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
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]
INSTALLS = [command for command in COMMANDS if command.startswith("helm install batcher deploy/chart -n batcher")]


def test_the_page_shows_commands_of_kubectl_and_helm_only() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"kubectl", "helm"}
    assert len(INSTALLS) == 2


@pytest.mark.parametrize("command", INSTALLS)
def test_what_the_page_sets_is_taken_and_makes_objects(command: str) -> None:
    changes: dict[str, Any] = {}
    for path, value in re.findall(r"--set ([\w.]+)=(\S+)", command):
        above = changes
        *groups, last = path.split(".")
        for group in groups:
            above = above.setdefault(group, {})
        above[last] = yaml.safe_load(value)
    assert problems(changes) == []
    assert objects(changes)


def test_every_file_and_folder_of_the_page_is_there() -> None:
    named = re.findall(r"`([\w-]+/(?:[\w-]+/)?|[\w.]+\.json|Dockerfile)`", PAGE)
    assert len(named) >= 9
    for name in named:
        assert (DEPLOY / name).exists(), name
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DEPLOY / link).exists(), link


def test_the_binding_of_the_page_accepts_what_the_export_claims() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (accepted,) = yaml.safe_load(text)["spec"]["permissionClaims"]
    (export,) = of_kind(objects({"install": "provider"}), "APIExport")
    (claim,) = export["spec"]["permissionClaims"]
    assert accepted == claim | {"state": "Accepted", "selector": {"matchAll": True}}
