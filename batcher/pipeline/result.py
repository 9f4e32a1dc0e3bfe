"""From the frames that the stages gave to tables, changes of state and sums."""

from collections import Counter
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher import schema
from batcher.decode import Decoded
from batcher.pipeline.hits import rule_counts
from batcher.pipeline.rules import Rules
from batcher.pipeline.state import STATE_KEYS, Change, told_again_stays, with_others
from batcher.redact import redacted
from batcher.stages.enrich import with_labels
from batcher.stages.filter import cases
from batcher.stages.gaps import STREAM
from batcher.stages.render import Look, render
from batcher.telemetry import Fate, RuleCount


class Result(NamedTuple):
    """What a batch adds to the archive, what it changes in the state, and its sums."""

    tables: dict[str, pl.DataFrame]
    changes: dict[str, Change]
    sums: dict[str, int]
    clusters: dict[str, dict[str, int]]
    """By the cluster's name: events, occurrences, warnings (occurrences of that type), lag_ms, and where something was
    written first, publish_lag_ms (means)."""
    rules: tuple[RuleCount, ...] = ()
    """What each rule of the filter did, in the order in which they are asked."""


def result(
    decoded: Decoded,
    outcomes: pl.DataFrame,
    frames: dict[str, pl.DataFrame],
    *,
    batch: int,
    now: datetime,
    rules: Rules,
) -> Result:
    """Return the result of batch ``batch`` from ``frames``, which the stages gave by the names of ``run``."""
    slots, summaries = frames["slots"], frames["summaries"]
    ended = summaries.filter(pl.col("end").is_not_null())
    causes = _of_open_ones(frames["causes"], frames["open_before"], summaries)
    refused = ended.filter(pl.col("end") == "dead_lettered")
    message = redacted(pl.col("message"), rules.redact_archive)
    dead = _dead_letters(refused.with_columns(message), frames, batch=batch, now=now, look=rules.look)
    stamp = {"batch": pl.lit(batch, pl.Int64)}
    tables = {
        "occurrences": frames["occurrences"].with_columns(message),
        "summaries": with_labels(slots.lazy().filter("over"), rules.cluster_labels)
        .with_columns(message, **stamp, closed_at=pl.lit(now).cast(schema.TIME))
        .select(*schema.SUMMARIES)
        .collect(engine="in-memory"),
        "links": frames["links"],
        "dead_letters": dead,
        "incidents": frames["incidents"]
        .with_columns(**stamp, closed_at=pl.lit(now).cast(schema.TIME))
        .select(*schema.INCIDENTS),
        "gaps": frames["gaps"].with_columns(**stamp).select(*schema.GAPS),
        "quarantine": decoded.quarantined.with_columns(**stamp).select(*schema.QUARANTINE),
        "revivals": frames["revived"].with_columns(**stamp, at=pl.lit(now).cast(schema.TIME)).select(*schema.REVIVALS),
        "retries": frames["retries"].with_columns(**stamp, at=pl.lit(now).cast(schema.TIME)).select(*schema.RETRIES),
    }
    changes = {
        "seen": Change(frames["seen"].select(*schema.SEEN), frames["forgotten"]),
        "open_slots": Change(
            with_others(slots, frames["moved_slots"], STATE_KEYS["open_slots"], ~pl.col("over"), schema.OPEN_SLOTS),
            pl.concat([slots.filter(pl.col("over") & pl.col("held")), frames["left_slots"]], how="diagonal").select(
                STATE_KEYS["open_slots"]
            ),
        ),
        "open_summaries": Change(
            with_others(
                summaries, frames["moved_summaries"], ("summary",), pl.col("end").is_null(), schema.OPEN_SUMMARIES
            ),
            pl.concat([ended.select("summary"), frames["moved"].rename({"was": "summary"})]),
        ),
        "claims": Change(frames["claims"], frames["claims_gone"]),
        "objects": Change(frames["objects"], frames["objects_gone"]),
        "listings": Change(frames["listings"], frames["listings_gone"]),
        "served": told_again_stays("served", frames["served"], frames["served_gone"]),
        "nodes": told_again_stays("nodes", frames["nodes"], frames["nodes_gone"]),
        "definitions": Change(frames["definitions"], frames["definitions"].clear().select(STATE_KEYS["definitions"])),
        "places": Change(frames["places"], frames["places_gone"]),
        "members": Change(frames["members"], frames["members_gone"]),
        "presence": Change(frames["presence"], frames["presence_gone"]),
        "happenings": Change(frames["happenings"], frames["happenings_gone"]),
        "known_links": told_again_stays("known_links", frames["known_links"], frames["known_links_gone"]),
        "causes": Change(causes, pl.concat([frames["causes_gone"], ended.select("summary")])),
        "pods": told_again_stays("pods", frames["pods"], frames["pods_gone"]),
        "contacts": Change(frames["contacts"], frames["contacts"].clear().select(STREAM)),
        "clocks": Change(frames["clocks"], frames["clocks"].clear().select("cluster_key")),
    }
    sums = _sums(decoded, outcomes, frames, tables)
    row = {"batch": batch, "now": now, **sums}
    tables["batches"] = pl.DataFrame([[row[name] for name in schema.BATCHES]], schema=schema.BATCHES, orient="row")
    clusters = {row.pop("cluster"): row for row in frames["clusters"].iter_rows(named=True)}
    counts = rule_counts(frames["rules"], cases(rules.filter), rows=len(tables["occurrences"]), now=now)
    for cluster, lag in frames["publish_lag"].iter_rows():
        clusters.setdefault(cluster, {})["publish_lag_ms"] = lag
    return Result(tables, changes, sums, clusters, counts)


