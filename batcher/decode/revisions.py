"""Which revisions bare objects are, without the rest of them: what a list is held against before it is spooled."""

from collections.abc import Sequence

import polars as pl

from batcher.decode.identity import identified, identity_time
from batcher.decode.lines import unusable
from batcher.decode.models import UNREADABLE, peek
from batcher.schema import Columns

REVISIONS: Columns = {
    "index": pl.Int64,
    "identity_high": pl.UInt64,
    "identity_low": pl.UInt64,
    "resource_version": pl.Int64,
}
_READ: Columns = {
    "index": pl.Int64,
    "resource_version": pl.Int64,
    **dict.fromkeys(("cluster_uid", "namespace", "name", "uid", "first", "event_time"), pl.String()),
}


def revisions(cluster_uid: str, items: Sequence[bytes]) -> pl.DataFrame:
    """Return :data:`REVISIONS` of the bare Events ``items``; those that could not be counted are left out."""
    rows: list[tuple[int, int, str, str, str, str, str | None, str | None]] = []
    for index, item in enumerate(items):
        try:
            event = peek(item)
        except UNREADABLE:
            continue
        if unusable(event.metadata) is None:
            m, times = event.metadata, (event.firstTimestamp, event.eventTime)
            rows.append((index, int(m.resourceVersion), cluster_uid, m.namespace, m.name, m.uid, *times))
    found = identified(pl.LazyFrame(rows, schema=_READ, orient="row").with_columns(identity_time()))
    return found.select(*REVISIONS).collect(engine="in-memory")
