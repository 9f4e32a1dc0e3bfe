"""What is read out of texts, once for each."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.stages.once import once

texts = st.one_of(st.none(), st.sampled_from(["", "a", "b", "<b>"]))


@given(st.lists(st.tuples(texts, texts), max_size=8))
def test_it_finds_what_a_look_at_every_row_would(
    rows: list[tuple[str, str]],
) -> None:
    frame = pl.DataFrame(rows, schema={"one": pl.String, "two": pl.String}, orient="row").with_row_index("row")
    said = pl.concat_str("one", pl.lit("/"), "two")
    found = once(frame.lazy(), "one", "two", said=said).collect()
    assert_frame_equal(found, frame.with_columns(said=said))


def test_each_different_text_is_looked_at_once() -> None:
    seen: list[int] = []

    def look(text: pl.Series) -> pl.Series:
        seen.append(len(text))
        return text

    frame = pl.LazyFrame({"text": ["a", "b", "a", "a"]})
    found = once(frame, "text", same=pl.col("text").map_batches(look, return_dtype=pl.String)).collect()
    assert (seen, found["same"].to_list()) == ([2], ["a", "b", "a", "a"])
