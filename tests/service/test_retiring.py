"""The spool goes as soon as it can when it is asked to, and not before what it held is safe."""

from pathlib import Path

from batcher.batch import Work, requests
from batcher.batch.requests import Kind, asked
from batcher.clock import to_micros
from batcher.service.retiring import Due, Retiring
from tests.history import START_AT, History, history
from tests.sections import event, watched


def batch(h: History, retiring: Retiring, version: int) -> Due:
    """Receive a line, and run the batch that a service would."""
    h.receive(watched(event(f"p{version}", version)), minute=version)
    due = retiring.due(h.batches)
    h.batches.next(
        Work(h.log.end, to_micros(START_AT) + version * 60_000_000, [], snapshot=due.snapshot, retire=due.answered)
    )
    h.batches.undelivered = []
    h.log.retire(h.batches.retire())
    return due


def segments(h: History) -> list[str]:
    return sorted(path.name for path in h.directory.spool.iterdir())


def test_two_snapshots_behind_a_closed_segment_let_it_go_and_answer(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        retiring = Retiring(h.directory, h.log)
        assert batch(h, retiring, 1) == Due()
        requests.ask(h.directory, Kind.RETIRE, ["7"])
        (first,) = segments(h)
        assert batch(h, retiring, 2) == Due()  # appended before the segment was closed
        assert batch(h, retiring, 3) == Due()
        assert batch(h, retiring, 4) == Due(snapshot=True)
        assert asked(h.directory, Kind.RETIRE) == ["7"]
        assert batch(h, retiring, 5) == Due(snapshot=True, answered=("7",))
        assert asked(h.directory, Kind.RETIRE) == []
        assert first not in segments(h)
        assert batch(h, retiring, 6) == Due()


def test_what_is_asked_later_begins_again(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        retiring = Retiring(h.directory, h.log)
        requests.ask(h.directory, Kind.RETIRE, ["1"])
        batch(h, retiring, 1)
        requests.ask(h.directory, Kind.RETIRE, ["2"])
        while asked(h.directory, Kind.RETIRE) != ["2"]:
            batch(h, retiring, h.batches.last.batch + 1)
        begun = len(segments(h))
        while asked(h.directory, Kind.RETIRE):
            batch(h, retiring, h.batches.last.batch + 1)
        assert len(segments(h)) <= begun


def test_after_a_restart_it_begins_again(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        requests.ask(h.directory, Kind.RETIRE, ["1"])
        retiring = Retiring(h.directory, h.log)
        batch(h, retiring, 1)
    with history(tmp_path / "data") as h:
        assert asked(h.directory, Kind.RETIRE) == ["1"]
        retiring = Retiring(h.directory, h.log)
        for version in (2, 3, 4, 5, 6):
            batch(h, retiring, version)
        assert asked(h.directory, Kind.RETIRE) == []
