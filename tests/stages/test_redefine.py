"""What decides which rows are one summary, as the state and as the rules say it."""

import polars as pl

from batcher.schema import DEFINITIONS
from batcher.stages.redefine import end_all, redefined


def known(**said: str) -> pl.DataFrame:
    return pl.DataFrame(list(said.items()), schema=DEFINITIONS, orient="row")


def test_what_is_new_is_kept_and_ends_nothing() -> None:
    found = redefined(known(), {"b": "2", "a": "1"})
    assert found.changed.rows() == [("a", "1"), ("b", "2")]
    assert not found.ends
    assert not redefined(known(a="1"), {"a": "1", "b": "2"}).ends


def test_what_was_something_else_is_kept_and_ends_all() -> None:
    found = redefined(known(a="1", b="2"), {"a": "1", "b": "3"})
    assert found.changed.rows() == [("b", "3")]
    assert (found.ends, found.others) == (True, ("b",))


def test_the_same_again_changes_nothing() -> None:
    found = redefined(known(a="1"), {"a": "1"})
    assert (found.changed.is_empty(), found.ends) == (True, False)
    assert dict(found.changed.schema) == DEFINITIONS


def test_what_nobody_could_say_before_was_as_it_is_without_the_message() -> None:
    older, now = known(**{"aggregation.window": "1"}), {"aggregation.window": "1"}
    found = redefined(older, now | {"aggregation.key": "object, type, reason, template"})
    assert found.others == ("aggregation.key",)
    assert found.changed.rows() == [("aggregation.key", "object, type, reason, template")]
    same = redefined(older, now | {"aggregation.key": "object, type, reason"})
    assert (same.others, len(same.changed)) == ((), 1)
    assert redefined(known(), now | {"aggregation.key": "object, type, reason, template"}).others == ()


def test_only_what_goes_on_and_is_no_incident_is_cut_and_only_when_it_is_redefined() -> None:
    summaries = pl.LazyFrame({"closed": [False, True, False], "kind": ["", "", "incident"]})
    changed, same = ([True, False, False], [True, True, False]), ([False, False, False], [False, True, False])
    for is_redefined, (cut, closed) in ((True, changed), (False, same)):
        ended = end_all(summaries, redefined=is_redefined).collect()
        assert (ended["is_cut"].to_list(), ended["closed"].to_list()) == (cut, closed)
