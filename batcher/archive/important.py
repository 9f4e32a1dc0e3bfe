"""Which rows are kept longer: warnings of incidents, critical reasons, and what somebody has pinned.

A row tells no incident that it belongs to. Its namespace, cluster, reason and time do: what an incident's members had
in common with it is enough to keep it, so that rather too much of an incident is kept than too little. Pure: frames
in, frames out.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import polars as pl

from batcher.schema import TIME, Columns
from batcher.stages.grade import CRITICAL


class Pin(msgspec.Struct, frozen=True):
    """A period that is kept longer; an empty string asks for no restriction."""

    name: str
    since: datetime
    until: datetime
    cluster: str = ""
    namespace: str = ""
    """Of the cluster, or of the workspace."""
    workspace: str = ""


class Sight(NamedTuple):
    """What a table's rows are judged by: the columns of their reason, and of the time from and to which they tell."""

    reason: str
    begin: str
    end: str


SIGHTS = {
    "occurrences": Sight("reason", "received_at", "received_at"),
    "summaries": Sight("reason", "began_at", "last_at"),
    "dead_letters": Sight("reason", "began_at", "last_at"),
    "links": Sight("effect_reason", "effect_at", "effect_at"),
}
"""Tables of which only the important rows are kept; rows of others all are important."""

_PLACE = ("cluster", "target_namespace", "reason")

MARKS: Columns = {**dict.fromkeys(_PLACE, pl.String()), "incident_began": TIME, "incident_ended": TIME}
"""What belongs to incidents: warnings of a reason, in a namespace of the workspace, of a cluster, for a time."""

_MEMBERS = pl.List(pl.Struct({"reason": pl.String}))
_CLUSTERS = pl.List(pl.Struct({"cluster": pl.String}))


def marks(incidents: pl.LazyFrame) -> pl.DataFrame:
    """Return :data:`MARKS` of ``incidents`` (:data:`batcher.schema.INCIDENTS`): each place, with each reason."""
    members = pl.col("member_list").str.json_decode(_MEMBERS).list.eval(pl.element().struct.field("reason"))
    return (
        incidents.select(
            incident_began="began_at",
            incident_ended="ended_at",
            cluster=pl.col("clusters").str.json_decode(_CLUSTERS).list.eval(pl.element().struct.field("cluster")),
            target_namespace=pl.col("namespaces").str.json_decode(pl.List(pl.String)),
            reason=pl.concat_list(members, "reason").list.unique(),
        )
        .explode("cluster")
        .explode("target_namespace")
        .explode("reason")
        .select(*MARKS)
        .unique()
        .collect()
    )


def important(
    rows: pl.DataFrame, table: str, *, of_incidents: pl.DataFrame, critical: Sequence[str], pins: Sequence[Pin]
) -> pl.DataFrame:
    """Return the important ones of ``rows`` of ``table``; all of a table that is not in :data:`SIGHTS`."""
    sight = SIGHTS.get(table)
    if sight is None:
        return rows
    numbered = rows.with_row_index("row_")
    wanted = _is_pinned(rows.columns, sight, pins) | _is_critical(sight, critical)
    chosen = [numbered.filter(wanted).select("row_"), _of_incidents(numbered, table, sight, of_incidents)]
    return numbered.join(pl.concat(chosen), on="row_", how="semi").drop("row_")


def _is_critical(sight: Sight, critical: Sequence[str]) -> pl.Expr:
    return pl.col(sight.reason).is_in([*CRITICAL, *critical]).fill_null(value=False)


def _of_incidents(numbered: pl.DataFrame, table: str, sight: Sight, of_incidents: pl.DataFrame) -> pl.DataFrame:
    warnings = numbered if table == "links" else numbered.filter(pl.col("type") == "Warning")
    said = warnings.select("row_", "cluster", "target_namespace", reason=sight.reason, begin=sight.begin, end=sight.end)
    return (
        said.join(of_incidents, on=_PLACE)
        .filter(pl.col("begin") <= pl.col("incident_ended"), pl.col("end") >= pl.col("incident_began"))
        .select("row_")
    )


def _is_pinned(columns: Sequence[str], sight: Sight, pins: Sequence[Pin]) -> pl.Expr:
    spaces = [name for name in ("namespace", "target_namespace", "regarding_namespace") if name in columns]
    found = pl.lit(value=False)
    for pin in pins:
        within = (pl.col(sight.begin) <= pin.until) & (pl.col(sight.end) >= pin.since)
        if pin.cluster:
            within &= pl.col("cluster") == pin.cluster
        if pin.workspace:
            within &= pl.col("workspace") == pin.workspace
        if pin.namespace:
            within &= pl.any_horizontal(pl.col(spaces) == pin.namespace)
        found |= within.fill_null(value=False)
    return found
