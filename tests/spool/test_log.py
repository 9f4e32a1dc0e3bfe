import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batcher.errors import DataDirError, Unavailable
from batcher.spool import UNLISTED, Kind, Section, Stream
from batcher.spool.log import FrameEnd, Log, Recovered
from batcher.spool.position import START, Place, place_of
from tests.sections import STREAM, lines

QUIET = Stream("uid-eu", "events")
QUIET_ANEW = Stream("uid-eu", "events", "", 1)


def opened(folder: Path, *, since: Place = START, segment_bytes: int = 1 << 20) -> tuple[Log, Recovered]:
    for name in ("spool", "quarantine"):
        (folder / name).mkdir(exist_ok=True)
    log = Log(folder / "spool", folder / "quarantine", segment_bytes=segment_bytes)
    return log, log.recover(since)


def filled(folder: Path, count: int, *, segment_bytes: int = 1 << 20) -> list[FrameEnd]:
    """Append ``count`` frames of one line, ``line 1`` with cursor 1 and so on, and close."""
    log, _ = opened(folder, segment_bytes=segment_bytes)
    ends = [log.append([lines(f"line {n}".encode(), cursor=str(n), at=n)]) for n in range(1, count + 1)]
    log.close()
    return ends


def bodies(log: Log, start: Place = START, end: Place | None = None) -> list[bytes]:
    """The lines between two places, without the sections that hold none."""
    return [s.body for _, group in log.read(start, end or log.end) for s in group if s.lines]


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "quarantine").iterdir()}


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The kernel lets no file grow beyond ``size`` bytes, and takes what fits: as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    ends = filled(tmp_path, 3)
    log, found = opened(tmp_path)
    assert bodies(log) == [b"line 1\n", b"line 2\n", b"line 3\n"]
    assert found.unplanned == ends
    assert (found.cursors, found.last_received_at, found.damaged) == ({STREAM: "3"}, 3, [])
    assert log.end == ends[-1].end
    log.close()


def test_a_restart_scans_from_the_last_batch_and_knows_cursors_from_before_it(tmp_path: Path) -> None:
    log, _ = opened(tmp_path)
    first = log.append([lines(b"quiet", stream=QUIET, cursor="9", at=1)])
    second = log.append([lines(b"busy", cursor="10", at=2)])
    log.close()
    log, found = opened(tmp_path, since=first.end)
    assert found.unplanned == [second]
    assert found.cursors == {QUIET: "9", STREAM: "10"}
    log.close()
    assert opened(tmp_path, since=second.end)[1].last_received_at == 2


def test_a_range_is_read_from_frame_to_frame(tmp_path: Path) -> None:
    ends = [end.end for end in filled(tmp_path, 5, segment_bytes=200)]
    assert ends[-1].segment > 1
    log, _ = opened(tmp_path, segment_bytes=200)
    for start in range(5):
        for end in range(start, 5):
            expected = [f"line {n}\n".encode() for n in range(start + 2, end + 2)]
            assert bodies(log, ends[start], ends[end]) == expected
    log.close()


def test_the_places_of_a_range_are_where_its_frames_begin(tmp_path: Path) -> None:
    ends = filled(tmp_path, 3)
    log, _ = opened(tmp_path)
    assert [place for place, _ in log.read(START, log.end)] == [START, ends[0].end, ends[1].end]
    assert place_of(ends[0].end.line(7)) == ends[0].end
    log.close()


def test_a_tail_torn_at_any_byte_is_cut_and_its_bytes_are_kept(tmp_path: Path) -> None:
    ends = filled(tmp_path, 2)
    segment = tmp_path / "spool" / "0000000001.seg"
    whole = segment.read_bytes()
    for size in range(ends[0].end.offset + 1, len(whole)):
        segment.write_bytes(whole[:size])
        log, found = opened(tmp_path)
        assert bodies(log) == [b"line 1\n"]
        assert (found.unplanned, found.cursors) == (ends[:1], {STREAM: "1"})
        assert kept(tmp_path) == {f"0000000001-{ends[0].end.offset}.bytes": whole[ends[0].end.offset : size]}
        assert len(found.damaged) == 1
        log.append([lines(b"after", cursor="2")])
        log.close()
        log, found = opened(tmp_path)
        assert bodies(log) == [b"line 1\n", b"after\n"]
        assert (found.damaged, found.cursors) == ([], {STREAM: "2"})
        log.close()
        for number in (2, 3):
            (tmp_path / "spool" / f"{number:010d}.seg").unlink(missing_ok=True)


