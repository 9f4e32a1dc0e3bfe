"""Names of what is the same: hashes over columns, the same today, tomorrow and after an upgrade.

polars' own ``hash()`` changes between its versions. Values are joined with their lengths, so that no text, whatever
it holds, makes two rows look alike.
"""

import hashlib
from collections.abc import Sequence

import polars as pl
import xxhash


def measured_text(value: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Return the length and the text of ``value``: joined, they cannot be read in two ways."""
    return value.str.len_bytes().cast(pl.String), value


def named(unambiguous: pl.Expr) -> pl.Expr:
    """128 bits of xxh3 over a text, in hex."""
    return unambiguous.map_batches(_xxh3, return_dtype=pl.String)


def keyed(*columns: str) -> pl.Expr:
    """64 bits of sha256 over columns of text, for rows of the state that are many.

    Not xxh3: who finds texts that it does not tell apart would have many for the price of one.
    """
    return _joined(columns).map_batches(_sha256, return_dtype=pl.UInt64)


def numbered(*columns: str) -> pl.Expr:
    """64 bits of xxh3 over columns of text, where it is no matter if somebody makes two alike."""
    return _joined(columns).map_batches(_xxh3_64, return_dtype=pl.UInt64)


def _joined(columns: Sequence[str]) -> pl.Expr:
    parts = [part for column in columns for part in measured_text(pl.col(column))]
    return pl.concat_str(parts, separator=" ")


def _xxh3(texts: pl.Series) -> pl.Series:
    return pl.Series([xxhash.xxh3_128_hexdigest(text.encode()) for text in texts.to_list()], dtype=pl.String)


def _xxh3_64(texts: pl.Series) -> pl.Series:
    return pl.Series([xxhash.xxh3_64_intdigest(text.encode()) for text in texts.to_list()], dtype=pl.UInt64)


def _sha256(texts: pl.Series) -> pl.Series:
    """Each text once: of many rows few differ."""
    different = texts.unique()
    digests = [hashlib.sha256(text.encode()).digest() for text in different.to_list()]
    hashes = pl.Series([int.from_bytes(digest[:8], "big") for digest in digests], dtype=pl.UInt64)
    return texts.replace_strict(different, hashes, return_dtype=pl.UInt64) if len(texts) else hashes
