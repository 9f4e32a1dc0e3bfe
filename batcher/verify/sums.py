"""The sums of the promise, added up again from what is on disk.

Reads the archive, the staged files and the commits, and adds up again what the batches said of themselves.
The sums are ``received + retried = revisions + repeats + ignored + quarantined``, one verdict a revision, one
end a summary. Batches of which retention or a purge has removed rows are left out where rows are counted; their own
sums are not. Nothing is computed again from what was received: that is :mod:`batcher.verify.recompute`'s.
"""

from collections.abc import Iterator

import polars as pl

from batcher.archive.read import scan
from batcher.archive.removals import Removals, removals
from batcher.batch import Commit, DataDirectory
from batcher.batch.process import staged_paths
from batcher.batch.quarantine import collected, left, quarantined, retries, revivals
from batcher.pipeline import State
from batcher.schema import REVISION, SUMS
from batcher.stages.filter import kind_of_verdict
from batcher.store import Root
from batcher.telemetry import Verdict
from batcher.verify.check import Check, first_difference

_EQUAL = (
    (("received", "retried"), ("revisions", "repeats", "ignored", "quarantined")),
    (("revisions",), ("kept", "unmapped", "limited", "archive_only", "filtered")),
)


def check_sums(directory: DataDirectory, archive: Root, last: Commit, state: State) -> list[Check]:
    """Return every check over the batches up to ``last``, in the order of a line's way through the system."""
    paths = staged_paths(directory)

    def table(name: str) -> pl.LazyFrame:
        return scan(archive, name, paths[name]).filter(pl.col("batch") <= last.batch)

    batches = table("batches").sort("batch").with_columns(pl.col(SUMS).fill_null(0)).collect()
    removed = removals(archive)
    occurrences = table("occurrences")
    whole = batches.filter(~removed.of(pl.col("batch")))
    own = whole.filter(pl.col("batch") >= last.first)  # what a lost directory had in quarantine is lost with it
    totals = {name: int(batches[name].sum()) for name in SUMS}

    def rows(said: pl.DataFrame, counted: pl.LazyFrame, column: str, what: str) -> Check:
        return _rows(said, counted.filter(~removed.of(pl.col("batch"))), column, what)

    return [
        *_left_out(removed),
        _numbers(batches, last.batch, added_up=removed.added_up),
        *_per_batch(batches),
        _commits(directory, batches.filter(pl.col("batch") > removed.added_up), last.batch),
        rows(whole, occurrences.group_by("batch").agg(pl.len()), "revisions", "rows of occurrences"),
        rows(whole, occurrences.group_by("batch").agg(pl.sum("grew")), "occurrences", "sum of grew"),
        *(rows(whole, *_with_verdict(occurrences, verdict), f"rows with verdict {verdict}") for verdict in Verdict),
        _once(occurrences),
        rows(own, _counted(quarantined(directory, last.batch)), "quarantined", "quarantined lines"),
        rows(own, _counted(left(retries(directory, last.batch))), "retried", "lines that left quarantine"),
        _left_once(directory, last.batch),
        rows(own, _counted(revivals(directory, last.batch)), "revived", "dead letters that were retried"),
        rows(whole, _count(table("summaries")), "slots", "rows of summaries"),
        rows(whole, _count(table("links")), "links", "rows of links"),
        rows(whole, _count(table("dead_letters")), "dead_lettered", "dead letters"),
        rows(whole, _count(table("incidents")), "incidents", "rows of incidents"),
        rows(whole, _count(table("gaps")), "gaps", "rows of gaps"),
        _compare("totals of the last commit = sums of all batches", last.totals, totals),
        _ends(totals, len(state["open_summaries"])),
    ]


def _left_out(removed: Removals) -> Iterator[Check]:
    if removed.through or removed.purged:
        parts = [f"up to {removed.through:,} by retention"] if removed.through else []
        parts += [f"{len(removed.purged):,} by a purge"] if removed.purged else []
        yield Check("rows of batches that were removed are not counted", ok=True, detail=", ".join(parts))


def _numbers(batches: pl.DataFrame, last: int, *, added_up: int) -> Check:
    """Every batch up to the last commit has its row, once; those up to ``added_up`` were added up by retention."""
    batches = batches.filter(pl.col("batch") > added_up)
    missing = sorted(set(range(added_up + 1, last + 1)) ^ set(batches["batch"].to_list()))
    twice = batches["batch"].is_duplicated().any()
    name = f"batches {added_up + 1} to {last} are archived once"
    if missing:
        return Check(name, ok=False, detail=f"batch {missing[0]} is missing or too many", batch=missing[0])
    if twice:
        batch = int(batches["batch"].filter(batches["batch"].is_duplicated())[0])
        return Check(name, ok=False, detail=f"batch {batch} is there twice", batch=batch)
    return Check(name, ok=True)