def test_a_flipped_byte_anywhere_loses_no_whole_frame_before_it_and_says_so(tmp_path: Path) -> None:
    ends = [0, *(end.end.offset for end in filled(tmp_path, 3))]
    segment = tmp_path / "spool" / "0000000001.seg"
    whole = segment.read_bytes()
    for index in range(len(whole)):
        segment.write_bytes(whole[:index] + bytes([whole[index] ^ 0xFF]) + whole[index + 1 :])
        log, found = opened(tmp_path)
        frame = max(n for n in range(3) if ends[n] <= index)
        assert bodies(log) == [b"line 1\n", b"line 2\n", b"line 3\n"][:frame]
        assert found.cursors == ({STREAM: str(frame)} if frame else {})
        assert len(found.damaged) == 1
        log.close()
        (tmp_path / "spool" / "0000000002.seg").unlink()


def test_what_comes_after_a_cut_is_never_read_as_what_was_planned_before_it(tmp_path: Path) -> None:
    ends = filled(tmp_path, 3)
    segment = tmp_path / "spool" / "0000000001.seg"
    segment.write_bytes(segment.read_bytes()[: ends[0].end.offset + 1])
    log, _ = opened(tmp_path)
    for n in range(5):
        log.append([lines(f"after {n}".encode(), cursor="9")])
    assert bodies(log, START, ends[2].end) == [b"line 1\n"]
    assert bodies(log, ends[2].end) == [f"after {n}\n".encode() for n in range(5)]
    log.close()


def test_damage_in_a_middle_segment_gives_all_cursors_up_and_they_stay_given_up(tmp_path: Path) -> None:
    log, _ = opened(tmp_path, segment_bytes=100)
    log.append([lines(b"quiet", stream=QUIET, cursor="9")])
    for n in range(1, 10):
        log.append([lines(f"line {n}".encode(), cursor=str(n))])
    log.close()
    middle = tmp_path / "spool" / "0000000002.seg"
    damaged = bytearray(middle.read_bytes())
    damaged[-1] ^= 1
    middle.write_bytes(damaged)
    log, found = opened(tmp_path, segment_bytes=100)
    assert len(found.damaged) == 1
    given_up = {QUIET: UNLISTED, STREAM: UNLISTED}
    assert (found.cursors, log.cursors) == (given_up, given_up)
    log.close()
    log, found = opened(tmp_path, segment_bytes=100)
    assert (found.damaged, found.cursors) == ([], given_up)
    assert bodies(log)[0] == b"quiet\n"
    assert bodies(log)[-1] == b"line 9\n"
    log.append([lines(b"listed again", cursor="50")])
    log.close()
    assert opened(tmp_path)[1].cursors == {QUIET: UNLISTED, STREAM: "50"}


def test_a_stream_that_must_be_listed_is_repeated_in_each_segment_until_it_is_given_up(tmp_path: Path) -> None:
    log, _ = opened(tmp_path, segment_bytes=100)
    log.append([Section(QUIET_ANEW, "", Kind.CURSOR, UNLISTED), Section(QUIET, "", Kind.CURSOR, UNLISTED)])
    log.append([Section(QUIET, "", Kind.CURSOR, "")])
    while log.end.segment < 3:
        log.append([lines(b"busy", cursor="10")])
    log.retire(Place(3, 0))
    log.close()
    assert opened(tmp_path, since=Place(3, 0))[1].cursors == {QUIET_ANEW: UNLISTED, STREAM: "10"}


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "lost"])
def test_a_stream_that_only_batches_know_must_be_listed_and_keeps_its_incarnation(
    tmp_path: Path,
    lost: bool,  # noqa: FBT001
) -> None:
    since = filled(tmp_path, 3)[1].end
    if lost:
        (tmp_path / "spool" / "0000000001.seg").unlink()
    log = Log(tmp_path / "spool", tmp_path / "quarantine")
    assert log.recover(since, known=[QUIET_ANEW]).cursors == ({} if lost else {STREAM: "3"}) | {QUIET_ANEW: UNLISTED}
    log.append([lines(b"after", cursor="9")])
    assert log.cursors == {STREAM: "9", QUIET_ANEW: UNLISTED}
    log.close()


