"""Commands of kubectl, helm and docker that a page shows, held against what ``deploy/`` has: parsed, and never run.

Flags are those that the tools have, and no more than are used. What a command names must be there: folders, files,
objects that the chart makes, values that its schema takes, arguments of the Dockerfile.
"""

import argparse
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import yaml

from batcher.settings import parse_duration
from tests.commands import parse
from tests.deploy.rendered import DEPLOY, ROOT, chart, objects, of_kind
from tests.deploy.templates import merged

RELEASE = NAMESPACE = "batcher"
KINDS = {
    "pod": "Pod", "pods": "Pod", "pvc": "PersistentVolumeClaim", "events": "Event", "secret": "Secret",
    "namespace": "Namespace", "statefulset": "StatefulSet",
}  # fmt: skip
SCHEMA = json.loads((DEPLOY / "chart" / "values.schema.json").read_text(encoding="utf-8"))


class WrongError(Exception):
    """What is shown would not work."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # type: ignore[explicit-override]  # typing.override came with 3.12
        raise WrongError(message)


def _parser(*options: tuple[str, ...], **positions: str | int | None) -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False, prefix_chars="-")
    for names in options:
        parser.add_argument(*names, action="append", default=[])
    for name, number in positions.items():
        parser.add_argument(name, nargs=number)
    return parser


_N = ("-n", "--namespace")
_OUTPUT = ("-o", "--output")


def must(holds: object, what: str) -> None:
    """Raise :class:`WrongError` that says ``what`` unless it ``holds``."""
    if not holds:
        raise WrongError(what)


def _there(kind: str, name: str, namespace: str) -> None:
    """``name`` is of ``kind`` and made by the chart, or by what it makes, or by what the page has made before."""
    made = objects({"monitoring": {"create": True}}, namespace=NAMESPACE)
    names = {(each["kind"], each["metadata"]["name"]) for each in made}
    for stateful in of_kind(made, "StatefulSet"):
        pod = f"{stateful['metadata']['name']}-0"
        claims = stateful["spec"]["volumeClaimTemplates"]
        names |= {("Pod", pod), *(("PersistentVolumeClaim", f"{each['metadata']['name']}-{pod}") for each in claims)}
    names |= {("Secret", name) for name in chart().defaults["secrets"].values() if name}
    must((KINDS[kind], name) in names | {("Namespace", NAMESPACE)}, f"{kind} {name} is none of the chart's")
    must(namespace == (NAMESPACE if kind != "namespace" else ""), f"{kind} {name} is in another namespace")


def _exec(words: list[str]) -> None:
    must("--" in words, "what is executed stands behind --")
    ours, inside = words[: words.index("--")], words[words.index("--") + 1 :]
    said = _parser(_N, pod=None).parse_intermixed_args(ours)
    _there("pod", said.pod, *said.namespace)
    must(inside[0] == "batcher", f"{inside[0]} is not in the image")
    parse(inside[1:])
    for path in (Path(word) for word in inside if word.startswith("/")):
        must(path in _mounted(), f"{path} is not in the Pod")


def _mounted() -> set[Path]:
    """The files of ConfigMaps that a Pod of the service has."""
    made = objects()
    (stateful,) = of_kind(made, "StatefulSet")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    volumes = {each["name"]: each for each in stateful["spec"]["template"]["spec"]["volumes"]}
    data = {each["metadata"]["name"]: each["data"] for each in of_kind(made, "ConfigMap")}
    return {
        Path(mount["mountPath"]) / key
        for mount in container["volumeMounts"]
        if "configMap" in volumes.get(mount["name"], {})
        for key in data[volumes[mount["name"]]["configMap"]["name"]]
    }


def _logs(words: list[str]) -> None:
    parser = _parser(_N, ("--tail",), pod=None)
    parser.add_argument("--previous", action="store_true")
    said = parser.parse_intermixed_args(words)
    _there("pod", said.pod, *said.namespace)
    must(all(tail.isdecimal() for tail in said.tail), "--tail takes a number")


def _get(words: list[str]) -> None:
    said = _parser(_N, _OUTPUT, kinds=None, name="?").parse_intermixed_args(words)
    must(set(said.kinds.split(",")) <= set(KINDS), f"{said.kinds} are no kinds")
    must(set(said.output) <= {"wide", "yaml", "json"}, f"{said.output} is no output")
    must(said.namespace == [NAMESPACE], "which namespace?")
    if said.name:
        _there(said.kinds, said.name, *said.namespace)


def _named(words: list[str]) -> None:
    said = _parser(_N, kind=None, name=None).parse_intermixed_args(words)
    _there(said.kind, said.name, *said.namespace)


def _rollout(words: list[str]) -> None:
    said = _parser(_N, verb=None, what=None).parse_intermixed_args(words)
    must(said.verb in {"restart", "status"}, f"{said.verb} is no verb of rollout")
    _there(*said.what.split("/"), *said.namespace)


def _label(words: list[str]) -> None:
    said = _parser(_N, kind=None, name=None, labels="+").parse_intermixed_args(words)
    _there(said.kind, said.name, "".join(said.namespace))
    must(all(re.fullmatch(r"[\w./-]+=[\w.-]+", label) for label in said.labels), "a label is name=value")


def _create(words: list[str]) -> None:
    made: Mapping[str, Callable[[list[str]], None]] = {
        "namespace": _create_namespace, "secret": _create_secret, "token": _create_token,
    }  # fmt: skip
    made[words[0]](words[1:])


def _create_namespace(words: list[str]) -> None:
    must(_parser(name=None).parse_intermixed_args(words).name == NAMESPACE, "another namespace")


def _create_secret(words: list[str]) -> None:
    said = _parser(_N, ("--from-file",), sort=None, name=None).parse_intermixed_args(words)
    must(said.sort == "generic", f"{said.sort} is no kind of Secret here")
    _there("secret", said.name, *said.namespace)
    asked = {Path(said_of["kubeconfig"]).name for said_of in [chart().defaults["config"]["kcp"]]}
    must(asked <= set(said.from_file), f"the chart's configuration asks for {asked}")


def _create_token(words: list[str]) -> None:
    said = _parser(_N, ("--duration",), account=None).parse_intermixed_args(words)
    made = of_kind(objects({"install": "source"}), "ServiceAccount")
    must(said.account in {each["metadata"]["name"] for each in made}, f"{said.account} is no ServiceAccount")
    must(said.namespace == [NAMESPACE], "which namespace?")
    for duration in said.duration:
        parse_duration(duration)


def _apply(words: list[str]) -> None:
    said = _parser(_N, ("-k",), ("-f",)).parse_intermixed_args(words)
    must(said.k or said.f, "what is applied?")
    for folder in said.k:
        must((ROOT / folder / "kustomization.yaml").is_file(), f"{folder} is no kustomization")
    for file in said.f:
        must((ROOT / file).is_file(), f"{file} is not there")


KUBECTL: Mapping[str, Callable[[list[str]], None]] = {
    "apply": _apply, "create": _create, "delete": _named, "describe": _named, "exec": _exec, "get": _get,
    "label": _label, "logs": _logs, "rollout": _rollout,
}  # fmt: skip


def kubectl(words: Sequence[str]) -> None:
    """Hold a command of kubectl (without its name) against what the chart makes."""
    must(words[0] in KUBECTL, f"{words[0]} is no verb that is known here")
    KUBECTL[words[0]](list(words[1:]))


def problems(changes: Any) -> list[str]:
    """Return where ``changes`` of the chart's values are wrong."""
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(merged(chart().defaults, changes))
    return [".".join(map(str, error.absolute_path)) for error in found]


