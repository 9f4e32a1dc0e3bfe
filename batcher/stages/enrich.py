"""Whose object it is: the owner of a Pod or ReplicaSet, guessed from its name.

A universal workspace has Deployments and neither Pods nor ReplicaSets, so a line about the owner is the one
a tenant can look up; and the line of a hundred Pods of one rollout is one. The guess is pure and needs no
look-up: controllers name what they make with alphabets that people do not use (``rand.SafeEncodeString``:
no vowels, no 0, 1 and 3).
"""

import polars as pl

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_DEPLOYMENT_POD = rf"^(.+)-{_SAFE}{{6,10}}-{_SAFE}{{5}}$"
_DEPLOYMENT_REPLICA_SET = rf"^(.+)-{_SAFE}{{6,10}}$"
OWNER_GROUP, OWNER_KIND = "apps", "Deployment"
"""The only owner whose name can be told from that of what it owns."""


def guessed_owner() -> pl.Expr:
    """The name of the Deployment that the regarding Pod or ReplicaSet is of by its name; null: nobody can say."""
    name, kind = pl.col("regarding_name"), pl.col("regarding_kind")
    return pl.coalesce(
        pl.when(kind == "Pod").then(name.str.extract(_DEPLOYMENT_POD)),
        pl.when(kind == "ReplicaSet").then(name.str.extract(_DEPLOYMENT_REPLICA_SET)),
    )


def regard_owner(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Make ``regarding_api_version, regarding_kind, regarding_name`` the guessed owner's.

    The Pod or ReplicaSet that it was moves to ``related_*``, with its ``fieldPath``. Rows about other
    objects, or with names that no controller gives, stay as they are.
    """
    owner = guessed_owner()
    guessed = owner.is_not_null()
    moved = {
        f"related_{part}": pl.when(guessed).then(f"regarding_{part}").otherwise(f"related_{part}")
        for part in ("api_version", "kind", "namespace", "name", "field_path")
    }
    return rows.with_columns(
        regarding_api_version=pl.when(guessed).then(pl.lit(f"{OWNER_GROUP}/v1")).otherwise("regarding_api_version"),
        regarding_kind=pl.when(guessed).then(pl.lit(OWNER_KIND)).otherwise("regarding_kind"),
        regarding_name=pl.coalesce(owner, "regarding_name"),
        **moved,
    )
