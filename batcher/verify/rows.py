"""How two frames differ that should be the same: the first row that does, in a few words.

The order of rows is irrelevant; a row is known by its key. Text in the answer is not made safe for a terminal.
"""

import polars as pl

from batcher.text import cut

LONGEST_VALUE = 60


def difference(expected: pl.DataFrame, found: pl.DataFrame, key: tuple[str, ...]) -> str:
    """Return the first difference in order of ``key``, empty if there is none; columns are those of ``expected``."""
    twice = found.filter(found.select(key).is_duplicated()).sort(key)
    if len(twice):
        return f"{_named(twice, key)}: is there twice"
    for rows, others, what in ((expected, found, "is missing"), (found, expected, "should not be there")):
        alone = rows.join(others, on=key, how="anti", nulls_equal=True).sort(key)
        if len(alone):
            return f"{_named(alone, key)}: {what}"
    return _first_value(expected.sort(key), found.sort(key), key)


def _first_value(expected: pl.DataFrame, found: pl.DataFrame, key: tuple[str, ...]) -> str:
    """The rows of both stand in the same order."""
    differs = [expected[name].ne_missing(found[name]).alias(name) for name in expected.columns]
    rows = pl.DataFrame(differs).select(pl.any_horizontal(pl.all()).arg_true()).to_series()
    if rows.is_empty():
        return ""
    row = int(rows[0])
    name = next(column.name for column in differs if column[row])
    return f"{_named(found[row], key)}: {name} is {_shown(found[name][row])}, recomputed {_shown(expected[name][row])}"


def _named(rows: pl.DataFrame, key: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {_shown(rows[name][0])}" for name in key)


def _shown(value: object) -> str:
    return cut(str(value), LONGEST_VALUE)
