"""Prove the sums: that every delivered line is accounted for, exactly once.

Reads the archive, the staged files and the last commit, and adds up again what the batches said of
themselves. Changes nothing, and may run beside a service. The sums are those of the promise:
``received = revisions + repeats + ignored + quarantined``, one verdict a revision, one end a summary.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from batcher.archive.read import scan, settled
from batcher.batch import DataDirectory
from batcher.batch.process import latest, staged_paths
from batcher.schema import REVISION, SUMS


class Check(NamedTuple):
    """One sum: what was compared, whether it holds, and if not the first batch that differs and how."""

    name: str
    ok: bool
    detail: str


def verify(directory: DataDirectory, archive: Path) -> list[Check]:
    """Return every check over what is on disk, in the order of a line's way through the system.

    Raises :class:`batcher.errors.ArchiveError` if a file is missing or cannot be read.
    """
    return settled(lambda: _verify(directory, archive))


def _verify(directory: DataDirectory, archive: Path) -> list[Check]:
    last, state = latest(directory)
    paths = staged_paths(directory)

    def table(name: str) -> pl.LazyFrame:
        return scan(archive, name, paths[name]).filter(pl.col("batch") <= last.batch)

    batches = table("batches").sort("batch").collect()
    occurrences = table("occurrences")
    totals = {name: int(batches[name].sum()) for name in SUMS}
    return [
        _numbers(batches, last.batch),
        *_per_batch(batches),
        _rows(batches, occurrences.group_by("batch").agg(pl.len()), "revisions", "rows of occurrences"),
        _rows(batches, occurrences.group_by("batch").agg(pl.sum("grew")), "occurrences", "sum of grew"),
        *(_verdict(batches, occurrences, verdict) for verdict in ("kept", "unmapped")),
        _once(occurrences),
        _rows(
            batches.filter(pl.col("batch") >= last.first),  # those of a directory that was lost are lost with it
            _quarantined(paths["quarantine"], last.batch),
            "quarantined",
            "quarantined lines",
        ),
        _rows(batches, _count(table("summaries")), "slots", "rows of summaries"),
        _rows(
            batches,
            _count(table("dead_letters")),
            "dead_lettered",
            "dead letters",
        ),
        _rows(batches, _count(table("gaps")), "gaps", "rows of gaps"),
        _compare("totals of the last commit = sums of all batches", last.totals, totals),
        _ends(totals, len(state["open_summaries"])),
    ]


def _numbers(batches: pl.DataFrame, last: int) -> Check:
    """Every batch up to the last commit has its row, once."""
    missing = sorted(set(range(1, last + 1)) ^ set(batches["batch"].to_list()))
    twice = batches["batch"].is_duplicated().any()
    detail = f"batch {missing[0]} is missing or too many" if missing else "a batch is there twice" if twice else ""
    return Check(f"batches 1 to {last} are archived once", not (missing or twice), detail)


def _per_batch(batches: pl.DataFrame) -> Iterator[Check]:
    sums = {
        "received": ("revisions", "repeats", "ignored", "quarantined"),
        "revisions": ("kept", "unmapped"),
    }
    for total, parts in sums.items():
        wrong = batches.filter(pl.col(total) != pl.sum_horizontal(parts))
        detail = f"batch {wrong['batch'][0]}: {total} is {wrong[total][0]}" if len(wrong) else ""
        yield Check(f"{total} = {' + '.join(parts)}", not detail, detail)


def _rows(batches: pl.DataFrame, counted: pl.LazyFrame, column: str, what: str) -> Check:
    """``counted`` has columns batch and one number, which must be the batch's ``column``."""
    found = counted.collect()
    found.columns = ["batch", "found"]
    both = batches.select("batch", said=column).join(found, on="batch", how="full", coalesce=True).fill_null(0)
    wrong = both.filter(pl.col("said") != pl.col("found")).sort("batch")
    detail = f"batch {wrong['batch'][0]}: {wrong['said'][0]} said, {wrong['found'][0]} found" if len(wrong) else ""
    return Check(f"{column} = {what}", not detail, detail)


def _count(table: pl.LazyFrame) -> pl.LazyFrame:
    return table.group_by("batch").agg(pl.len())


def _verdict(batches: pl.DataFrame, occurrences: pl.LazyFrame, verdict: str) -> Check:
    return _rows(
        batches,
        _count(occurrences.filter(pl.col("verdict") == verdict)),
        verdict,
        f"rows with verdict {verdict}",
    )


def _once(occurrences: pl.LazyFrame) -> Check:
    twice = (
        occurrences.with_columns(pl.col("incarnation").fill_null(0))
        .group_by(REVISION)
        .agg(pl.len(), pl.min("batch"))
        .filter(pl.col("len") > 1)
        .sort("batch")
        .collect()
    )
    detail = f"batch {twice['batch'].to_list()[0]}: {len(twice)} revisions are there twice" if len(twice) else ""
    return Check("each revision once", not detail, detail)


def _quarantined(paths: list[Path], last: int) -> pl.LazyFrame:
    if not paths:
        return pl.LazyFrame(schema={"batch": pl.Int64, "len": pl.UInt32})
    return _count(pl.scan_parquet(paths, hive_partitioning=False).filter(pl.col("batch") <= last))


def _compare(name: str, said: dict[str, int], found: dict[str, int]) -> Check:
    wrong = [f"{key}: {said[key]} said, {found[key]} found" for key in said if said[key] != found[key]]
    return Check(name, not wrong, "; ".join(wrong))


def _ends(totals: dict[str, int], open_now: int) -> Check:
    ended = totals["published"] + totals["dead_lettered"] + totals["archived"]
    detail = (
        f"{totals['opened']} opened, {ended} ended, {open_now} open" if totals["opened"] != ended + open_now else ""
    )
    return Check("summaries opened = published + dead-lettered + archived + open", not detail, detail)
