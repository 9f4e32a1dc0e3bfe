"""How many namespaces and objects say what is not believed, and what each flaw means in a sentence."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import polars as pl

from batcher.mapping import Flaw


class Meaning(NamedTuple):
    """What is wrong, and what to do about it."""

    what: str
    remedy: str


OF_OBJECTS = (Flaw.UNREADABLE, Flaw.INCOMPLETE, Flaw.OTHER_HASH)
"""What can be wrong with the labels and annotations of an object."""
MEANINGS = {
    Flaw.UNREADABLE: Meaning(
        "its locator is no JSON of a known form, or far too long",
        "repair the annotation, or let the syncer make the namespace again",
    ),
    Flaw.INCOMPLETE: Meaning(
        "its locator names no workspace, or no namespace in it",
        "repair the annotation, or let the syncer make the namespace again",
    ),
    Flaw.OTHER_NAME: Meaning(
        "its name is not the hash of its locator: the annotation was copied or edited",
        "take the annotation away, or put back what the syncer wrote",
    ),
    Flaw.FOREIGN: Meaning(
        "its locator names another sync target than its label internal.workload.kcp.io/cluster",
        "leave it to that sync target; if it is ours, correct the label",
    ),
    Flaw.DUPLICATE: Meaning(
        "another namespace of the cluster said the same before, and still says it",
        "delete the one that is not the syncer's; when the other is gone this one has the place",
    ),
}


def counted(claims: pl.DataFrame, flaws: Iterable[Flaw] = MEANINGS) -> dict[str, dict[str, int]]:
    """Return how many namespaces each cluster (by name) has, by flaw; ``none`` are those without.

    In: :data:`batcher.schema.CLAIMS`, or :data:`batcher.schema.OBJECTS` and :data:`OF_OBJECTS`. Those that were
    deleted are left out.
    """
    none = {"none": 0} | {flaw.value: 0 for flaw in flaws}
    there = claims.lazy().filter(pl.col("gone_at").is_null()).group_by("cluster", "flaw").len()
    found: dict[str, dict[str, int]] = {}
    for cluster, flaw, number in there.sort("cluster", "flaw").collect().iter_rows():
        found.setdefault(cluster, dict(none))[flaw or "none"] = number
    return found


def flawed(by_cluster: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Return what of :func:`counted` is wrong; nothing of clusters in which nothing is."""
    wrong = {
        cluster: {flaw: number for flaw, number in flaws.items() if number and flaw != "none"}
        for cluster, flaws in by_cluster.items()
    }
    return {cluster: flaws for cluster, flaws in wrong.items() if flaws}
