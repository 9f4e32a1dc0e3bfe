"""What is written about a batch: its plan before, its commit after, and the state in between.

Plans and commits are JSON, for people who look; changes and snapshots are Arrow, checked by a digest,
because Arrow has no checksum of its own. What an older version wrote lacks the columns that it did not know;
reading fills them. Nothing here touches the disk.
"""

import io
from typing import NamedTuple

import msgspec
import polars as pl
import zstandard

from batcher import disk
from batcher.errors import DataDirError
from batcher.pipeline import STATE_COLUMNS, STATE_KEYS, Change, State
from batcher.schema import OPEN_SUMMARIES, SUMS, Columns, completed, empty
from batcher.staging import StagedFile
from batcher.telemetry import RuleCount


class OutcomeRecord(msgspec.Struct, frozen=True):
    """What became of the newest version of a summary that was offered to its workspace."""

    summary: str
    version: int
    resource_version: str | None
    written: bool
    refusal: str
    at: int
    """Microseconds since the epoch."""


class KnownRecord(msgspec.Struct, frozen=True):
    """What the archive says of an identity that the state has forgotten (:data:`batcher.stages.recall.KNOWN`)."""

    identity_high: int
    identity_low: int
    incarnation: int
    resource_version: int
    count: int


class Plan(msgspec.Struct, frozen=True):
    """Everything that batch ``batch`` depends on."""

    batch: int
    now: int
    """Microseconds since the epoch; not behind any line after ``end``."""
    start: tuple[int, int]
    """(segment, offset): the end of the batch before."""
    end: tuple[int, int]
    outcomes: list[OutcomeRecord]
    requests: list[str]
    """As :mod:`batcher.batch.requests` names them."""
    config: str
    """Digest of the rules, which are kept under that name."""
    code: str
    known: list[KnownRecord] = []
    """What was counted of the identities of these lines, as far as the state has forgotten it."""
    first: int = 0
    """The position of the first of these lines in the archive; those of the others follow."""
    before: int = 0
    """The ``now`` of the batch before: when these lines count as received."""
    letters: bytes = b""
    """The dead letters that are asked for, as Arrow: the archive may be away when the batch is run again."""


class Commit(msgspec.Struct, frozen=True):
    """Everything that batch ``batch`` did."""

    batch: int
    now: int
    end: tuple[int, int]
    sums: dict[str, int]
    totals: dict[str, int]
    """The sums of all batches up to this one."""
    clusters: dict[str, dict[str, int]]
    """By the cluster's name: events, occurrences and warnings so far, and the newest lag_ms and publish_lag_ms."""
    files: list[StagedFile]
    changes: str
    """Digest of the changes of state."""
    first: int = 1
    """The first batch of the data directory: not 1 where it goes on with the archive of one that was lost."""
    rules: list[RuleCount] = []
    """What each rule of the filter of this batch did so far, in the order in which they are asked."""
    gap_at: int = 0
    """The ``now`` of the newest batch, up to this one, that found a gap; 0: none did."""


class Snapshot(NamedTuple):
    """The state after ``commit``."""

    commit: Commit
    state: State


NOTHING = Commit(0, 0, (1, 0), {}, dict.fromkeys(SUMS, 0), {}, [], "")
"""Before the first batch."""

_LIMIT = 8 * 2**30


def encode_changes(changes: dict[str, Change]) -> bytes:
    """Return ``changes`` as bytes."""
    frames = {f"{name}.{part}": frame for name, change in changes.items() for part, frame in zip(
        Change._fields, change, strict=True)}  # fmt: skip
    return _encode(frames)


def decode_changes(data: bytes) -> dict[str, Change]:
    """Return the changes that ``data`` holds; columns as in :data:`batcher.pipeline.STATE_COLUMNS`."""
    frames = _decode(data)
    return {
        name: Change(
            _read(frames, f"{name}.put", columns),
            _read(frames, f"{name}.removed", {key: columns[key] for key in STATE_KEYS[name]}),
        )
        for name, columns in STATE_COLUMNS.items()
    }


def encode_letters(letters: pl.DataFrame) -> bytes:
    """Return the dead letters of a plan as bytes; none are no bytes."""
    return _encode({"letters": letters}) if len(letters) else b""


def decode_letters(data: bytes) -> pl.DataFrame:
    """Return the dead letters that ``data`` holds, :data:`batcher.schema.OPEN_SUMMARIES`."""
    return _read(_decode(data) if data else {}, "letters", OPEN_SUMMARIES)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return ``snapshot`` as bytes that know whether they are whole."""
    body = _encode(snapshot.state)
    head = msgspec.json.encode({"digest": disk.digest(body), "commit": snapshot.commit})
    return head + b"\n" + body


class _SnapshotHead(msgspec.Struct):
    digest: str
    commit: Commit


def decode_snapshot(data: bytes) -> Snapshot:
    """Return the snapshot that ``data`` holds; raise :class:`DataDirError` if it is not whole."""
    try:
        first, _, body = data.partition(b"\n")
        head = msgspec.json.decode(first, type=_SnapshotHead)
    except msgspec.DecodeError as error:
        message = f"snapshot: {error}"
        raise DataDirError(message) from error
    if disk.digest(body) != head.digest:
        message = "snapshot: its bytes differ from its digest"
        raise DataDirError(message)
    frames = _decode(body)
    return Snapshot(head.commit, {name: _read(frames, name, columns) for name, columns in STATE_COLUMNS.items()})


def _read(frames: dict[str, pl.DataFrame], name: str, columns: Columns) -> pl.DataFrame:
    return completed(frames[name], columns) if name in frames else empty(columns)


def _encode(frames: dict[str, pl.DataFrame]) -> bytes:
    """Equal frames give equal bytes: polars' own string columns would tell which buffers their texts came from."""
    parts: dict[str, bytes] = {}
    for name, frame in frames.items():
        buffer = io.BytesIO()
        frame.rechunk().write_ipc(buffer, compat_level=pl.CompatLevel.oldest())
        parts[name] = buffer.getvalue()
    return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(parts))


def _decode(data: bytes) -> dict[str, pl.DataFrame]:
    raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=_LIMIT)
    parts = msgspec.msgpack.decode(raw, type=dict[str, bytes])
    return {name: pl.read_ipc(io.BytesIO(part)) for name, part in parts.items()}
