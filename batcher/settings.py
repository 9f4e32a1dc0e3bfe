"""The configuration: one versioned YAML file, overridden by ``BATCHER_*`` variables, overridden by flags.

Models are frozen and grouped by who reads them; a reader is given its slice, never the whole. Unknown keys
are errors, and every error is reported at once with its path. Nothing here opens what it names: a missing
kubeconfig is found by the one who connects.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from batcher import kinds
from batcher.errors import ConfigError, UsageError

API_VERSION = "batcher.kcp.io/v1alpha1"
ENVIRONMENT_PREFIX = "BATCHER_"

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {
    "": 1,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)\s*([KMGT]?i?)B?")
_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_OURS = ("kcp.io/", "batcher.kcp.io/")
_ANNOTATIONS_BYTES = 64 * 1024
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def parse_duration(value: str) -> timedelta:
    """Return the timedelta of ``"1h30m"``, ``"500ms"``, ``"30d"``; raise ``ValueError`` for anything else."""
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        message = f"{value!r} is not a duration such as 30s, 5m, 1h30m or 30d"
        raise ValueError(message)
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        message = f"{value!r} is longer than {timedelta.max.days} days"
        raise ValueError(message) from None


def duration_flag(flag: str, text: str) -> timedelta:
    """Return the duration that ``flag`` of a command was given. Raises :class:`UsageError` naming the flag."""
    try:
        return parse_duration(text)
    except ValueError as error:
        message = f"{flag}: {error}"
        raise UsageError(message) from None


def _parse_text_duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _parse_size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if not match or match[2] not in _SIZES:
        message = f"{value!r} is not a size such as 500MiB, 10GiB or 1000000"
        raise ValueError(message)
    return int(match[1]) * _SIZES[match[2]]


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        message = "must be longer than zero"
        raise ValueError(message)
    return value


def _spelt(pattern: re.Pattern[str], what: str) -> AfterValidator:
    """Refuse a text that ``pattern`` does not match as a whole; ``what`` is what it ought to be."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            message = f"{value!r} is not {what}"
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _not_ours(value: str) -> str:
    if value.startswith(_OURS):
        message = f"{value!r}: keys of {' and '.join(_OURS)} are set by batcher itself"
        raise ValueError(message)
    return value


def _kind(value: str) -> str:
    kinds.parse(value)
    return value