@pytest.mark.parametrize(("known", "expected"), [(0, {1: "9"}), (1, {1: "9"}), (2, {1: "9", 2: UNLISTED})])
def test_the_later_incarnation_of_the_spool_and_of_the_batches_holds(
    tmp_path: Path, known: int, expected: dict[int, str]
) -> None:
    log, _ = opened(tmp_path)
    end = log.append([lines(b"quiet", stream=QUIET_ANEW, cursor="9")]).end
    log.close()
    found = log.recover(end, known=[Stream("uid-eu", "events", "", known)]).cursors
    assert found == {Stream("uid-eu", "events", "", incarnation): cursor for incarnation, cursor in expected.items()}
    log.close()


class CrashingLog(Log):
    """Dies as soon as it has cut what is damaged."""

    def _cut(self, at: Place, what: str, found: Recovered) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        super()._cut(at, what, found)
        raise KeyboardInterrupt


def test_a_crash_while_recovering_does_not_forget_that_cursors_are_to_be_given_up(tmp_path: Path) -> None:
    filled(tmp_path, 9, segment_bytes=100)
    (tmp_path / "spool" / "0000000002.seg").write_bytes(b"damaged")
    with pytest.raises(KeyboardInterrupt):
        CrashingLog(tmp_path / "spool", tmp_path / "quarantine", segment_bytes=100).recover(START)
    log, found = opened(tmp_path, segment_bytes=100)
    assert (found.damaged, found.cursors) == ([], {STREAM: UNLISTED})
    log.close()


@pytest.mark.parametrize("harm", ["flipped", "shorter", "gone"])
def test_damage_before_the_last_batch_lists_all_clusters_again(tmp_path: Path, harm: str) -> None:
    since = filled(tmp_path, 3)[1].end
    segment = tmp_path / "spool" / "0000000001.seg"
    whole = segment.read_bytes()
    if harm == "gone":
        segment.unlink()
    else:
        segment.write_bytes(b"\xff" + whole[1:] if harm == "flipped" else whole[: since.offset - 1])
    log, found = opened(tmp_path, since=since)
    assert len(found.damaged) == 1
    assert found.damaged[0].endswith("every cluster is listed again")
    assert not set(found.cursors.values()) - {UNLISTED}
    log.append([lines(b"after", cursor="9")])
    assert bodies(log, since) == ([b"line 3\n"] if harm == "flipped" else []) + [b"after\n"]
    log.close()


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_segment_that_is_gone_lists_all_clusters_again(tmp_path: Path, gone: int) -> None:
    filled(tmp_path, 9, segment_bytes=100)
    (tmp_path / "spool" / f"{gone:010d}.seg").unlink()
    log, found = opened(tmp_path, segment_bytes=100)
    assert found.damaged == [f"{gone:010d}.seg: is gone; every cluster is listed again"]
    assert (found.cursors, bodies(log)[-1]) == ({STREAM: UNLISTED}, b"line 9\n")
    log.close()


def test_the_newest_segments_are_missed_if_a_plan_had_been_made_for_them(tmp_path: Path) -> None:
    ends = [end.end for end in filled(tmp_path, 9, segment_bytes=100)]
    for number in range(2, ends[-1].segment + 1):
        (tmp_path / "spool" / f"{number:010d}.seg").unlink()
    log = Log(tmp_path / "spool", tmp_path / "quarantine")
    found = log.recover(START, ends[-1])
    assert found.damaged == [f"{ends[-1].segment:010d}.seg: is gone; every cluster is listed again"]
    assert (found.cursors, log.end > ends[-1]) == ({STREAM: UNLISTED}, True)
    assert bodies(log, START, ends[-1]) == [b"line 1\n", b"line 2\n"]
    log.close()


def test_retired_segments_are_not_missed(tmp_path: Path) -> None:
    ends = [end.end for end in filled(tmp_path, 9, segment_bytes=100)]
    log, _ = opened(tmp_path, since=ends[6], segment_bytes=100)
    log.retire(ends[6])
    log.close()
    assert min((tmp_path / "spool").iterdir()).name == f"{ends[6].segment:010d}.seg" != "0000000001.seg"
    for since in ends[6:]:
        log, found = opened(tmp_path, since=since, segment_bytes=100)
        assert (found.damaged, found.cursors) == ([], {STREAM: "9"})
        log.close()


