import pytest

from batcher.decode import REVISIONS
from batcher.schema import SEEN
from batcher.stages.missing import missing
from tests.stages.rows import frame


@pytest.mark.parametrize(
    ("incarnation", "expected"),
    [(0, [3]), (1, [2, 3]), (2, [0, 1, 2, 3])],
    ids=["older", "same", "later"],
)
def test_what_is_above_all_that_was_seen_of_its_incarnation_is_missing(incarnation: int, expected: list[int]) -> None:
    revisions = [(0, 1, 4), (1, 1, 5), (2, 1, 6), (3, 2, 1)]
    rows = [{"index": n, "identity_low": low, "resource_version": version} for n, low, version in revisions]
    seen = frame(SEEN, [{"identity_low": 1, "incarnation": 1, "resource_version": 5}])
    found = missing(frame(REVISIONS, rows), seen, incarnation=incarnation).collect()
    assert found["index"].to_list() == expected
