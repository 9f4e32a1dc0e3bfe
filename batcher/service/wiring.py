"""What the configuration means to each part: rules, addresses, and how to watch a cluster. Nothing here runs."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from batcher import settings as settings_
from batcher import store
from batcher.connect import Connection, connect
from batcher.connect import Trust as ServerTrust
from batcher.errors import ConfigError
from batcher.kinds import Watched, parse_watched
from batcher.pipeline import Rules
from batcher.redact import Redaction, Redactor
from batcher.settings import Cluster, Settings, anchored
from batcher.stages.attribute import ObjectKind
from batcher.stages.filter import Filter, FilterRule
from batcher.stages.locate import Trust
from batcher.stages.match import Match
from batcher.stages.route import Route, Where
from batcher.stages.rule import Rule, glob
from batcher.telemetry import Action
from batcher.watch import ClusterSpec

log = structlog.get_logger("batcher")


def rules_of(settings: Settings) -> Rules:
    """Return what of ``settings`` a batch depends on; it becomes part of every plan."""
    mapping, trust = _mapping(settings)
    return Rules(
        mapping=mapping,
        trust=trust,
        hold=settings.mapping.hold,
        event_ttl=max(
            (cluster.event_ttl for cluster in settings.clusters), default=Cluster.model_fields["event_ttl"].default
        ),
        event_ttls={cluster.name: cluster.event_ttl for cluster in settings.clusters},
        window=settings.aggregation.window,
        longest=settings.aggregation.max_duration,
        by_template="template" in settings.aggregation.key,
        prefix=settings.transform.message_prefix,
        owner=settings.transform.regarding == "owner",
        expose_nodes=settings.transform.expose_nodes,
        labels=dict(settings.transform.add_labels),
        annotations=dict(settings.transform.add_annotations),
        routes=tuple(_route(route, settings.clusters) for route in settings.routes),
        critical=tuple(settings.severity.critical),
        minimum=settings.publish.minimum_severity,
        limit=settings.limit.max_events_per_minute,
        max_keys=settings.aggregation.max_aggregated_events,
        max_live=settings.publish.max_live_events,
        filter=_filter(settings.filter, settings.clusters),
        redact_archive=_redactions(settings, "archive"),
        redact_publish=_redactions(settings, "publish"),
        correlation_window=settings.correlation.window if settings.correlation.enabled else timedelta(0),
        correlation_longest=settings.correlation.max_duration,
        chains=tuple(each.rule for each in settings.chains.rules),
        cluster_labels={cluster.name: dict(cluster.labels) for cluster in settings.clusters if cluster.labels},
        max_age=settings.publish.max_age,
        max_pending=settings.publish.max_pending,
    )


def _redactions(settings: Settings, at: str) -> tuple[Redaction, ...]:
    return tuple(Redaction(said.pattern, said.replace) for said in settings.transform.redact if said.at == at)


def redactor_of(settings: Settings) -> Redactor | None:
    """Return what takes texts out of lines before they are spooled, if ``settings`` ask for it."""
    redactions = _redactions(settings, "spool")
    return Redactor(redactions) if redactions else None


def _route(said: settings_.Route, clusters: Sequence[Cluster]) -> Route:
    places = [place for place in said.to if isinstance(place, settings_.Place)]
    return Route(
        said.name,
        _match(said.match, clusters),
        mapped="mapped" in said.to,
        elsewhere=tuple(Where(place.workspace or "", place.namespace) for place in places),
    )


def _match(said: settings_.Match, clusters: Sequence[Cluster]) -> Match:
    chosen = [cluster.name for cluster in clusters if _is_chosen(cluster, said)]
    return Match(
        severities=tuple(said.severity),
        types=tuple(said.types),
        reasons=tuple(said.reasons),
        namespaces=tuple(said.namespaces),
        objects=tuple(said.objects),
        clusters=tuple(chosen) if said.clusters or said.labels else None,
        workspaces=tuple(anchored(pattern) for pattern in said.workspaces),
        message=said.message or "",
    )


def _is_chosen(cluster: Cluster, match: settings_.Match) -> bool:
    named = not match.clusters or any(re.search(glob(pattern), cluster.name) for pattern in match.clusters)
    return named and match.labels.items() <= cluster.labels.items()


def _filter(said: settings_.Filter, clusters: Sequence[Cluster]) -> Filter:
    return Filter(
        tuple(filter_rule(rule, clusters) for rule in said.rules),
        said.minimum_severity,
        tuple(said.include_types),
        tuple(said.exclude_types),
    )


def filter_rule(said: settings_.FilterRule, clusters: Sequence[Cluster]) -> FilterRule:
    """Return the rule ``said`` as the stage has it; ``clusters`` are those that its names and labels choose from."""
    return FilterRule(said.name, Action(said.action), _match(said.match, clusters))


def _mapping(settings: Settings) -> tuple[tuple[Rule, ...], Trust]:
    said = settings.mapping
    sources = {
        "locator": [],
        "syncagent": [],
        "rules": [Rule(r.cluster, r.namespace, r.workspace, r.target_namespace) for r in said.rules],
        "cluster": [Rule(c.name, "*", c.workspace, cluster_scoped=True) for c in settings.clusters if c.workspace],
    }
    before = {name: said.trust[: said.trust.index(name)] for name in said.trust}
    rules_first = {name: sum(len(sources[each]) for each in others) for name, others in before.items()}
    trust = Trust(
        locators="locator" in said.trust,
        rules_first=rules_first.get("locator", 0),
        allowed=tuple(anchored(pattern) for pattern in settings.kcp.patterns),
        objects=tuple(ObjectKind(kind.group, kind.kind) for kind in _watched(settings)),
        objects_after=rules_first.get("syncagent", 0) + ("locator" in before.get("syncagent", [])),
    )
    return tuple(rule for name in said.trust for rule in sources[name]), trust


def archive_root(settings: Settings) -> store.Root:
    """Return where the archive is. Raises :class:`ConfigError` for a URL or options that say nothing."""
    return store.place(settings.archive.path, settings.archive.storage, os.environ)


_Said = tuple[Cluster, list[str], tuple[str, ...]]
_Made = tuple[_Said, ClusterSpec]


def _together(errors: Sequence[ConfigError]) -> ConfigError:
    """All of ``errors`` as one; a single one stays as it is."""
    if len(errors) == 1:
        return errors[0]
    return ConfigError([f"{error.source}: {problem}" for error in errors for problem in error.problems], "clusters")


class Specs:
    """How to watch each configured cluster; one that did not change keeps its spec, and so its watch."""

    def __init__(self) -> None:
        """Know of none."""
        self._made: dict[str, _Made] = {}
        self.trouble = ""
        """Why clusters of a directory are left out; empty if none is."""

    def of(self, settings: Settings) -> list[ClusterSpec]:
        """Return a spec for each cluster. Raises :class:`ConfigError`, and remembers nothing, if one cannot be.

        A file of a directory that is no usable kubeconfig leaves out its own cluster only: one bad file among hundreds
        must stop neither a start nor what else has changed.
        """
        made: dict[str, _Made] = {}
        wrong: dict[str, ConfigError] = {}
        resources = watched_resources(settings)
        for cluster in settings.clusters:
            said = (cluster, settings.credentials.exec_allowed, resources)
            before = self._made.get(cluster.name)
            try:
                made[cluster.name] = before if before and before[0] == said else (said, _spec(*said))
            except ConfigError as error:
                wrong[cluster.name] = error
        refused = [error for name, error in wrong.items() if name not in settings.found]
        if refused:
            raise _together(refused)
        self._made = made
        self.trouble = "; ".join(f"{error.source}: {'; '.join(error.problems)}" for error in wrong.values())
        return [spec for _, spec in made.values()]

    @property
    def connections(self) -> Mapping[str, Connection]:
        """The connection to each cluster."""
        return {name: spec.connection for name, (_, spec) in self._made.items()}

    def insecure(self, name: str) -> bool:
        """Return whether the server of the cluster ``name`` is not verified."""
        return name in self._made and self._made[name][1].connection.insecure


def watched_resources(settings: Settings) -> tuple[str, ...]:
    """Return what is watched of each cluster: Events, and whoever is trusted to say whose they are."""
    namespaces = ["namespaces"] if "locator" in settings.mapping.trust else []
    return ("events", *namespaces, *(kind.resource for kind in _watched(settings)))


def _watched(settings: Settings) -> list[Watched]:
    trusted = "syncagent" in settings.mapping.trust
    return [parse_watched(entry) for entry in settings.mapping.syncagent.kinds] if trusted else []


def connection_of(cluster: Cluster, exec_allowed: Sequence[str]) -> Connection:
    """Return how ``cluster`` is reached; nothing is sent. Raises :class:`ConfigError`."""
    return connect(
        name=cluster.name,
        kubeconfig=cluster.kubeconfig,
        context=cluster.context,
        in_cluster=cluster.in_cluster,
        trust=ServerTrust(frozenset(exec_allowed), cluster.insecure_skip_tls_verify, cluster.relaxed_x509),
    )


def _spec(cluster: Cluster, exec_allowed: Sequence[str], resources: tuple[str, ...]) -> ClusterSpec:
    connection = connection_of(cluster, exec_allowed)
    if connection.insecure:
        log.warning("the server is not verified: whoever is in between can read tokens", cluster=cluster.name)
    return ClusterSpec(
        cluster.name, connection, tuple(cluster.namespaces), resources=resources, event_ttl=cluster.event_ttl
    )