def test_each_new_segment_begins_with_all_cursors(tmp_path: Path) -> None:
    log, _ = opened(tmp_path, segment_bytes=100)
    log.append([lines(b"quiet", stream=QUIET, cursor="9", at=1)])
    while log.end.segment < 3:
        log.append([lines(b"busy", cursor="10", at=2)])
    (first, sections), *_ = log.read(Place(3, 0), log.end)
    assert first == Place(3, 0)
    assert sections == [
        Section(QUIET, "", Kind.CURSOR, "9", received_at=2),
        Section(STREAM, "", Kind.CURSOR, "10", received_at=2),
    ]
    log.retire(Place(3, 0))
    log.close()
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["0000000003.seg"]
    assert opened(tmp_path, since=Place(3, 0))[1].cursors == {QUIET: "9", STREAM: "10"}


def test_a_segment_that_a_crash_left_empty_still_begins_with_all_cursors(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    (tmp_path / "spool" / "0000000002.seg").touch()
    log, _ = opened(tmp_path)
    log.append([lines(b"line 3")])
    log.close()
    (tmp_path / "spool" / "0000000001.seg").unlink()
    assert opened(tmp_path, since=Place(2, 0))[1].cursors == {STREAM: "2"}


def test_retiring_keeps_the_segment_of_the_place_and_the_one_that_is_written(tmp_path: Path) -> None:
    ends = filled(tmp_path, 9, segment_bytes=100)
    log, _ = opened(tmp_path, segment_bytes=100)
    log.retire(Place(2, 50))
    assert min(path.name for path in (tmp_path / "spool").iterdir()) == "0000000002.seg"
    log.retire(Place(ends[-1].end.segment + 5, 0))
    assert [int(path.stem) for path in (tmp_path / "spool").iterdir()] == [ends[-1].end.segment]
    assert log.size == sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    log.close()


def test_the_size_is_that_of_all_segments(tmp_path: Path) -> None:
    log, _ = opened(tmp_path, segment_bytes=100)
    for n in range(9):
        log.append([lines(b"busy", cursor=str(n))])
        assert log.size == sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    log.close()
    assert opened(tmp_path, segment_bytes=100)[0].size == log.size


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_frame_that_a_full_disk_takes_half_of_was_never_written(tmp_path: Path, at: int) -> None:
    log, _ = opened(tmp_path)
    before = log.append([lines(b"before", cursor="1")]).end
    with (
        files_up_to(before.offset + at),
        pytest.raises(Unavailable, match="File too large while writing"),
    ):
        log.append([lines(b"too much", cursor="2")])
    assert (tmp_path / "spool" / "0000000001.seg").stat().st_size == before.offset
    assert (log.end, log.cursors) == (before, {STREAM: "1"})
    log.append([lines(b"after", cursor="3")])
    assert bodies(log) == [b"before\n", b"after\n"]
    log.close()


def test_a_segment_that_cannot_be_opened_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    log, _ = opened(tmp_path, segment_bytes=1)
    end = log.append([lines(b"before", cursor="1")]).end
    (tmp_path / "spool" / "0000000002.seg").mkdir()
    with pytest.raises(IsADirectoryError):
        log.append([lines(b"refused", cursor="2")])
    assert (log.end, log.cursors) == (end, {STREAM: "1"})
    (tmp_path / "spool" / "0000000002.seg").rmdir()
    log.append([lines(b"after", cursor="3")])
    assert bodies(log) == [b"before\n", b"after\n"]
    log.close()


def test_a_failed_sync_is_fatal(tmp_path: Path) -> None:
    log, _ = opened(tmp_path)
    reading, writing = os.pipe()  # takes bytes, and cannot be synced
    os.close(log._descriptor)
    log._descriptor = writing
    with pytest.raises(DataDirError, match="the disk cannot be trusted"):
        log.append([lines(b"line")])
    os.close(reading)
    log.close()


def test_damage_found_while_reading_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    log, _ = opened(tmp_path)
    log.append([lines(b"line", cursor="1")])
    (tmp_path / "spool" / "0000000001.seg").write_bytes(b"\xff" * 60)
    with pytest.raises(DataDirError, match="restart to move it to quarantine and list again"):
        list(log.read(START, log.end))
    log.close()
