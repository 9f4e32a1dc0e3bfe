"""Every namespace that is known, with its target: from what Namespaces say, and else from open summaries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import polars as pl

from batcher.batch import DataDirectory
from batcher.batch.process import latest, rules_of_last
from batcher.clock import from_micros
from batcher.pipeline import Rules, State
from batcher.stages.locate import FLAW, LABELS, LABELS_FLAW, LOCATOR, decide, with_claims

_NAMESPACE = ("cluster_uid", "namespace")
_LAST = 2**63 - 1
"""Behind every position: what counts is what was said last."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace and its target; empty: none."""

    cluster: str
    cluster_uid: str
    namespace: str
    uid: str
    """Of its Namespace; empty: none was heard of."""
    workspace: str
    target_namespace: str
    source: str
    """What decided: ``locator``, ``rules[0]``, ``cluster``, or nothing."""
    allowed: bool
    """Whether ``kcp.workspaces`` allows what was decided; if not, there is no target."""
    flaw: str
    """A :class:`batcher.mapping.Flaw`; empty where locators are not trusted."""
    claimed_workspace: str
    """What its locator says, believed or not."""
    claimed_namespace: str
    sync_target: str
    since: datetime
    """Since when it says so; of one of which nothing was heard, when its oldest open summary began."""
    gone_at: datetime | None
    """When it was deleted."""


class AsOf(NamedTuple):
    """The last commit, and the rules by which the batch after it would be run."""

    now: datetime
    state: State
    rules: Rules


def as_of_last(directory: DataDirectory) -> AsOf:
    """Return what the last commit left. Raises :class:`batcher.errors.UsageError` if there was no batch yet."""
    rules = rules_of_last(directory)
    commit, state = latest(directory)
    return AsOf(from_micros(commit.now), state, rules)


def known(directory: DataDirectory, *, cluster: str = "", flawed: bool = False, gone: bool = False) -> list[Known]:
    """Return the namespaces, by cluster and name; only of ``cluster``, only ``flawed`` ones, also those that are gone.

    Raises :class:`batcher.errors.UsageError` if there was no batch yet.
    """
    return [
        each
        for each in all_known(as_of_last(directory))
        if cluster in {"", each.cluster} and (each.flaw or not flawed) and (gone or each.gone_at is None)
    ]


def all_known(at: AsOf) -> list[Known]:
    """Return all namespaces, by cluster and name."""
    decided = decide(asked(at), at.rules.mapping, at.rules.trust)
    names = source_names(at.rules)
    ordered = decided.sort("cluster", "namespace", "position").collect()
    return [_known(row, names, at.rules) for row in ordered.iter_rows(named=True)]


def asked(at: AsOf) -> pl.LazyFrame:
    """Return a row for each namespace, with what :func:`batcher.stages.locate.cases` ask and what is shown."""
    claims = at.state["claims"].lazy()
    said = claims.select(
        *_NAMESPACE, "cluster", "uid", "sync_target", "gone_at", "since_at", "was_workspace", "was_namespace"
    )
    named = pl.concat([said, _unheard(at.state).join(claims, on=_NAMESPACE, how="anti")], how="diagonal")
    rows = named.with_columns(
        position=pl.lit(_LAST), received_at=pl.lit(at.now), regarding_namespace=pl.col("namespace")
    )
    return with_claims(rows, claims, remembered=at.rules.namespaces.remembered)


def _unheard(state: State) -> pl.LazyFrame:
    """Namespaces that open summaries are about."""
    summaries = state["open_summaries"].lazy().filter(pl.col("namespace") != "")
    return summaries.group_by(_NAMESPACE).agg(pl.col("cluster").sort_by("position").last(), since_at=pl.min("began_at"))


def source_names(rules: Rules) -> dict[int | None, str]:
    """Return how the configuration calls what decides: rules by their place in ``mapping.rules``."""
    names: dict[int | None, str] = {
        None: "",
        FLAW: "locator",
        LOCATOR: "locator",
        LABELS: "syncagent",
        LABELS_FLAW: "syncagent",
    }
    of_the_list = [place for place, rule in enumerate(rules.mapping) if not rule.cluster_scoped]
    return names | dict.fromkeys(range(len(rules.mapping)), "cluster") | _numbered(of_the_list)


def _numbered(places: Sequence[int]) -> dict[int | None, str]:
    return {place: f"rules[{number}]" for number, place in enumerate(places)}


def _known(row: dict[str, object], names: dict[int | None, str], rules: Rules) -> Known:
    texts = {name: row[name] or "" for name in ("cluster", "cluster_uid", "namespace", "uid", "sync_target")}
    target = {name: row[name] if row["is_allowed"] else "" for name in ("workspace", "target_namespace")}
    found = {
        "source": names[row["decided_by"]],  # type: ignore[index]
        "allowed": row["is_allowed"] or not row["workspace"],
        "flaw": (row["flaw"] or "") if rules.trust.locators else "",
        "claimed_workspace": row["claimed"] or "",
        "claimed_namespace": row["claimed_namespace"] or "",
        "since": row["since_at"],
        "gone_at": row["gone_at"],
    }
    return msgspec.convert(texts | target | found, Known)
