"""Which messages say the same thing, on messages of Kubernetes' own components and of well-known controllers."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batcher.redact import Redaction
from batcher.schema import Columns
from batcher.stages.template import LONGEST, template, templated

GROUPS = yaml.safe_load(Path(__file__).with_name("templates.yaml").read_text(encoding="utf-8"))


def templates(*messages: str) -> list[str]:
    frame = pl.DataFrame({"message": messages}, schema={"message": pl.String})
    return frame.select(templated(pl.col("message"))).to_series().to_list()


@pytest.mark.parametrize("group", GROUPS, ids=[str(index) for index in range(len(GROUPS))])
def test_messages_that_say_the_same_have_one_template(group: dict[str, Any]) -> None:
    assert set(templates(*group["messages"])) == {group["template"]}


def test_at_most_one_in_a_hundred_pairs_of_different_messages_has_one_template() -> None:
    told = [(index, text) for index, group in enumerate(GROUPS) for text in templates(*group["messages"])]
    different = [(one, other) for one, other in itertools.combinations(told, 2) if one[0] != other[0]]
    merged = [pair for pair in different if pair[0][1] == pair[1][1]]
    assert len(different) > 6000
    assert len(merged) <= len(different) // 100


@pytest.mark.parametrize(
    "kept",
    [
        "Liveness probe failed: HTTP probe failed with statuscode: 503",
        'Back-off pulling image "ghcr.io/acme/web:1.42"',
        'Back-off pulling image "acme-10/web:7c5d8f9b6d"',
        "exit status 32",
        "",
    ],
)
def test_codes_and_tags_of_images_stay(kept: str) -> None:
    assert templates(kept) == [kept]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("\x1b[31m\x00 5s", "\x1b[<n>\x00 <n>"),
        ("$1 ${1} 7", "$1 ${1} <n>"),
        ("\u202eevil 3", "\u202eevil <n>"),
        ("Ümläute 4 Stück", "Ümläute <n> Stück"),
        ("1 2 3", "<n> <n> <n>"),
    ],
)
def test_hostile_text_is_only_text(message: str, expected: str) -> None:
    assert templates(message) == [expected]


def test_what_follows_the_first_thousand_characters_makes_no_difference() -> None:
    assert len(set(templates("x " * LONGEST, "x " * LONGEST + "y"))) == 1


COLUMNS: Columns = {"position": pl.Int64, "kind": pl.String, "message": pl.String, "template": pl.String}
SAID = {"a 1": "a <n>", "a 2": "a <n>", "b": "b", "": "", None: ""}


def given_templates(rows: Sequence[tuple[str, str | None]], *redactions: Redaction) -> pl.DataFrame:
    """What becomes of rows (kind, message), in their order, whose template is ``old``."""
    made = [(number, *row, "old") for number, row in enumerate(rows)]
    return template(pl.LazyFrame(made, COLUMNS, orient="row"), redactions).collect()


some_rows = st.lists(st.tuples(st.sampled_from(["", "", "suppressed"]), st.sampled_from([*SAID])), max_size=12)


@given(some_rows)
def test_rows_stay_in_their_order_and_each_plain_one_has_the_template_of_its_message(
    rows: list[tuple[str, str | None]],
) -> None:
    found = given_templates(rows)
    assert dict(found.schema) == COLUMNS
    assert found.rows() == [
        (number, kind, message, "old" if kind else SAID[message]) for number, (kind, message) in enumerate(rows)
    ]


@given(some_rows, st.data())
def test_neither_the_order_of_rows_nor_where_they_are_cut_makes_a_difference(
    rows: list[tuple[str, str | None]], data: st.DataObject
) -> None:
    whole, cut = given_templates(rows)["template"].to_list(), data.draw(st.integers(0, len(rows)))
    parts = [given_templates(part)["template"].to_list() for part in (rows[:cut], rows[cut:])]
    assert [*parts[0], *parts[1]] == whole
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = given_templates([rows[number] for number in order])["template"].to_list()
    assert shuffled == [whole[number] for number in order]


def test_what_may_not_be_archived_is_in_no_template() -> None:
    found = given_templates([("", "token=s3cr3t refused"), ("", "token=other refused")], Redaction(r"token=\S+", "***"))
    assert found["template"].to_list() == ["*** refused", "*** refused"]
    assert found["message"].to_list() == ["token=s3cr3t refused", "token=other refused"]


@given(st.text(st.sampled_from("ab ./-:("), max_size=10), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_number_that_stands_alone_makes_no_difference(around: str, one: int, other: int) -> None:
    assert len(set(templates(f"{around} {one} {around}", f"{around} {other} {around}"))) == 1
