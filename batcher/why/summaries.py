"""The summaries that count a row, and how far each has come.

Open ones are in the state, ended ones in the archive, a row a slot; what a workspace did not take is a dead letter too.
A row is counted by the summary of its key that went on when it was received, or, if too much was told then, by one of
those that tell things together.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.pipeline import Rules, State
from batcher.schema import MEASURES, NOBODYS, OPEN_SUMMARIES, SESSION, completed
from batcher.stages.fold import ALL, FOLDED_REASON
from batcher.stages.render import render
from batcher.telemetry import SummaryKind
from batcher.why.meanings import Counted, Ending
from batcher.why.rows import KEY

_HOUR = "%Y-%m-%dT%HZ"
"""As :mod:`batcher.stages.fold` writes it into templates."""


class Known(NamedTuple):
    """All summaries that may count the rows that are asked about."""

    open: pl.DataFrame
    """:data:`batcher.schema.OPEN_SUMMARIES`."""
    over: pl.DataFrame
    """The same columns, and ``closed_at``."""
    refusals: Mapping[str, str]
    """Of dead letters, by summary."""
    names: Mapping[str, str]
    """Of their Events."""


def known(
    directory: DataDirectory, state: State, rules: Rules, rows: pl.DataFrame, dead: Mapping[str, str], now: datetime
) -> Known:
    """Return the summaries that went on while ``rows`` were received, in their clusters.

    Raises :class:`batcher.errors.ArchiveError`.
    """
    begin, end = rows["received_at"].min(), rows["received_at"].max()
    clusters = [*rows["cluster_uid"].unique(), ""]
    near = pl.col("cluster_uid").is_in(clusters) & (pl.col("began_at") <= end) & (pl.col("last_at") >= begin)
    open_ = state["open_summaries"].filter(near)

    def look() -> pl.DataFrame:
        staged = staged_paths(directory)["summaries"]
        slots = scan(directory.archive, "summaries", staged, since=begin)  # type: ignore[arg-type]
        whole = slots.filter(pl.col("cluster_uid").is_in(clusters)).sort("position", "slot")
        return (
            whole.group_by("summary", *SESSION, maintain_order=True)
            .agg(
                pl.col("last_at", "last_seen", "closed_at").max(), pl.min("first_seen"), pl.sum("occurrences"),
                pl.col(name for name in MEASURES if name not in _FOLDED).last(),
            )
            .filter(near)
            .collect(engine="in-memory")
        )  # fmt: skip

    ended = settled(look).join(open_, on="summary", how="anti")
    closed = ended.select("summary", "closed_at")
    over = completed(ended, OPEN_SUMMARIES).with_columns(pl.col(pl.String).fill_null("")).join(closed, on="summary")
    every = pl.concat([open_.select(*OPEN_SUMMARIES), over.select(*OPEN_SUMMARIES)])
    names = render(every.lazy(), state["nodes"].lazy(), now=now, look=rules.look).select("summary", "name").collect()
    return Known(open_, over, dead, dict(names.iter_rows()))


_FOLDED = {"last_at", "last_seen", "first_seen", "occurrences"}


def counting(every: Known, key: Mapping[str, Any], namespace: str, hold: timedelta) -> list[Counted]:
    """Return the summaries that count the row with ``key``, of :data:`batcher.why.rows.KEY` and ``received``."""
    for condition in _conditions(key, namespace):
        open_ = [_open(row, every, hold) for row in every.open.filter(condition).iter_rows(named=True)]
        over = [_over(row, every) for row in every.over.filter(condition).iter_rows(named=True)]
        if open_ or over:
            return [*open_, *over]
    return []


def _conditions(key: Mapping[str, Any], namespace: str) -> list[pl.Expr]:
    """Its own summary, or that of its source; else that of its reason, then of its namespace, then of its workspace, in
    which all is told that was too much. Last, one that an older version or other settings gave another template.
    """
    received = key["received"]
    hour = f"{received:{_HOUR}}"
    here = (pl.col("cluster_uid") == key["cluster_uid"]) & (pl.col("namespace") == namespace)
    folded = pl.col("kind") == SummaryKind.FOLDED.value
    same = (pl.col("reason") == key["reason"]) & (pl.col("type") == key["type"])
    all_ = folded & (pl.col("template") == hour + ALL) & (pl.col("reason") == FOLDED_REASON)
    by_reason = here & folded & same & (pl.col("template") == hour)
    conditions = [by_reason, here & all_, all_ & (pl.col("cluster_uid") == "")]
    if key["kind"] == SummaryKind.PLAIN.value:
        equal = pl.all_horizontal(pl.col(name) == key[name] for name in KEY)
        goes_on = (pl.col("began_at") <= received) & (pl.col("last_at") >= received)
        alike = pl.all_horizontal(pl.col(name) == key[name] for name in KEY if name != "template")
        return [equal & goes_on, *conditions, alike & goes_on]
    held = f"{hour} {key['template']}"
    return [here & (pl.col("kind") == key["kind"]) & (pl.col("template") == held), *conditions]


def _counted(row: Mapping[str, Any], every: Known, ending: Ending, **more: Any) -> Counted:
    return Counted(
        summary=row["summary"],
        kind=SummaryKind(row["kind"]),
        ending=ending,
        workspace=row["workspace"],
        namespace=row["target_namespace"],
        event=every.names.get(row["summary"], ""),
        about=f"{row['regarding_kind'].lower()}/{row['regarding_name']}",
        reason=row["reason"],
        occurrences=row["occurrences"],
        began_at=row["began_at"],
        last_at=row["last_at"],
        incident=row["incident"],
        elsewhere=bool(row["origin"]),
        **more,
    )


def _open(row: Mapping[str, Any], every: Known, hold: timedelta) -> Counted:
    ending = _goes_on(row)
    return _counted(
        row,
        every,
        ending,
        writes=row["writes"],
        written_at=row["written_at"],
        behind=row["version"] > row["written_version"],
        refusal=row["refusal"],
        waits_until=row["last_at"] + hold if ending is Ending.WAITING else None,
    )


def _goes_on(row: Mapping[str, Any]) -> Ending:
    if not row["workspace"]:
        return Ending.NOBODYS if row["unmapped_uid"] == NOBODYS else Ending.WAITING
    if row["refusal"]:
        return Ending.REFUSED
    return Ending.PUBLISHED if row["writes"] else Ending.PENDING


def _over(row: Mapping[str, Any], every: Known) -> Counted:
    refusal = every.refusals.get(row["summary"], "")
    ending = Ending.DEAD_LETTERED if refusal else Ending.ENDED if row["workspace"] else Ending.ARCHIVED
    return _counted(row, every, ending, closed_at=row["closed_at"], refusal=refusal)
