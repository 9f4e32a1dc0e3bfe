import json
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.text import ago, cut, escaped, folded, safe, table

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("line one\nline two\r\n", "line one line two"),
        ("\x9b2Jclears", "2Jclears"),
        ("user\u202egnp.exe", "user gnp.exe"),
        ("zero\u200bwidth", "zero width"),
        ("tag\U000e0041\U000e0042ged", "tag ged"),
        ("soft\u00adhyphen", "soft hyphen"),
        ("half \ud83d", "half"),
        ("\x07\x07\x07", ""),
        ("Grüße 世界 🙂", "Grüße 世界 🙂"),
    ],
    ids=["colour", "newlines", "C1", "bidi", "zero-width", "tags", "soft-hyphen", "surrogate", "bells", "honest"],
)
def test_hostile_characters_become_a_space_and_honest_ones_stay(hostile: str, shown: str) -> None:
    assert safe(hostile) == shown


@given(st.text(st.characters(categories=["Cc", "Cs", "Zl", "Zp", "Lu"])))
def test_no_control_character_survives(text: str) -> None:
    assert {unicodedata.category(char) for char in safe(text)} <= {"Lu", "Zs"}


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
def test_json_that_is_escaped_is_the_same_and_has_no_control_character(document: dict[str, object]) -> None:
    text = escaped(json.dumps(document, ensure_ascii=False, indent=1))
    assert json.loads(text) == document
    assert all(safe(line) == line.strip() for line in text.splitlines())
    assert escaped('{"a": "\x7f\u202e\U000e0041"}\n') == '{"a": "\\u007f\\u202e\\udb40\\udc41"}\n'


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=0), "0s"),
        (timedelta(seconds=119, microseconds=999_999), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=9, seconds=59), "9m59s"),
        (timedelta(minutes=10, seconds=30), "10m"),
        (timedelta(minutes=179), "179m"),
        (timedelta(hours=3), "3h"),
        (timedelta(hours=3, minutes=10), "3h10m"),
        (timedelta(hours=8, minutes=10), "8h"),
        (timedelta(hours=47, minutes=59), "47h"),
        (timedelta(days=2), "2d"),
        (timedelta(days=2, hours=5), "2d5h"),
        (timedelta(days=8, hours=5), "8d"),
        (timedelta(days=400), "400d"),
    ],
    ids=str,
)
def test_an_age_reads_as_kubectl_prints_it(passed: timedelta, shown: str) -> None:
    assert ago(NOW - passed, NOW) == shown


def test_columns_are_three_apart_and_the_last_one_leaves_no_spaces_behind() -> None:
    assert table(("NAME", "COUNT"), [("web", "7"), ("backend", "12")]) == [
        "NAME      COUNT",
        "web       7",
        "backend   12",
    ]


def test_numbers_stand_to_the_right() -> None:
    assert table(("COUNT", "NAME"), [("7", "a"), ("12", "b")], numbers=(0,)) == [
        "COUNT   NAME",
        "    7   a",
        "   12   b",
    ]


def test_a_cell_cannot_break_the_table() -> None:
    assert table(("A", "B"), [("x\ny", "\x1b[2Jz")]) == ["A     B", "x y   [2Jz"]


def test_a_line_wider_than_the_terminal_is_cut_at_its_end() -> None:
    assert table((), [("web", "a long message")], width=12) == ["web   a l..."]


def test_without_headers_and_rows_there_are_no_lines() -> None:
    assert table((), []) == []
    assert table(("A",), []) == ["A"]


@given(st.text(max_size=12), st.integers(min_value=0, max_value=12))
def test_cut_text_fits_and_short_text_stays(text: str, width: int) -> None:
    assert len(cut(text, width)) <= width
    if len(text) <= width:
        assert cut(text, width) == text


def test_what_is_missing_is_three_dots() -> None:
    assert cut("abcdefgh", 8) == "abcdefgh"
    assert cut("abcdefgh", 7) == "abcd..."


def test_a_text_that_is_folded_goes_on_below_its_begin_and_loses_nothing() -> None:
    said = "HTTP 401 Unauthorized for /api/v1/namespaces/kube-system, and what there is to do"
    assert folded("error: ", said, 40) == [
        "error: HTTP 401 Unauthorized for",
        "       /api/v1/namespaces/kube-system,",
        "       and what there is to do",
    ]
    assert folded("error: ", said, None) == [f"error: {said}"]
    assert folded("a-name-that-leaves-no-room ", "what is said", 30) == [
        "a-name-that-leaves-no-room",
        "    what is said",
    ]
    assert folded("error:  ", "", 40) == ["error:"]


@given(st.text(max_size=90), st.text(max_size=200), st.integers(30, 100))
def test_no_folded_line_is_wider_than_the_terminal(title: str, text: str, width: int) -> None:
    lines = folded(safe(title), text, width)
    assert all(len(line) <= width for line in lines)
    assert "".join(safe(text).split()) in "".join("".join(lines).split()) or len(safe(title)) > width - 24


def test_the_last_column_of_a_table_can_be_folded() -> None:
    assert table(("A", "B"), [("one", "two three four five six seven")], width=30, fold=True) == [
        "A     B",
        "one   two three four five six",
        "      seven",
    ]