ClusterName = Annotated[str, _spelt(_LABEL, "a DNS-1123 label (lower-case letters, digits and -, at most 63)")]
FreeKey = Annotated[
    str,
    _spelt(_KEY, "a key of a label or annotation, such as team or example.com/team"),
    AfterValidator(_not_ours),
]
LabelValue = Annotated[
    str, _spelt(_VALUE, "a label's value (letters, digits, - _ and ., at most 63, no colon or slash)")
]
Duration = Annotated[timedelta, BeforeValidator(_parse_text_duration), AfterValidator(_positive)]
Size = Annotated[int, BeforeValidator(_parse_size), Field(gt=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class Cluster(_Model):
    """A source cluster, and how to reach it."""

    name: ClusterName
    kubeconfig: Path | None = None
    in_cluster: bool = False
    context: str | None = None
    namespaces: list[str] = []
    """Namespaces to watch; none: all."""
    labels: dict[FreeKey, LabelValue] = {}
    """What routes can choose by."""
    workspace: str | None = None
    """For namespaces that no rule maps, and for objects without a namespace."""
    event_ttl: Duration = Field(default=timedelta(hours=1), alias="eventTTL")
    """kube-apiserver's ``--event-ttl``, 1 h by default."""
    insecure_skip_tls_verify: bool = Field(default=False, alias="insecureSkipTLSVerify")
    """Do not verify the server: anybody in between can read tokens and invent Events. Warned about."""
    relaxed_x509: bool = False
    """For a CA that does not meet ``VERIFY_X509_STRICT``, which Python sets from 3.13 on."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.in_cluster == (self.kubeconfig is not None):
            message = "give either kubeconfig or inCluster: true"
            raise ValueError(message)
        return self


class Workspace(_Model):
    """A workspace that may be written to: a path with ``*`` (one segment) and ``**`` (any), or a logical name."""

    path: str
    token_file: Path | None = None
    """The identity that writes there, in place of the kubeconfig's."""


class ApiExport(_Model):
    """An APIExport that claims Events: the workspaces whose APIBinding accepts it may be written to."""

    kubeconfig: Path
    """Its current context, or ``context``, is in the workspace that has the APIExport."""
    context: str | None = None
    name: str = Field(min_length=1)


class Kcp(_Model):
    """Where summaries go, and by which identity: one kubeconfig, or one APIExport."""

    kubeconfig: Path | None = None
    context: str | None = None
    api_export: ApiExport | None = None
    relaxed_x509: bool = False
    """As of a cluster."""
    workspaces: list[Workspace] = []

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.kubeconfig is None) == (self.api_export is None):
            message = "give either kubeconfig or apiExport"
            raise ValueError(message)
        if self.kubeconfig and not self.workspaces:
            message = "workspaces: name at least one: without an APIExport nothing else says where may be written"
            raise ValueError(message)
        if self.api_export and any(workspace.token_file for workspace in self.workspaces):
            message = "workspaces: no tokenFile with an apiExport, whose identity writes everywhere"
            raise ValueError(message)
        return self

    @property
    def patterns(self) -> list[str]:
        """The workspaces that may be written to; with an APIExport, by default all that accept it."""
        return [workspace.path for workspace in self.workspaces] or ["**"]


class MappingRule(_Model):
    """Namespaces of clusters, by globs, to a workspace."""

    cluster: str = "*"
    namespace: str
    workspace: str
    target_namespace: str = "{namespace}"


class Mapping_(_Model):  # noqa: N801  the name is taken by typing's
    """How a namespace finds its workspace."""

    rules: list[MappingRule] = []
    trust: list[Literal["locator", "rules", "cluster"]] = ["rules", "cluster"]
    """Whose word counts, in this order. A locator only where tenants cannot edit Namespaces."""
    hold: Duration = timedelta(hours=1)
    """How long what has no workspace waits for one."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.trust)) < len(self.trust):
            message = f"trust: each source once, not {', '.join(self.trust)}"
            raise ValueError(message)
        return self


class RouteMatch(_Model):
    """Which rows a route is for: those that match all of what is given. Globs know ``*`` and ``?``."""

    severity: list[Literal["normal", "warning", "critical"]] = []
    types: list[str] = []
    reasons: list[str] = []
    namespaces: list[str] = []
    """Globs of downstream namespaces."""
    clusters: list[str] = []
    labels: dict[str, str] = {}
    """Of clusters: those that have all of them."""
    workspaces: list[str] = []
    """Where rows are mapped to, as in ``kcp.workspaces``."""


class Place(_Model):
    """A place other than the mapped one; without ``workspace``, another namespace of it."""

    workspace: str | None = None
    namespace: str = "default"


class Route(_Model):
    """Where rows go; every route that matches applies, and what none matches goes where it is mapped."""

    name: ClusterName
    match: RouteMatch = RouteMatch()
    to: list[Literal["mapped", "archive"] | Place] = Field(min_length=1)
    """``archive`` alone: nobody is told."""


class Severity(_Model):
    """Reasons that are critical, whatever their type, beside the built-in ones."""

    critical: list[str] = []


class Aggregation(_Model):
    """Sessions: how long a silence ends one, how long a row of the archive's ``summaries`` may be."""

    window: Duration = timedelta(minutes=5)
    max_duration: Duration = timedelta(hours=1)


class Transform(_Model):
    """How summaries look."""

    message_prefix: bool = True
    regarding: Literal["owner", "object"] = "owner"
    expose_nodes: bool = False
    """Whether tenants may read the names of nodes."""
    lookup: list[Annotated[str, AfterValidator(_kind)]] = list(kinds.DEFAULT)
    """Kinds whose uid is looked up in the workspace, so that ``kubectl describe`` shows the Event."""
    add_labels: dict[FreeKey, LabelValue] = {}
    add_annotations: dict[FreeKey, str] = {}

    @model_validator(mode="after")
    def _annotations_fit(self) -> Self:
        size = sum(len(key.encode()) + len(value.encode()) for key, value in self.add_annotations.items())
        if size > _ANNOTATIONS_BYTES:
            message = f"addAnnotations: {size} bytes together, at most {_ANNOTATIONS_BYTES}"
            raise ValueError(message)
        return self


class BatchSettings(_Model):
    """How often a batch runs and how many lines it takes at most."""

    interval: Duration = timedelta(seconds=5)
    max_rows: int = Field(default=50_000, ge=1)


class Archive(_Model):
    """Where the tables are, and how often staged files are registered in them."""

    path: str = "./archive"
    interval: Duration = timedelta(seconds=60)


class Publish(_Model):
    """How often a summary is written again (doubling from ``after`` to ``most``), how fast, and how many may wait."""

    per_workspace_per_second: float = Field(default=20.0, ge=0.001, le=1_000_000, allow_inf_nan=False)
    """Writes to each workspace; as many at once. A thousandth is one in 17 minutes."""
    rewrite_after: Duration = timedelta(seconds=30)
    rewrite_most: Duration = timedelta(minutes=10)
    max_pending: int = Field(default=100_000, ge=1)
    """Writes in memory, and ended summaries that wait for a workspace that is away."""
    max_age: Duration = timedelta(hours=1)
    """How long ended summaries wait; then they are dead letters. kcp keeps an Event no longer, by default."""


class Spool(_Model):
    """The bound of the write-ahead log."""

    max_bytes: Size = 10 * 2**30


class Serve(_Model):
    """Metrics and health over HTTP; on loopback unless told otherwise."""

    address: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)
    """None: no HTTP at all."""


