"""Names without what a controller appended to them.

Controllers name what they make with an alphabet that people do not use (``rand.SafeEncodeString``: no vowels, no 0, 1
and 3), and CronJobs with the minute since 1970. Whose object that is, is for others to say.

An ending is looked for without capturing what stands before it: a search from the end of a text, a tenth of the cost.
"""

import polars as pl

SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
RANDOM = f"-{SAFE}{{5}}"
"""Of each Pod that is not a StatefulSet's (``generateName``)."""
HASH = f"-{SAFE}{{6,10}}"
"""Of a Deployment's ReplicaSet."""
NUMBER = "-[0-9]{8,10}"
"""Looks like the minute of a CronJob, or any number as long."""


def without(name: pl.Expr, ending: str) -> pl.Expr:
    """Return what stands in ``name`` before an ``ending`` (a regular expression); null: it does not end so."""
    return pl.when(name.str.contains(f".(?:{ending})$")).then(name).str.replace(f"(?:{ending})$", "")
