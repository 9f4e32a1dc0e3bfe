"""Tables and labels of notebooks keep text text, and an archive is found where it is."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from batcher.errors import UsageError
from batcher.notebook import Archive, Table, label, shown
from tests.history import history
from tests.sections import event, watched

HOSTILE = "<b>$x$ \\(y\\)</b>\x1b[31m\u202egpj\nnext"


def test_a_table_shows_markup_mathematics_and_control_characters_as_text() -> None:
    page = Table(pl.DataFrame({HOSTILE: [HOSTILE]}))._repr_html_()
    said = "&lt;b&gt;<span>$</span>x<span>$</span> <span>\\</span>(y<span>\\</span>)&lt;/b&gt; [31m gpj next"
    assert f'<td style="text-align: left">{said}</td>' in page
    assert page.count("&lt;b&gt;") == 2
    assert page.startswith('<div class="tex2jax_ignore mathjax_ignore"><table>')
    assert not {"\x1b", "\u202e", "\n"} & set(page)


def test_a_table_is_cut_and_says_how_much_is_missing() -> None:
    table = Table(pl.DataFrame({"a_number": range(1000, 1004), "text": ["x" * 200] * 4}), rows=1)
    assert repr(table).splitlines() == ["a number   text", "   1,000   " + "x" * 97 + "...", "... and 3 more"]
    assert table._repr_html_().endswith("</table>... and 3 more</div>")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "yes"), (False, "no"), (1234567, "1,234,567"), (0.25, "0.2"), (["b", "a\n"], "b, a"),
        (datetime(2026, 11, 25, 8, 0, 1, tzinfo=UTC), "2026-11-25 08:00:01"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_people_read_it(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_label_is_one_line_of_letters_that_every_font_has() -> None:
    assert label("\u4e2d\u202e\nb") == "\\u4e2d b"
    assert label("x" * 50) == "x" * 37 + "..."


def test_a_folder_that_is_neither_archive_nor_data_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r": neither an archive nor a data directory; make one with: make demo$"):
        Archive.at(tmp_path)


def test_what_is_not_delivered_is_seen_in_the_data_directory_by_polars_and_duckdb(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10, count=3)), minute=0)
    archive = Archive.at(tmp_path / "data")
    assert archive.root == tmp_path / "archive"
    assert archive.scan("occurrences").select("grew").collect().rows() == [(3,)]
    assert pl.read_parquet(archive.files("occurrences"))["grew"].to_list() == [3]
    assert archive.summaries().select("reason", "occurrences", "closed_at").rows() == [("BackOff", 3, None)]
    assert archive.heard() == (datetime(2026, 11, 23, 16, 0, tzinfo=UTC),) * 2
