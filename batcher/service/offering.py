"""Between the state and the publisher: which summaries are to be written, and what became of them."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import polars as pl

from batcher.batch import OutcomeRecord
from batcher.pipeline import State
from batcher.publish import Outcome, Result, Write
from batcher.stages.render import Look, render
from batcher.stages.settle import due

Has = Callable[[str, str, int], bool]
"""Whether a version of a summary is told or waits already (:meth:`batcher.publish.Publisher.has`)."""


def has_none(workspace: str, summary: str, version: int) -> bool:  # noqa: ARG001  as Has has it
    """Return that nothing was offered."""
    return False


def offers(
    state: State,
    *,
    now: datetime,
    look: Look,
    rewrite_after: timedelta,
    rewrite_most: timedelta,
    has: Has = has_none,
) -> list[Write]:
    """Return the writes that are due (:func:`batcher.stages.settle.due`), oldest key first, but those it ``has``."""
    open_ = state["open_summaries"].lazy()
    chosen = due(open_, now=now, rewrite_after=rewrite_after, rewrite_most=rewrite_most).collect(engine="in-memory")
    had = [has(*row) for row in chosen.select("workspace", "summary", "version").iter_rows()]
    chosen = chosen.filter(~pl.Series(had, dtype=pl.Boolean))
    if chosen.is_empty():
        return []
    events = render(chosen.lazy(), state["nodes"].lazy(), now=now, look=look, causes=state["causes"].lazy())
    return _writes(events.collect(engine="in-memory"))


def unpublished_since(state: State) -> datetime | None:
    """Return when the summary began that waits longest for its first write; None if none waits."""
    never = (pl.col("workspace") != "") & pl.col("written_at").is_null()
    began = state["open_summaries"].lazy().filter(never).select(pl.col("began_at").min())
    oldest: datetime | None = began.collect(engine="in-memory").item()
    return oldest


def _writes(events: pl.DataFrame) -> list[Write]:
    columns = ("summary", "version", "workspace", "namespace", "name", "event", "resource_version")
    decode = msgspec.json.decode
    return [
        Write(summary, version, workspace, namespace, name, decode(event), resource_version)
        for summary, version, workspace, namespace, name, event, resource_version in events.select(columns).iter_rows()
    ]


def record(outcome: Outcome) -> OutcomeRecord:
    """Return ``outcome`` as a plan has it."""
    written = outcome.result is Result.WRITTEN
    return OutcomeRecord(
        outcome.summary, outcome.version, outcome.resource_version, written, outcome.reason, outcome.at
    )
