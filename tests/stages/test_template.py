"""Which messages say the same thing, on messages of Kubernetes' own components and of well-known controllers."""

import itertools
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.sampled_from(["a 1", "a 2", "b", "", None]), max_size=12))
def test_rows_stay_in_their_order_and_each_has_the_template_of_its_message(messages: list[str | None]) -> None:
    rows = pl.DataFrame({"position": range(len(messages)), "message": messages}, schema_overrides={
        "position": pl.Int64, "message": pl.String})  # fmt: skip
    found = template(rows.lazy()).collect()
    expected = [{"a 1": "a <n>", "a 2": "a <n>"}.get(message or "", message) for message in messages]
    assert found.rows() == list(zip(range(len(messages)), messages, expected, strict=True))


@given(st.text(st.sampled_from("ab ./-:("), max_size=10), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_number_that_stands_alone_makes_no_difference(around: str, one: int, other: int) -> None:
    assert len(set(templates(f"{around} {one} {around}", f"{around} {other} {around}"))) == 1
