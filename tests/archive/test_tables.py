"""The page that describes the tables says what the code has, in its order."""

import re
from pathlib import Path

import polars as pl
import pytest
from polars.datatypes import DataTypeClass

from batcher.archive.rewrite import ORDER
from batcher.archive.tables import COLUMNS
from batcher.schema import TIME

PAGE = Path(__file__).parents[2] / "docs" / "archive.md"
TYPES: dict[pl.DataType | DataTypeClass, str] = {
    pl.Int64: "int64", pl.String: "string", pl.Boolean: "bool", pl.Float64: "float64", TIME: "timestamp",
}  # fmt: skip


def described(table: str) -> list[list[str]]:
    """The cells of each column's row in the page."""
    section = re.search(rf"^## {table}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert section is not None
    rows = [line for line in section[1].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize("table", COLUMNS)
def test_the_page_has_every_column_with_its_type(table: str) -> None:
    found = [(name.strip("`"), kind) for name, kind, _, _ in described(table)]
    assert found == [(name, TYPES[kind]) for name, kind in COLUMNS[table].items()]


@pytest.mark.parametrize("table", COLUMNS)
def test_the_page_says_what_each_column_means_and_the_unit_of_each_time(table: str) -> None:
    for name, kind, unit, meaning in described(table):
        assert meaning.endswith("."), name
        assert (unit == "UTC, µs") == (kind == "timestamp"), name


def test_every_table_has_an_order_of_columns_that_it_has() -> None:
    assert set(ORDER) == set(COLUMNS)
    assert [name for name, order in ORDER.items() if not set(order) <= set(COLUMNS[name])] == []
