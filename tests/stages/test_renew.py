"""What is written again: the open summaries of a workspace, and dead letters."""

import polars as pl

from batcher.schema import OPEN_SUMMARIES
from batcher.stages.renew import revive, write_again
from tests.stages.rows import at, frame

WRITTEN = {
    "summary": "s", "workspace": "root:shop", "version": 5, "written_version": 5, "written_at": at(1),
    "resource_version": "77", "refusal": "Invalid", "writes": 3,
}  # fmt: skip
NONE = frame(OPEN_SUMMARIES, [])


def test_of_a_named_workspace_nothing_is_known_to_be_written() -> None:
    rows = frame(OPEN_SUMMARIES, [WRITTEN, WRITTEN | {"summary": "t", "workspace": "root:team-a"}])
    shop, team = write_again(rows, ["root:shop"]).collect().to_dicts()
    names = ("written_version", "written_at", "resource_version", "refusal", "writes")
    assert [shop[name] for name in names] == [0, None, None, "", 3]
    assert [team[name] for name in names] == [5, at(1), "77", "Invalid", 3]


def test_without_a_name_everything_stays() -> None:
    rows = frame(OPEN_SUMMARIES, [WRITTEN])
    assert write_again(rows, []).collect().equals(rows.collect())


def test_a_letter_is_an_ended_summary_that_was_never_written() -> None:
    letters = frame(OPEN_SUMMARIES, [WRITTEN | {"occurrences": 9, "writes": 1}])
    found = revive(letters, NONE, batch=8, now=at(30)).collect()
    (row,) = found.to_dicts()
    assert (row["version"], row["written_version"], row["resource_version"], row["refusal"]) == (8, 0, None, "")
    assert (row["closed"], row["written_at"], row["occurrences"]) == (True, at(30), 9)
    assert found.schema == OPEN_SUMMARIES


def test_what_a_letter_of_an_older_version_does_not_say_is_empty() -> None:
    names = ("unmapped_uid", "origin", "kind", "template", "incident", "clusters", "cause")
    old = frame(OPEN_SUMMARIES, [WRITTEN | dict.fromkeys(names)])
    assert revive(old, NONE, batch=8, now=at(30)).select(names).collect().row(0) == ("",) * 7


def test_what_is_open_already_is_not_revived_and_what_is_asked_for_twice_is_once() -> None:
    letters = frame(OPEN_SUMMARIES, [WRITTEN, WRITTEN])
    assert revive(letters, frame(OPEN_SUMMARIES, [WRITTEN]), batch=8, now=at(30)).collect().is_empty()
    assert len(revive(letters, NONE, batch=8, now=at(30)).collect()) == 1


def test_columns_and_their_types_are_those_of_open_summaries() -> None:
    assert pl.concat([NONE, revive(NONE, NONE, batch=1, now=at(0))]).collect().schema == OPEN_SUMMARIES
