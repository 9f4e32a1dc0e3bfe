"""Segments on disk: append a frame durably, read frames back, recover what a crash or a bad disk left.

A segment is ``<number>.seg``; numbers grow by one. Each segment but the first begins with a frame that
repeats every cursor, so that the newest segments alone say where to resume, and old ones can be retired.
What cannot be read is moved to quarantine, byte for byte, and never skipped silently. Nothing here knows
about tasks or clocks; :mod:`batcher.spool.writer` does the grouping.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import zstandard

from batcher import disk
from batcher.errors import DataDirError
from batcher.spool.frames import UNLISTED, Damaged, Frame, Kind, Section, Stream, encode_frame, frames
from batcher.spool.position import SEGMENT_BYTES, Place


@dataclass
class Recovered:
    """What a scan found: where the next frame goes, the cursors, and frames not yet in a batch."""

    end: Place
    cursors: dict[Stream, str] = field(default_factory=dict)
    unplanned: list["FrameEnd"] = field(default_factory=list)
    last_received_at: int = 0
    damaged: list[str] = field(default_factory=list)
    """One sentence for each cut: what was found, where, and where its bytes are kept."""


@dataclass(frozen=True)
class FrameEnd:
    """Where a frame ends, how many lines it holds, and when it was received (microseconds)."""

    end: Place
    lines: int
    received_at: int


class Log:
    """The segments of one directory. One writer; any number of readers of what is already written."""

    def __init__(self, directory: Path, quarantine: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Use ``directory`` for segments and ``quarantine`` for bytes that are no frames; both exist."""
        self._directory = directory
        self._quarantine = quarantine
        self._segment_bytes = min(segment_bytes, SEGMENT_BYTES)
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._descriptor = -1
        self._end = Place(1, 0)
        self._is_closing = False
        self._closed_bytes = 0
        self._cursors: dict[Stream, str] = {}

    def recover(self, since: Place, planned: Place | None = None, known: Sequence[Stream] = ()) -> Recovered:
        """Scan from ``since`` (the end of the last committed batch) and make the log ready to append.

        ``planned`` is where a plan without commit ends: what was there when it was made must be there still.

        Cuts a torn tail of the last segment. A damaged frame elsewhere loses the rest of its segment, and
        every cursor is given up, on disk too, so that all clusters are listed again. ``known`` are streams that
        batches have counted: one that the spool has lost must be listed, and not from its first incarnation,
        in which all would be taken for repeats.
        """
        found = Recovered(since)
        segments = [number for number in self._segments() if number >= since.segment]
        if segments:  # a process that was killed may have left what is not synced, and batches will build on it
            disk.sync_file(self._path(segments[-1]))
        lost = not self._read_cursors_before(since, found)
        lost = self._misses_segments(since, segments, found) or lost
        cuts: list[tuple[Place, str]] = []
        for number in segments:
            what = self._scan(Place(number, since.offset if number == since.segment else 0), found)
            cuts += [(found.end, what)] if what else []
            lost = lost or bool(what and number != segments[-1])
        planned = planned or since
        lost = self._misses_planned(planned, found) or lost
        found.cursors |= dict.fromkeys(_missing(known, found.cursors), UNLISTED)
        if lost or cuts:
            # A plan may end behind the cut: what comes now must not be taken for what it was planned for.
            found.end = Place(max(found.end.segment, planned.segment) + 1, 0)
        self._end, self._cursors = found.end, found.cursors
        self._descriptor = self._open(self._end)
        if lost:
            self._give_up_cursors(found)
        for at, what in cuts:  # last, so that a crash before finds the damage again
            self._cut(at, what, found)
        self._closed_bytes = sum(self._path(n).stat().st_size for n in self._segments() if n != self._end.segment)
        return found

    def _give_up_cursors(self, found: Recovered) -> None:
        """Keep the streams, for their incarnations, and say of each that it must be listed."""
        found.cursors = self._cursors = dict.fromkeys(found.cursors, UNLISTED)
        self._repeat_cursors(found.last_received_at)

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self._directory.glob("*.seg"))

    def _path(self, segment: int) -> Path:
        return self._directory / f"{segment:010d}.seg"

    def _scan(self, start: Place, found: Recovered) -> str:
        """Add the frames from ``start`` to the end of its segment; return what was found that is none."""
        found.end = start
        try:
            for frame in self._frames(start):
                found.end = Place(start.segment, frame.end)
                _note(found, frame)
        except Damaged as damage:
            return str(damage)
        return ""

    def _read_cursors_before(self, since: Place, found: Recovered) -> bool:
        """Cursors of streams that are silent since ``since`` stand earlier in its segment; say if all are known."""
        if since.offset == 0:
            return True
        what = f"ends before byte {since.offset}, to which batches have read it"
        try:
            for frame in self._frames(Place(since.segment, 0), since.offset):
                _move_cursors(found.cursors, frame.sections)
                found.last_received_at = frame.sections[0].received_at
                if frame.end == since.offset:
                    return True
        except (Damaged, FileNotFoundError) as error:
            what = str(error)
        found.damaged.append(f"{self._path(since.segment).name}: {what}; every cluster is listed again")
        return False

    def _misses_segments(self, since: Place, segments: list[int], found: Recovered) -> bool:
        """Segments follow each other without a gap, so a number that is not there was a file once."""
        first = since.segment + (since.offset > 0)  # else it was read for its cursors, and told if it is gone
        missing = sorted(set(range(first, max(segments, default=0))) - set(segments))
        found.damaged += [f"{self._path(n).name}: is gone; every cluster is listed again" for n in missing]
        return bool(missing)

    def _misses_planned(self, planned: Place, found: Recovered) -> bool:
        """The newest segments have no later one to tell that they are gone."""
        if found.end >= planned or found.end.segment == planned.segment:  # else told where it is cut
            return False
        found.damaged.append(f"{self._path(planned.segment).name}: is gone; every cluster is listed again")
        return True

    def _cut(self, at: Place, what: str, found: Recovered) -> None:
        path = self._path(at.segment)
        with path.open("rb") as segment:
            segment.seek(at.offset)
            tail = segment.read()
        kept = self._quarantine / f"{at.segment:010d}-{at.offset}.bytes"
        disk.write_file(kept, tail)
        disk.cut_file(path, at.offset)
        found.damaged.append(f"{path.name}: {what}; {len(tail)} bytes moved to {kept.name}")

    def _frames(self, start: Place, stop: int | None = None) -> Iterator[Frame]:
        with self._path(start.segment).open("rb") as segment:
            segment.seek(start.offset)
            data = segment.read(-1 if stop is None else stop - start.offset)
        return frames(data, start.offset)

    def _open(self, place: Place) -> int:
        path = self._path(place.segment)
        with disk.trusted(f"opening {path}"):
            return disk.open_to_append(path)

    def append(self, sections: Sequence[Section]) -> FrameEnd:
        """Write ``sections`` as one frame and return when it is on disk.

        Raises :class:`Unavailable` when the disk takes nothing now (nothing was written then), and
        :class:`DataDirError` when a sync failed: what the disk holds is unknown, and the process must end.
        """
        if self._end.offset >= self._segment_bytes or (self._is_closing and self._end.offset):
            self._rotate()
        if self._end.offset == 0:
            self._repeat_cursors(sections[0].received_at)
        self._write(encode_frame(sections, self._compressor))
        moved = dict(self._cursors)  # another thread may be reading them
        _move_cursors(moved, sections)
        self._cursors = moved
        return FrameEnd(self._end, sum(s.lines for s in sections), sections[0].received_at)

    def close_segment(self) -> None:
        """Begin a segment with what is appended next, so that those before it can be retired."""
        self._is_closing = True

    def _rotate(self) -> None:
        following = Place(self._end.segment + 1, 0)
        descriptor = self._open(following)
        disk.close(self._descriptor)
        self._descriptor = descriptor
        self._closed_bytes += self._end.offset
        self._is_closing = False
        self._end = following

    def _repeat_cursors(self, received_at: int) -> None:
        repeated = [Section(s, "", Kind.CURSOR, c, received_at=received_at) for s, c in self._cursors.items()]
        if repeated:
            self._write(encode_frame(repeated, self._compressor))

    def _write(self, data: bytes) -> None:
        with disk.trusted(f"writing {self._path(self._end.segment)}"):
            try:
                disk.write_all(self._descriptor, data)
            except OSError:
                disk.truncate(self._descriptor, self._end.offset)
                raise
            disk.sync_data(self._descriptor)
        self._end = Place(self._end.segment, self._end.offset + len(data))

    def read(self, start: Place, end: Place) -> Iterator[tuple[Place, list[Section]]]:
        """Yield (place, sections) of every frame from ``start`` up to ``end``, which are frame boundaries.

        Raises :class:`DataDirError` if one is damaged: it was whole when it was written.
        """
        for number in [n for n in self._segments() if start.segment <= n <= end.segment]:
            first = start.offset if number == start.segment else 0
            stop = end.offset if number == end.segment else None
            try:
                for frame in self._frames(Place(number, first), stop):
                    yield Place(number, frame.offset), frame.sections
            except Damaged as damage:
                message = f"{self._path(number)}: {damage}; restart to move it to quarantine and list again"
                raise DataDirError(message) from damage

    def missing(self, start: Place, end: Place) -> set[int]:
        """Return the numbers of the segments from ``start`` to ``end`` that are retired or lost."""
        return set(range(start.segment, end.segment + 1)) - set(self._segments())

    @property
    def cursors(self) -> Mapping[Stream, str]:
        """Where each stream resumes, as of the last frame on disk; replaced at each append, never changed."""
        return self._cursors

    @property
    def end(self) -> Place:
        """Where the next frame will begin, unless its segment is full."""
        return self._end

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return self._closed_bytes + self._end.offset

    @property
    def can_shrink(self) -> bool:
        """Whether there is a segment that can be retired one day: another than the one that is written."""
        return self._closed_bytes > 0

    def retire(self, before: Place) -> None:
        """Delete the segments that lie wholly before ``before``."""
        for number in self._segments():
            if number < min(before.segment, self._end.segment):
                self._closed_bytes -= self._path(number).stat().st_size
                disk.remove(self._path(number))

    def close(self) -> None:
        """Close the segment that is being written; what was appended is on disk already."""
        if self._descriptor >= 0:
            disk.close(self._descriptor)
            self._descriptor = -1


def _note(found: Recovered, frame: Frame) -> None:
    received_at = frame.sections[0].received_at
    found.unplanned.append(FrameEnd(found.end, sum(s.lines for s in frame.sections), received_at))
    found.last_received_at = max(found.last_received_at, received_at)
    _move_cursors(found.cursors, frame.sections)


def _missing(known: Sequence[Stream], cursors: Mapping[Stream, str]) -> list[Stream]:
    """Return the ``known`` streams of which ``cursors`` have neither this incarnation nor a later one."""
    latest: dict[Stream, int] = {}
    for stream in cursors:
        first = msgspec.structs.replace(stream, incarnation=0)
        latest[first] = max(stream.incarnation, latest.get(first, 0))
    return [each for each in known if latest.get(msgspec.structs.replace(each, incarnation=0), -1) < each.incarnation]


def _move_cursors(cursors: dict[Stream, str], sections: Sequence[Section]) -> None:
    for section in sections:
        if section.cursor:
            cursors[section.stream] = section.cursor
        elif section.cursor is not None:
            cursors.pop(section.stream, None)
