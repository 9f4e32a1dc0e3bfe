"""Which object of a row a claim can be about: the one that it regards, or that one's owner.

Decided by kinds alone, never by what is claimed, so that a row waits for the same claim from its first batch on. The
owner is guessed from the name, see :mod:`batcher.stages.enrich`: a Pod bears no word on whose it is. The ``related``
object is not asked: it is somebody else's part in what happened, a Node's or a volume's, and need not be of the same
tenant. Nothing here knows a claim.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from batcher.schema import OBJECT
from batcher.stages.enrich import OWNER_GROUP, OWNER_KIND, guessed_owner


class ObjectKind(NamedTuple):
    """A kind of object and its API group (empty: core)."""

    group: str
    kind: str


def attribute(rows: pl.LazyFrame, kinds: Sequence[ObjectKind]) -> pl.LazyFrame:
    """Add :data:`batcher.schema.OBJECT`: of the regarding object if it is of one of ``kinds``, else of its guessed
    owner if that is, else empty.

    In: ``regarding_api_version, regarding_kind, regarding_name``; some emitters leave the version out.
    """
    version, name = pl.col("regarding_api_version"), pl.col("regarding_name")
    group = version.str.extract("^(.*)/").fill_null("")
    cases = [
        ((pl.col("regarding_kind") == of.kind) & ((group == of.group) | (version == "")), of, name) for of in kinds
    ]
    if ObjectKind(OWNER_GROUP, OWNER_KIND) in kinds:
        owner = guessed_owner()
        cases.append((owner.is_not_null(), ObjectKind(OWNER_GROUP, OWNER_KIND), owner))
    values = (
        [(case, pl.lit(of.group)) for case, of, _ in cases],
        [(case, pl.lit(of.kind)) for case, of, _ in cases],
        [(case, named) for case, _, named in cases],
    )
    return rows.with_columns(**{column: _first(each) for column, each in zip(OBJECT, values, strict=True)})


def _first(cases: Sequence[tuple[pl.Expr, pl.Expr]]) -> pl.Expr:
    return pl.coalesce(*(pl.when(case).then(value) for case, value in cases), pl.lit(""))


def is_regarding() -> pl.Expr:
    """Whether what :func:`attribute` found is the regarding object itself."""
    kind, name = pl.col("object_kind"), pl.col("object_name")
    return (kind != "") & (kind == pl.col("regarding_kind")) & (name == pl.col("regarding_name"))


def object_uid() -> pl.Expr:
    """The uid that a row tells of that object; empty: none, it is the owner's."""
    return pl.when(is_regarding()).then("regarding_uid").otherwise(pl.lit("")).alias("object_uid")


def known_as() -> pl.Expr:
    """What the workspace calls the regarding object: ``target_name``, if that is of it; empty: as it is called."""
    return pl.when(is_regarding()).then("target_name").otherwise(pl.lit("")).alias("known_as")


def named_there() -> pl.Expr:
    """``regarding_name`` as the workspace knows it (:func:`known_as`)."""
    return pl.when(pl.col("known_as") == "").then("regarding_name").otherwise("known_as").alias("regarding_name")
