"""What a row is about beside its object: image, volume, node, container; read from its fields and its message.

Emitters put into a sentence what the API has no field for, so that it is taken out of the sentence again. Each
expression passes over a text once (the regular expressions are RE2's kind, without backtracking). Null: it says none.
Nothing here asks anybody, or decides what is done with an answer.

Source of the sentences: ``pkg/kubelet/images``, ``pkg/kubelet/events``, ``pkg/volume/util/operationexecutor`` and
``pkg/controller/volume`` of Kubernetes.
"""

import polars as pl

from batcher.stages.generated import NUMBER, RANDOM, without
from batcher.stages.once import once

_GENERATED = f"(?:{NUMBER})?{RANDOM}"
"""A Pod of a DaemonSet or a Job, also one that a CronJob made at a minute (``metadata.generateName``)."""
_IMAGE = r'mage (?:tag )?"([!#-~]+)"'
_LONGEST = 512
"""Characters of an image; a reference has at most 255 before its tag or digest."""
_CONTAINER = r"\{([^{}]+)\}$"
_NAMED_CONTAINER = r'\bcontainer "?([a-z0-9][-a-z0-9]*)\b'
_NAMED = r'(?:"(?:[a-z0-9.-]+/)?|[a-z0-9.-]+/)([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)'
"""In quotes, or behind its namespace: a bare word after ``configmap`` may be any."""
_MADE_OF = {
    "PersistentVolumeClaim": rf"(?:[Cc]laim|PVC) {_NAMED}",
    "ConfigMap": rf"[Cc]onfig[Mm]ap {_NAMED}",
    "Secret": rf"[Ss]ecret {_NAMED}",
}
_MESSAGE = pl.col("message")
_ASSIGNED = r"^Successfully assigned \S+ to (\S+)$"


def image(message: pl.Expr = _MESSAGE) -> pl.Expr:
    """Return the image, with its tag, that ``message`` names in quotes."""
    return message.str.extract(_IMAGE).str.slice(0, _LONGEST)


def container() -> pl.Expr:
    """Return the container: of a ``fieldPath``, else the one that ``message`` names."""
    paths = [pl.col(f"{of}_field_path").str.extract(_CONTAINER) for of in ("regarding", "related")]
    return pl.coalesce(*paths, pl.col("message").str.extract(_NAMED_CONTAINER))


def node() -> pl.Expr:
    """Return the node: the object itself, a related one, the host of the kubelet that said so, where it went."""
    return pl.coalesce(
        pl.when(pl.col("regarding_kind") == "Node").then("regarding_name"),
        pl.when(pl.col("related_kind") == "Node").then("related_name"),
        pl.when((pl.col("component") == "kubelet") & (pl.col("host") != "")).then("host"),
        pl.col("message").str.extract(_ASSIGNED),
    )


def volume(named: pl.Expr) -> pl.Expr:
    """Return what a volume is made of, as ``kind/name``: the claim that it is about, or what is ``named``.

    The name of a volume within a Pod says nothing: half of all Pods call theirs ``config`` or ``data``.
    """
    is_claim = pl.col("regarding_kind") == "PersistentVolumeClaim"
    claim = pl.concat_str(pl.lit("PersistentVolumeClaim/"), "regarding_name")
    return pl.coalesce(pl.when(is_claim).then(claim), named)


def named_volume(message: pl.Expr = _MESSAGE) -> pl.Expr:
    """Return what ``message`` says that a volume is made of."""
    return pl.coalesce(
        pl.concat_str(pl.lit(f"{kind}/"), message.str.extract(pattern)) for kind, pattern in _MADE_OF.items()
    )


def workload() -> pl.Expr:
    """Return the name of the object without what a controller added to tell one Pod from another."""
    name = pl.col("regarding_name")
    shorter = without(pl.when(pl.col("regarding_kind") == "Pod").then(name), _GENERATED)
    return pl.coalesce(shorter, name)


def with_details(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``image, volume, node, container`` to rows (:data:`batcher.schema.OCCURRENCES`)."""
    text = pl.col("message")
    read = once(rows, "message", image=image(text), made_of=named_volume(text))
    return read.with_columns(volume=volume(pl.col("made_of")), node=node(), container=container()).drop("made_of")