def _sums(
    decoded: Decoded, outcomes: pl.DataFrame, frames: dict[str, pl.DataFrame], tables: dict[str, pl.DataFrame]
) -> dict[str, int]:
    by_novelty = dict(frames["rows"].iter_rows())
    occurrences, summaries = tables["occurrences"], frames["summaries"]
    verdicts: Counter[str] = Counter()
    for verdict, rows in occurrences["verdict"].value_counts().iter_rows():
        verdicts[verdict.partition(":")[0]] += rows
    ends: dict[str, int] = dict(summaries["end"].drop_nulls().value_counts().iter_rows())
    ignored, quarantined = sum(decoded.ignored.values()), len(decoded.quarantined)
    fates = tables["retries"]["fate"]
    return {
        "received": len(decoded.lines) + ignored + quarantined,
        "retried": int((fates != Fate.QUARANTINED.value).sum()),
        "revisions": by_novelty.get(True, 0),
        "repeats": by_novelty.get(False, 0),
        "ignored": ignored + int((fates == Fate.IGNORED.value).sum()),
        "quarantined": quarantined,
        "occurrences": int(occurrences["grew"].sum()),
        "kept": verdicts["kept"],
        "unmapped": verdicts["unmapped"],
        "limited": verdicts["limited"],
        "archive_only": verdicts["archive-only"],
        "filtered": verdicts["filtered"],
        "opened": int(summaries["is_new"].sum()),
        "revived": len(tables["revivals"]),
        "published": ends.get("published", 0),
        "dead_lettered": ends.get("dead_lettered", 0),
        "archived": ends.get("archived", 0),
        "folded": int(frames["folded"].item()),
        "writes": int(outcomes["written"].sum()),
        "slots": len(tables["summaries"]),
        "incidents": len(tables["incidents"]),
        "links": len(tables["links"]),
        "gaps": len(tables["gaps"]),
    }


def _of_open_ones(causes: pl.DataFrame, before: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Those of ``causes`` whose summary goes on: no other has any use for them."""
    ended = changed.filter(pl.col("end").is_not_null())
    goes_on = pl.concat([before, changed.select("summary")]).join(ended, on="summary", how="anti")
    return causes.join(goes_on, on="summary", how="semi")


def _dead_letters(
    dead: pl.DataFrame, frames: dict[str, pl.DataFrame], *, batch: int, now: datetime, look: Look
) -> pl.DataFrame:
    if dead.is_empty():  # as in most batches, and a plan costs more than its rows
        return schema.empty(schema.DEAD_LETTERS)
    nodes, causes = frames["nodes_known"].lazy(), frames["causes_known"].lazy()
    events = render(dead.lazy(), nodes, now=now, look=look, causes=causes).select("summary", "event")
    return (
        dead.lazy()
        .join(events, on="summary")
        .with_columns(batch=pl.lit(batch, pl.Int64), died_at=pl.lit(now).cast(schema.TIME))
        .select(*schema.DEAD_LETTERS)
        .collect(engine="in-memory")
    )
