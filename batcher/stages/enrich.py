"""What rows do not say themselves: whose object it is, which cluster that was, how soon it was told.

A universal workspace has Deployments and CronJobs and neither Pods nor ReplicaSets, so a line about the owner is the
one a tenant can look up; and the line of a hundred Pods of one rollout is one. The guess is pure and needs no
look-up: names end as controllers make them (:mod:`batcher.stages.generated`). Only a name that nobody else gives is
taken for one: ``db-0`` may be a StatefulSet's or a Pod of its own, ``agent-x2z4t`` a DaemonSet's, a Job's or a bare
ReplicaSet's, and a line about an object that is not there could not be looked up. They stay as they are.

Image, volume, node and container are read from a row where they are needed (:mod:`batcher.stages.details`), duration
and rate follow from ``first_seen``, ``last_seen`` and ``occurrences``: none is a column, for none would be read.
"""

import json
from collections.abc import Mapping

import polars as pl
from polars.expr.whenthen import ChainedThen

from batcher.stages.generated import HASH, RANDOM, without
from batcher.stages.once import once

_MINUTE = "-(?:2[89]|3[0-5])[0-9]{6}"
"""Minutes since 1970 from 2023 to 2038: no date that a person would write into a name."""
_POD_OF_CRON_JOB = _MINUTE + RANDOM
OWNER_GROUP, OWNER_KIND = "apps", "Deployment"
"""The owner whose objects say themselves whose they are (:mod:`batcher.stages.attribute`)."""


def guessed_owner() -> pl.Expr:
    """The name of the Deployment that the regarding Pod or ReplicaSet is of by its name; null: nobody can say."""
    name, kind = pl.col("regarding_name"), pl.col("regarding_kind")
    is_scheduled = name.str.contains(f"{_POD_OF_CRON_JOB}$")
    return pl.coalesce(
        without(pl.when((kind == "Pod") & ~is_scheduled).then(name), HASH + RANDOM),
        without(pl.when(kind == "ReplicaSet").then(name), HASH),
    )


def regard_owner(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Make ``regarding_api_version, regarding_kind, regarding_name`` the guessed owner's.

    The Pod, ReplicaSet or Job that it was moves to ``related_*``, with its ``fieldPath``. Rows about other
    objects, or with names that no controller gives, stay as they are.
    """
    name, kind = pl.col("regarding_name"), pl.col("regarding_kind")
    scheduled = pl.coalesce(
        without(pl.when(kind == "Pod").then(name), _POD_OF_CRON_JOB),
        without(pl.when(kind == "Job").then(name), _MINUTE),
    )
    owner = pl.when(pl.col("scheduler").is_not_null()).then("scheduler").otherwise("deployment")
    moved = {
        f"related_{part}": pl.when(pl.col("owner").is_not_null()).then(f"regarding_{part}").otherwise(f"related_{part}")
        for part in ("api_version", "kind", "namespace", "name", "field_path")
    }
    return (
        once(rows, "regarding_kind", "regarding_name", scheduler=scheduled, deployment=guessed_owner())
        .with_columns(owner=owner)
        .with_columns(
            regarding_api_version=_either("batch/v1", f"{OWNER_GROUP}/v1").otherwise("regarding_api_version"),
            regarding_kind=_either("CronJob", OWNER_KIND).otherwise("regarding_kind"),
            regarding_name=pl.coalesce("owner", "regarding_name"),
            **moved,
        )
        .drop("scheduler", "deployment", "owner")
    )


def _either(scheduler: str, deployment: str) -> ChainedThen:
    is_scheduled, is_deployed = pl.col("scheduler").is_not_null(), pl.col("deployment").is_not_null()
    return pl.when(is_scheduled).then(pl.lit(scheduler)).when(is_deployed).then(pl.lit(deployment))


def with_labels(rows: pl.LazyFrame, labels: Mapping[str, Mapping[str, str]]) -> pl.LazyFrame:
    """Add ``cluster_labels``: the ``labels`` of the cluster by its name, as JSON; empty where it has none."""
    texts = {name: json.dumps(dict(sorted(said.items()))) for name, said in labels.items() if said}
    known = pl.lit("") if not texts else pl.col("cluster").replace_strict(list(texts), list(texts.values()), default="")
    return rows.with_columns(cluster_labels=known)


def publish_lag(summaries: pl.LazyFrame, outcomes: pl.LazyFrame) -> pl.LazyFrame:
    """Return, by ``cluster``, ``publish_lag_ms``: from the newest occurrence of summaries to their first write, mean.

    In: :data:`batcher.schema.OPEN_SUMMARIES` without ``outcomes`` (:data:`batcher.stages.settle.OUTCOMES`), which are
    of the version that is there.
    """
    first = outcomes.filter("written").join(summaries.filter(pl.col("writes") == 0), on=("summary", "version"))
    lag = (pl.col("at") - pl.col("last_seen")).dt.total_milliseconds().clip(0)
    return first.group_by("cluster").agg(publish_lag_ms=lag.mean().cast(pl.Int64)).sort("cluster")
