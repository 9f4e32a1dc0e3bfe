"""The configuration: one versioned YAML file, overridden by ``BATCHER_*`` variables, overridden by flags.

Models are frozen and grouped by who reads them; a reader is given its slice, never the whole. Unknown keys
are errors, and every error is reported at once with its path. Nothing here opens what it names: a missing
kubeconfig is found by the one who connects, who also looks into directories of them (:func:`find_clusters`).
"""

from batcher.settings.chains import ChainRule
from batcher.settings.destination import Kcp, Publish
from batcher.settings.directories import directories, find_clusters, kubeconfigs, waiting
from batcher.settings.document import Settings, refuse_fixed
from batcher.settings.filtering import Filter, FilterRule
from batcher.settings.gates import Gate
from batcher.settings.gates import shown as gates_shown
from batcher.settings.loading import API_VERSION, load, validate, validate_rule
from batcher.settings.mapping import MappingRule
from batcher.settings.matching import Match
from batcher.settings.operation import Archive, BatchSettings, LeaderElection, Log, Serve, Spool, retention_problem
from batcher.settings.places import allowed, anchored
from batcher.settings.routing import Place, Route
from batcher.settings.shaping import Aggregation, Correlation, Limit, Redaction, Transform
from batcher.settings.sources import Cluster, ClusterDirectory, Credentials
from batcher.settings.values import (
    duration_flag,
    format_duration,
    format_size,
    moment_flag,
    parse_duration,
    size_flag,
)

__all__ = [
    "API_VERSION", "Aggregation", "Archive", "BatchSettings", "ChainRule", "Cluster", "ClusterDirectory", "Correlation",
    "Credentials", "Filter", "FilterRule", "Gate", "Kcp", "LeaderElection", "Limit", "Log", "MappingRule", "Match",
    "Place", "Publish", "Redaction", "Route", "Serve", "Settings", "Spool", "Transform", "allowed", "anchored",
    "directories", "duration_flag", "find_clusters", "format_duration", "format_size", "gates_shown", "kubeconfigs",
    "load", "moment_flag", "parse_duration", "refuse_fixed", "retention_problem", "size_flag", "validate",
    "validate_rule", "waiting",
]  # fmt: skip
