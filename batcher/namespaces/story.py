"""One namespace's whole story: what it says, who was asked in what order, and what comes of it."""

import difflib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import polars as pl

from batcher.batch import DataDirectory
from batcher.errors import UsageError
from batcher.mapping import Flaw
from batcher.namespaces.flaws import MEANINGS
from batcher.namespaces.known import AsOf, Known, all_known, as_of_last, asked, source_names
from batcher.schema import NOBODYS
from batcher.stages.locate import FLAW, LABELS, LABELS_FLAW, LOCATOR, cases
from batcher.text import safe

_NEAREST = 3


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One that was asked which workspace the namespace has, in the order of ``mapping.trust``."""

    name: str
    decides: bool
    workspace: str
    """What it says; empty: nothing."""
    target_namespace: str
    why: str
    """Why it decides, or does not."""


class Waiting(msgspec.Struct, frozen=True):
    """Open summaries without a workspace."""

    summaries: int
    first_until: datetime | None
    """When the first of them has waited for ``mapping.hold``, and the last."""
    last_until: datetime | None
    nobodys: int
    """Between two targets: they wait for nothing."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a namespace and its target."""

    namespace: Known
    trusted: bool
    """Whether locators are trusted."""
    what_is_wrong: str
    remedy: str
    rival: str
    """Another namespace of the cluster that has, or claims, the same place."""
    was_workspace: str
    was_namespace: str
    """The target before the present one, or before there was none."""
    sources: list[Source]
    waiting: Waiting
    hold_seconds: float
    """How long a summary waits for a workspace."""
    open_in_target: int


def story(directory: DataDirectory, name: str, cluster: str = "") -> Story:
    """Return what is known of the namespace ``name`` of ``cluster``, which may be empty if only one has it.

    Raises :class:`UsageError`: unknown, in several clusters, or no batch yet.
    """
    at = as_of_last(directory)
    everything = all_known(at)
    found = _chosen(everything, name, cluster)
    row = asked(at).filter(_is(found)).collect().row(0, named=True)
    summaries = at.state["open_summaries"].filter(_is(found))
    meaning = MEANINGS.get(Flaw(found.flaw))
    rival = _rival(found, everything)
    return Story(
        namespace=found,
        trusted=at.rules.trust.locators,
        what_is_wrong=meaning.what if meaning else "",
        remedy=meaning.remedy if meaning else "",
        rival=rival,
        was_workspace=row["was_workspace"] or "",
        was_namespace=row["was_namespace"] or "",
        sources=_sources(at, found),
        waiting=_waiting(summaries, at.rules.hold),
        hold_seconds=at.rules.hold.total_seconds(),
        open_in_target=_in_target(summaries, found),
    )


def _is(found: Known) -> pl.Expr:
    return (pl.col("cluster_uid") == found.cluster_uid) & (pl.col("namespace") == found.namespace)


def _chosen(everything: Sequence[Known], name: str, cluster: str) -> Known:
    """The one that is meant; of a cluster that was replaced by another of its name the one that was heard of last."""
    named = [each for each in everything if each.namespace == name]
    here = {each.cluster: each for each in sorted(named, key=lambda each: each.since) if cluster in {"", each.cluster}}
    if len(here) == 1:
        return next(iter(here.values()))
    if here:
        message = f"{safe(name)}: is in several clusters; choose one with --cluster: {_listed(here)}"
    elif named:
        there = _listed({each.cluster for each in named})
        message = f"--cluster {safe(cluster)}: has no namespace {safe(name)}; clusters that have: {there}"
    else:
        near = difflib.get_close_matches(name, {each.namespace for each in everything}, n=_NEAREST)
        hint = f"nearest: {', '.join(map(safe, near))}" if near else "see: batcher mapping list"
        message = f"{safe(name)}: no such namespace is known; {hint}"
    raise UsageError(message)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(safe, sorted(names)))


def _rival(found: Known, everything: Sequence[Known]) -> str:
    """The other namespace that says the same and is believed, if there is one."""
    place = (found.cluster_uid, found.claimed_workspace, found.claimed_namespace)
    same = [
        each.namespace
        for each in everything
        if (each.cluster_uid, each.claimed_workspace, each.claimed_namespace) == place
        and each.gone_at is None
        and (not each.flaw or not found.flaw)
        and each.namespace != found.namespace
    ]
    return min(same, default="") if found.claimed_workspace else ""


class _Asked(NamedTuple):
    name: str
    holds: bool
    workspace: str
    target_namespace: str


def _sources(at: AsOf, found: Known) -> list[Source]:
    """Every source in its turn; without trust in locators, they are told last."""
    rules, trust, names = at.rules.mapping, at.rules.trust, source_names(at.rules)
    not_asked = {FLAW, LABELS, LABELS_FLAW}  # a namespace is no object
    asked_in_turn = [case for case in cases(rules, trust) if case.decided_by not in not_asked]
    answers = asked(at).filter(_is(found)).select(
        *(pl.when(case.holds.fill_null(value=False)).then(pl.struct(
            holds=pl.lit(value=True), workspace=case.workspace, target_namespace=case.target_namespace,
        )).alias(str(case.decided_by)) for case in asked_in_turn)
    ).collect().row(0, named=True)  # fmt: skip
    told = []
    decided = ""
    for case in asked_in_turn:
        answer = answers[str(case.decided_by)] or {"holds": False, "workspace": "", "target_namespace": ""}
        each = _Asked(names[case.decided_by], **answer)
        source = _source(each, found, decided, trusted=trust.locators)
        decided = decided or (each.name if source.decides else "")
        told.append(source)
    return told if trust.locators else sorted(told, key=lambda source: source.name == names[LOCATOR])


def _source(each: _Asked, found: Known, decided: str, *, trusted: bool) -> Source:
    decides, why = _why(each, found, decided, trusted=trusted)
    workspace, namespace = each.workspace, each.target_namespace
    if each.name == "locator":
        workspace, namespace = found.claimed_workspace, found.claimed_namespace
    return Source(name=each.name, decides=decides, workspace=workspace, target_namespace=namespace, why=why)


def _why(each: _Asked, found: Known, decided: str, *, trusted: bool) -> tuple[bool, str]:
    """Whether it decides, and why or why not."""
    if each.name == "locator":
        if not trusted:
            return False, "is not trusted (mapping.trust)"
        if found.flaw and not decided:
            return True, f"is not believed ({found.flaw}), which leaves the namespace to nobody"
        if not found.claimed_workspace:
            return False, "says nothing" if found.uid else "no Namespace was heard of"
    elif not each.holds:
        return False, "does not match"
    return (False, f"comes after {decided}") if decided else (True, "decides")


def _waiting(summaries: pl.DataFrame, hold: timedelta) -> Waiting:
    unmapped = summaries.filter(pl.col("workspace") == "")
    waits = unmapped.filter(pl.col("unmapped_uid") != NOBODYS)["last_at"].sort() + hold
    ends: list[datetime] = waits.to_list()
    first, last = (ends[0], ends[-1]) if ends else (None, None)
    return Waiting(len(ends), first, last, len(unmapped) - len(ends))


def _in_target(summaries: pl.DataFrame, found: Known) -> int:
    there = (pl.col("workspace") == found.workspace) & (pl.col("target_namespace") == found.target_namespace)
    return len(summaries.filter(there & (pl.col("origin") == ""))) if found.workspace else 0
