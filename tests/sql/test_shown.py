import io
import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from batcher.errors import UsageError
from batcher.sql.shown import as_text, write_csv, write_json, write_parquet

HOSTILE = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\x1b[31m=1", "\x00=1", "a\nb", "\u202egpj", "plain", ""]


def batch(**columns: list[object]) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    table = pa.table(columns)
    return table.schema, table.to_batches()


def test_no_text_is_a_formula_in_csv_and_no_number_is_text() -> None:
    out = io.StringIO()
    write_csv(*batch(text=list(HOSTILE), number=[-1] * len(HOSTILE)), out, headers=True)
    assert out.getvalue().splitlines() == [
        "text,number", "'=1+1,-1", "'+1,-1", "'-1,-1", "'@x,-1", "'=1,-1", "'=1,-1", "[31m=1,-1", "'=1,-1", "a b,-1",
        "gpj,-1", "plain,-1", ",-1",
    ]  # fmt: skip


def test_a_table_is_safe_and_shows_what_is_null() -> None:
    table = pa.table({"a\x1b": ["x\x1b[0m", None], "n": [1, None]})
    lines = as_text(table.schema, table.to_batches(), headers=True, width=None)
    assert lines == ["a          n", "x [0m      1", "NULL    NULL"]


def test_json_has_a_value_for_every_type() -> None:
    schema, batches = batch(
        at=[datetime(2026, 11, 23, 16, tzinfo=UTC)], day=[date(2026, 11, 23)], long=[timedelta(seconds=5)],
        big=[Decimal(2**70)], exact=[Decimal("1.5")], nan=[math.nan], raw=[b"\xff"], parts=[[{"a": [1, None]}]],
    )  # fmt: skip
    out = io.StringIO()
    write_json(schema, batches, out)
    assert json.loads(out.getvalue()) == [
        {"at": "2026-11-23T16:00:00.000000Z", "day": "2026-11-23", "long": "0:00:05", "big": 2**70, "exact": 1.5,
         "nan": None, "raw": "/w==", "parts": [{"a": [1, None]}]},
    ]  # fmt: skip


def test_two_columns_of_one_name_are_two_members() -> None:
    schema = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    out = io.StringIO()
    write_json(schema, [pa.record_batch([pa.array([1]), pa.array([2])], schema=schema)], out)
    assert json.loads(out.getvalue()) == [{"a": 1, "a_2": 2}]


def test_a_file_that_came_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("somebody's")
    with pytest.raises(UsageError, match=r"x\.parquet: is there already"):
        write_parquet(*batch(a=[1]), path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("x.parquet", "somebody's")]
