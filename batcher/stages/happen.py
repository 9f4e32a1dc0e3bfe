"""What rows say that may be a cause or an effect: one row a happening and minute, with all that rules join by.

Not the summaries: one stands for every Pod of a workload, and what a node does is done to some of them. Not the rows
either: a Pod that fails ten times a minute has failed for one reason. So a happening is an object and a reason within
a minute, the first row that says it, and at most :data:`MOST` objects of a namespace a minute: what bounds the state
is how much can be looked at, not how much is said.

A row's own time is by its emitter's clock; it is never taken to be after its receipt. Nothing here links anything.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from batcher.causes import ABOUT, LONGEST_LAG, CauseRule, reasons
from batcher.schema import HAPPENED, HAPPENINGS, ROOT, TIME
from batcher.stages import details
from batcher.stages.enrich import regard_owner
from batcher.stages.generated import NUMBER, RANDOM, without
from batcher.stages.once import once

SKEW = timedelta(seconds=30)
"""Between two clocks of a cluster: a cause may look so much later than its effect."""
LATENESS = timedelta(minutes=2)
"""From a happening to its receipt, as long as its cluster is in reach."""
MOST = 100
"""Objects that something is known to happen to in a namespace a minute, warnings and others each."""

ONE_MINUTE = timedelta(minutes=1)
LINKED_WITHIN = 2 * (LONGEST_LAG + LATENESS + ONE_MINUTE) + SKEW
"""After so long nothing can be a cause or an effect any more."""
_NO_TIME = timedelta(0)
_IN_MINUTE = (*HAPPENED, "minute", "happened_minute")
_GROUP = ("cluster_uid", "regarding_namespace", "is_warning", "minute")
_MENTIONED = r"^(?:Created|Deleted) (?:pod|job):? (\S+)$"
_OF_STATEFUL_SET = r"^(?:create|delete) Pod (\S+) in StatefulSet"
_PROVISIONED = r'\bvolume "(pvc-[0-9a-f]{8}-[0-9a-f-]{27})"'
_SUFFIX = f"(?:{NUMBER})?{RANDOM}"
"""What ``generateName`` appends, also behind the minute that a CronJob put there."""
_ORDINAL = "-[0-9]{1,5}"
_NOTHING = {pl.String: "", pl.Int64: 0, pl.Float64: 1.0, TIME: datetime(1970, 1, 1, tzinfo=UTC)}
NO_ROOT = {name: pl.lit(_NOTHING[kind]).cast(kind) for name, kind in ROOT.items()}
"""What stands in the columns of a root that is not known."""


def happen(rows: pl.LazyFrame, known: pl.LazyFrame, *, rules: Sequence[CauseRule], owner: bool) -> pl.LazyFrame:
    """Return the happenings that ``rows`` are the first to tell of; ``node`` and ``summary`` may be empty as yet.

    In: located rows of the batch (:data:`batcher.schema.OCCURRENCES`), :data:`batcher.schema.HAPPENINGS` of the
    state. Out: :data:`batcher.schema.HAPPENINGS`, without a root. ``owner``: whether summaries are about owners.
    """
    told = rows.filter((pl.col("grew") > 0) & pl.col("reason").is_in(sorted(reasons(rules))))
    timed = _minutes(
        once(told, "reason", "message", about=_about()).with_columns(
            happened_at=pl.min_horizontal("last_at", "received_at"),
            is_warning=pl.col("type") == "Warning",
        )
    )
    before = _minutes(known).select(*_IN_MINUTE, "is_warning")
    first = timed.sort("position").unique(_IN_MINUTE, keep="first", maintain_order=True)
    new = first.join(before, on=_IN_MINUTE, how="anti", maintain_order="left")
    return (
        with_things(_few(new, before), owner=owner)
        .with_columns(summary=pl.lit(""), **_times(rules), **NO_ROOT)
        .select(*HAPPENINGS)
    )


def _about() -> pl.Expr:
    cases = []
    for meaning in ABOUT:
        text = pl.when(pl.col("reason").is_in(meaning.reasons)).then("message")
        said = text.str.contains(meaning.pattern) if meaning.pattern else text.is_not_null()
        cases.append(pl.when(said).then(pl.lit(meaning.about)))
    return pl.coalesce(*cases, pl.lit(""))


def _minutes(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Two minutes name a happening: a list tells at once of what took hours."""
    return rows.with_columns(
        minute=pl.col("received_at").dt.truncate("1m"), happened_minute=pl.col("happened_at").dt.truncate("1m")
    )


