"""The counting identity of an Event, as hashes: the same for ever, since state and archive remember by them."""

import functools

import polars as pl
import xxhash


@functools.lru_cache(maxsize=4096)
def cluster_key(cluster_uid: str) -> int:
    """Return the ``cluster_key`` of a cluster (:data:`batcher.schema.CLOCKS`)."""
    return xxhash.xxh3_64_intdigest(cluster_uid.encode())


def identity_time() -> pl.Expr:
    """Return the time of the identity: the first of ``first`` and ``event_time`` that is told; empty: neither."""
    told = (pl.when(pl.col(name) != "").then(name) for name in ("first", "event_time"))
    return pl.coalesce(*told, pl.lit("")).alias("identity_time")


def identified(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``identity_high, identity_low``, a hash of the identity (:data:`batcher.schema.OCCURRENCE`).

    In: ``cluster_uid, namespace, name, identity_time, uid``; without a time, the uid tells one from another. The name,
    which may hold anything, is last.
    """
    uid = pl.concat_str(pl.lit("uid "), "uid")
    time = pl.when(pl.col("identity_time") == "").then(uid).otherwise("identity_time")
    text = pl.concat_str("cluster_uid", "namespace", time, "name", separator="\0")
    return (
        rows.with_columns(digest=text.cast(pl.Binary).map_batches(_digests, return_dtype=pl.Binary))
        .with_columns(identity_high=_number(0), identity_low=_number(8))
        .drop("digest")
    )


def _digests(texts: pl.Series) -> pl.Series:
    return pl.Series([xxhash.xxh3_128_digest(text) for text in texts.to_list()], dtype=pl.Binary)


def _number(first: int) -> pl.Expr:
    return pl.col("digest").bin.slice(first, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big")