def values_of(settings: Sequence[str]) -> dict[str, Any]:
    """Return what ``--set`` says."""
    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        must(equals, f"{setting} sets nothing")
        above = changes
        *groups, last = path.split(".")
        for group in groups:
            above = above.setdefault(group, {})
        above[last] = yaml.safe_load(value)
    return changes


def helm(words: Sequence[str]) -> None:
    """Hold a command of helm (without its name) against the chart and its schema."""
    said = _parser(_N, ("-f", "--values"), ("--set",), verb=None, release=None, chart=None).parse_intermixed_args(
        list(words)
    )
    must(said.verb in {"install", "upgrade", "template"}, f"{said.verb} is no verb that is known here")
    must((said.release, *said.namespace) == (RELEASE, NAMESPACE), "the pages speak of batcher in batcher")
    must((ROOT / said.chart / "Chart.yaml").is_file(), f"{said.chart} is no chart")
    must(set(said.values) <= {"my-values.yaml"}, "one's own values are my-values.yaml")
    changes = values_of(said.set)
    must(not problems(changes), f"refused: {problems(changes)}")
    must(objects(changes), "makes nothing")
    if claim := changes.get("persistence", {}).get("existingClaim"):
        _there("pvc", claim, NAMESPACE)


def docker(words: Sequence[str]) -> None:
    """Hold a command of docker (without its name) against the Dockerfile and the chart's image."""
    parser = _parser(("-f", "--file"), ("-t", "--tag"), ("--build-arg",), verb=None, context=None)
    said = parser.parse_intermixed_args(list(words))
    must(said.verb == "build", f"{said.verb} is no verb that is known here")
    must((ROOT / said.context / ".dockerignore").is_file(), "the builder is sent the top of the repository")
    (file,), (tag,) = said.file, said.tag
    must((ROOT / file).is_file(), f"{file} is not there")
    must(tag == f"{chart().defaults['image']['repository']}:{chart().about['appVersion']}", f"no Pod has {tag}")
    known = set(re.findall(r"^ARG (\w+)", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE))
    must({argument.partition("=")[0] for argument in said.build_arg} <= known, "an argument that is not there")


TOOLS: Mapping[str, Callable[[Sequence[str]], None]] = {"docker": docker, "helm": helm, "kubectl": kubectl}


def check(command: str) -> None:
    """Raise unless ``command``, of one of :data:`TOOLS`, would work on what is here."""
    tool, *words = shlex.split(command)
    TOOLS[tool](words)