def _few(new: pl.LazyFrame, before: pl.LazyFrame) -> pl.LazyFrame:
    """The first :data:`MOST` of each group by position, those of the state counted."""
    had = before.group_by(_GROUP).agg(had=pl.len())
    number = pl.int_range(pl.len()).over(_GROUP) + pl.col("had").fill_null(0)
    return new.join(had, on=_GROUP, how="left", maintain_order="left").filter(number < MOST)


def with_things(rows: pl.LazyFrame, *, owner: bool) -> pl.LazyFrame:
    """Add what rows have in common with others (``owner, node, volume, image, other_kind, other_name``; empty: nothing
    is known), and ``told_kind, told_name``, the object that summaries are about.
    """
    made = pl.when(pl.col("reason").is_in(["SuccessfulCreate", "SuccessfulDelete"])).then(
        pl.coalesce(pl.col("message").str.extract(_MENTIONED), pl.col("message").str.extract(_OF_STATEFUL_SET))
    )
    made_kind = pl.when(pl.col("message").str.starts_with("Created job")).then(pl.lit("Job")).otherwise(pl.lit("Pod"))
    text = pl.col("message")
    named = pl.coalesce(details.named_volume(text), text.str.extract(_PROVISIONED))
    known = once(rows, "message", made_of=named, image=details.image(text).fill_null("")).with_columns(
        node=details.node().fill_null(""),
        volume=details.volume(pl.col("made_of")).fill_null(""),
        other_kind=pl.when(made.is_not_null()).then(made_kind).otherwise("related_kind"),
        other_name=pl.coalesce(made, "related_name"),
        own_kind="regarding_kind",
        own_name="regarding_name",
    )
    told = "regarding" if owner else "own"
    return (
        regard_owner(known)
        .with_columns(owner=_workload(), told_kind=f"{told}_kind", told_name=f"{told}_name")
        .with_columns(regarding_kind="own_kind", regarding_name="own_name")
    )


def _workload() -> pl.Expr:
    """The name that objects of one workload have in common: wrong now and then, and never told to anybody."""
    name, kind = pl.col("regarding_name"), pl.col("regarding_kind")
    of_pod, of_job = (pl.when(kind == each).then(name) for each in ("Pod", "Job"))
    return pl.coalesce(without(of_pod, _SUFFIX), without(of_pod, _ORDINAL), without(of_job, NUMBER), name)


def _times(rules: Sequence[CauseRule]) -> dict[str, pl.Expr]:
    """When the cause of a happening is chosen, and until when it may be one itself, by the lags of its rules.

    Full minutes, so that choosing is done once a minute. What may be a cause is kept until the last effect is judged
    that may still name it, and anything until what was received before it is: it may say where that was.
    """
    waits: dict[str, timedelta] = {}
    keeps: dict[str, timedelta] = {}
    for rule in rules:
        for reason in rule.effect.reasons:
            waits[reason] = max(waits.get(reason, _NO_TIME), rule.largest_lag + SKEW + LATENESS + ONE_MINUTE)
    for rule in rules:
        needed = rule.largest_lag + LATENESS + ONE_MINUTE + max(waits[reason] for reason in rule.effect.reasons)
        for reason in rule.cause.reasons:
            keeps[reason] = max(keeps.get(reason, _NO_TIME), needed)
    received, wait, longest = pl.col("received_at"), _by_reason(waits), max(waits.values(), default=_NO_TIME)
    return {
        "is_judged": wait.is_null(),
        "due_at": (received + wait).dt.truncate("1m").fill_null(received),
        "kept_until": received + pl.max_horizontal(_by_reason(keeps), pl.lit(longest)),
    }


def _by_reason(durations: dict[str, timedelta]) -> pl.Expr:
    return pl.col("reason").replace_strict(
        list(durations), list(durations.values()), default=None, return_dtype=pl.Duration("us")
    )