class Log(_Model):
    """Log lines on stderr."""

    format: Literal["json", "text"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        message = f"{value!r} is not an absolute path"
        raise ValueError(message)
    return value


class Credentials(_Model):
    """What kubeconfigs are trusted with."""

    exec_allowed: list[Annotated[str, AfterValidator(_absolute)]] = []
    """Absolute paths of the credential plugins (``exec``) that may be run; none: no plugin is."""


class Settings(_Model):
    """The whole file."""

    api_version: Literal["batcher.kcp.io/v1alpha1"]
    kind: Literal["BatcherConfig"]
    data_dir: Path = Path("/var/lib/batcher")
    clusters: list[Cluster] = Field(min_length=1)
    kcp: Kcp
    credentials: Credentials = Credentials()
    mapping: Mapping_ = Mapping_()
    severity: Severity = Severity()
    routes: list[Route] = []
    aggregation: Aggregation = Aggregation()
    transform: Transform = Transform()
    batch: BatchSettings = BatchSettings()
    archive: Archive = Archive()
    publish: Publish = Publish()
    spool: Spool = Spool()
    serve: Serve = Serve()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, named in (("clusters", self.clusters), ("routes", self.routes)):
            names = [each.name for each in named]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                message = f"{what}: names must be unique, given twice: {', '.join(twice)}"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _what_waits_has_ended(self) -> Self:
        if self.mapping.hold < self.aggregation.window:
            message = "mapping.hold: shorter than aggregation.window, so that it would be over before a session is"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _targets_are_allowed(self) -> Self:
        patterns = self.kcp.patterns
        named = [(f"clusters[{c.name}].workspace", c.workspace) for c in self.clusters if c.workspace]
        named += [(f"mapping.rules[{i}].workspace", rule.workspace) for i, rule in enumerate(self.mapping.rules)]
        named += [
            (f"routes[{i}].to[{j}].workspace", place.workspace)
            for i, route in enumerate(self.routes)
            for j, place in enumerate(route.to)
            if isinstance(place, Place) and place.workspace
        ]
        outside = [f"{path}: {name!r}" for path, name in named if not allowed(name, patterns)]
        if outside:
            message = f"not among kcp.workspaces: {'; '.join(outside)}"
            raise ValueError(message)
        return self


_FIXED = (
    "data_dir",
    "kcp.kubeconfig",
    "kcp.context",
    "kcp.api_export",
    "kcp.relaxed_x509",
    "archive.path",
    "publish.max_pending",
    "spool",
    "serve",
    "log",
)
"""What a running service has taken hold of: a directory, a port, an address."""


def refuse_fixed(before: Settings, after: Settings) -> None:
    """Raise :class:`ConfigError` if ``after`` differs in what only a restart can change."""
    changed = [name for name in _FIXED if attrgetter(name)(before) != attrgetter(name)(after)]
    if changed:
        names = [".".join(to_camel(part) for part in name.split(".")) for name in changed]
        raise ConfigError([f"{name}: changes only with a restart" for name in names])


def allowed(workspace: str, patterns: list[str]) -> bool:
    """Return whether ``workspace`` matches one of the path ``patterns``; fails closed on anything odd."""
    return any(re.fullmatch(_path_pattern(pattern), workspace) for pattern in patterns)


def anchored(pattern: str) -> str:
    """Return the regular expression, anchored, of a workspace ``pattern``."""
    return f"^(?:{_path_pattern(pattern)})$"


def _path_pattern(pattern: str) -> str:
    parts = re.split(r"(\*\*|\*)", pattern)
    wild = {"**": r"[a-z0-9:-]+", "*": r"[a-z0-9-]+"}
    return "".join(wild.get(part) or re.escape(part) for part in parts)


def load(path: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Settings:
    """Read ``path``, put ``BATCHER_*`` of ``environment`` and then ``flags`` over it, and validate all.

    ``BATCHER_BATCH__INTERVAL=2s`` sets ``batch.interval``; values are YAML. Flags are dotted paths
    (``batch.interval``). Relative paths in the file are relative to the working directory, as kubectl's are.
    Raises :class:`ConfigError` with every problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError([f"cannot be read: {reason}"], str(path)) from None
    document = _yaml(text, "", str(path))
    if not isinstance(document, dict):
        raise ConfigError(["the file must hold a mapping of settings"], str(path))
    for keys, value in [*_from_environment(environment), *_from_flags(flags or {})]:
        _put(document, keys, value)
    return validate(document, str(path))


def _yaml(text: str, name: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # a date that is none is a ValueError
        where = f"{name}: " if name else ""
        raise ConfigError([f"{where}not YAML: {' '.join(str(error).split())}"], source) from None


def validate(document: Mapping[str, Any], source: str) -> Settings:
    """Return the settings that ``document`` holds, or raise :class:`ConfigError` with every problem."""
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        problems = [f"{_path(e['loc'])}{_message(e)}" for e in error.errors()]
        raise ConfigError(problems, source) from None


def _from_environment(environment: Mapping[str, str]) -> list[tuple[list[str], Any]]:
    names = sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and "__" in name)
    found: list[tuple[list[str], Any]] = [
        ([to_camel(part.lower()) for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__")],
         _yaml(environment[name], name, "environment"))
        for name in names
    ]  # fmt: skip
    data_dir = environment.get(f"{ENVIRONMENT_PREFIX}DATA_DIR")
    return [*found, (["dataDir"], data_dir)] if data_dir else found


def _from_flags(flags: Mapping[str, Any]) -> list[tuple[list[str], Any]]:
    return [(name.split("."), value) for name, value in flags.items() if value is not None]


def _put(document: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = document.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = document[key] = {}
        document = inner
    document[keys[-1]] = value


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return f"{path}: " if path else ""


def _message(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown setting"
    if error["type"] == "missing":
        return "required"
    message: str = error["msg"]
    return message.removeprefix("Value error, ")


__all__ = [
    "API_VERSION", "Aggregation", "Archive", "BatchSettings", "Cluster", "Credentials", "Kcp", "Log", "MappingRule",
    "Publish", "Serve", "Settings", "Spool", "Transform", "allowed", "anchored", "duration_flag", "load",
    "parse_duration", "refuse_fixed", "validate",
]  # fmt: skip