def _per_batch(batches: pl.DataFrame) -> Iterator[Check]:
    for totals, parts in _EQUAL:
        both = batches.select("batch", total=pl.sum_horizontal(totals), parts=pl.sum_horizontal(parts))
        wrong = both.filter(pl.col("total") != pl.col("parts"))
        name = f"{' + '.join(totals)} = {' + '.join(parts)}"
        yield first_difference(name, ((batch, f"{total} is not {sum_}") for batch, total, sum_ in wrong.iter_rows()))


def _commits(directory: DataDirectory, batches: pl.DataFrame, last: int) -> Check:
    """What is still here of the commits says the same as the archive, and each goes on from the one before."""
    rows = {row["batch"]: row for row in batches.iter_rows(named=True)}
    commits = [commit for commit in directory.commits() if commit.batch <= last]
    before = {commit.batch + 1: commit.totals for commit in commits}
    wrong = (
        (commit.batch, how)
        for commit in commits
        for how in _commit(commit, rows.get(commit.batch, commit.sums), before.get(commit.batch))
    )
    return first_difference("sums of each commit = its row of batches = what its totals grew by", wrong)


def _commit(commit: Commit, row: dict[str, int], before: dict[str, int] | None) -> Iterator[str]:
    for name, committed in commit.sums.items():
        if row[name] != committed:
            yield f"{name}: {committed} committed, {row[name]} found"
        grew = committed if before is None else commit.totals[name] - before.get(name, 0)
        if grew != committed:
            yield f"{name}: {committed} committed, {grew} added to its total"


def _rows(batches: pl.DataFrame, counted: pl.LazyFrame, column: str, what: str) -> Check:
    """``counted`` has columns batch and one number, which must be the batch's ``column``."""
    found = counted.collect()
    found.columns = ["batch", "found"]
    both = batches.select("batch", said=column).join(found, on="batch", how="full", coalesce=True).fill_null(0)
    wrong = both.filter(pl.col("said") != pl.col("found")).sort("batch")
    told = ((batch, f"{said} said, {found} found") for batch, said, found in wrong.iter_rows())
    return first_difference(f"{column} = {what}", told)


def _count(table: pl.LazyFrame) -> pl.LazyFrame:
    return table.group_by("batch").agg(pl.len())


def _counted(table: pl.LazyFrame) -> pl.LazyFrame:
    return collected(_count(table)).lazy()


def _with_verdict(occurrences: pl.LazyFrame, verdict: Verdict) -> tuple[pl.LazyFrame, str]:
    """Return how many rows of each batch have ``verdict``, and the column that says so."""
    return _count(occurrences.filter(kind_of_verdict() == verdict.value)), verdict.replace("-", "_")


def _once(occurrences: pl.LazyFrame) -> Check:
    twice = (
        occurrences.with_columns(pl.col("incarnation").fill_null(0))
        .group_by(REVISION)
        .agg(pl.len(), pl.min("batch"))
        .filter(pl.col("len") > 1)
        .sort("batch")
        .collect()
    )
    told = ((batch, f"{len(twice)} revisions are there twice") for batch in twice["batch"])
    return first_difference("each revision once", told)


def _left_once(directory: DataDirectory, last: int) -> Check:
    """A line leaves quarantine once, in a batch after the one that it came in."""
    came = quarantined(directory, last).select("position", came="batch")
    gone = left(retries(directory, last)).join(came, on="position", how="left").sort("batch", "position")
    again = pl.int_range(pl.len()).over("position") > 0
    wrong = collected(gone.filter(again | pl.col("came").is_null() | (pl.col("came") >= pl.col("batch"))))
    told = ((batch, f"line {position}") for batch, position in wrong.select("batch", "position").iter_rows())
    return first_difference("each line leaves quarantine once, after it came", told)


def _compare(name: str, said: dict[str, int], found: dict[str, int]) -> Check:
    wrong = [f"{key}: {said[key]} said, {found[key]} found" for key in said if said[key] != found[key]]
    return Check(name, not wrong, "; ".join(wrong))


def _ends(totals: dict[str, int], open_now: int) -> Check:
    ended = totals["published"] + totals["dead_lettered"] + totals["archived"]
    begun = totals["opened"] + totals["revived"]
    detail = f"{begun} opened or revived, {ended} ended, {open_now} open" if begun != ended + open_now else ""
    return Check("summaries opened + revived = published + dead-lettered + archived + open", not detail, detail)
