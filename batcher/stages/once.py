"""What is read out of texts: once for each different text, however many rows have it.

Messages repeat, and a regular expression over one costs far more than a look into a hash table. Says nothing of what
is looked for.
"""

import polars as pl


def once(rows: pl.LazyFrame, *texts: str, **found: pl.Expr) -> pl.LazyFrame:
    """Add columns ``found``, expressions of the columns ``texts``, to ``rows``; null where one of ``texts`` is.

    Order and number of rows stay.
    """
    rows = rows.cache()
    asked = rows.select(texts)
    different = asked.unique().with_columns(**found)
    # Beside the rows, not joined to them: a join copies all of their columns.
    answers = asked.join(different, on=texts, how="left", maintain_order="left").select(*found)
    return pl.concat([rows, answers], how="horizontal")
