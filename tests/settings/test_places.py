"""Which names a pattern of workspaces allows: the same for one name as for a column of them, and in linear time."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.settings import anchored
from batcher.settings.places import allowed

parts = st.sampled_from(["a", "b", ":", "-", "*", "**", "."])
patterns = st.lists(parts, min_size=1, max_size=6).map("".join)
names = st.text(st.sampled_from("ab:-.*A\n"), max_size=8)


@given(names, patterns)
def test_one_name_and_a_column_of_names_are_judged_alike(name: str, pattern: str) -> None:
    column = pl.Series([name]).str.contains(anchored(pattern)).item()
    assert allowed(name, [pattern]) is column


@pytest.mark.parametrize("end", ["", "!", ":"])
def test_a_name_that_a_tenant_made_long_is_no_work(end: str) -> None:
    """A backtracking engine would need hours."""
    assert not allowed("a:" * 20_000 + end, ["**:a:**:a:**:b", "*:**:*:**:b"])
    assert allowed("a:" * 20_000 + "b", ["**:a:**:a:**:b"])
