from pathlib import Path

from batcher.archive import Deliverer, check_owner
from batcher.batch import DataDirectory
from batcher.events import added, chosen, last_batch
from tests.history import START_AT, History, history
from tests.sections import event, watched


def deliver(h: History, archive: Path) -> None:
    check_owner(archive, h.directory.id)
    h.batches.delivered(Deliverer(archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))


def test_each_revision_is_shown_once_whether_it_is_staged_or_delivered_meanwhile(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10)), minute=0)
        assert last_batch(h.directory) == 1
        following = added(h.directory, chosen(namespace="web", now=START_AT), after=1)
        shown = []
        for minute in range(1, 8):
            if minute % 2:
                h.batch(
                    watched(event("web", 10 + minute, count=minute)),
                    watched(event("x", 1, namespace="y")),
                    minute=minute,
                )
            if minute in {2, 5}:
                deliver(h, tmp_path / "archive")
            if minute != 3:
                shown.append(next(following)["count"].to_list())
    assert shown == [[1], [], [3], [5], [], [7]]


def test_before_the_first_batch_nothing_is_there_to_follow(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        directory: DataDirectory = h.directory
        assert last_batch(directory) == 0
        assert next(added(directory, chosen(now=START_AT), after=0)).is_empty()
