"""A data directory in which batches happen, one call each, at the minute that the test says."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from batcher.batch import Batches, Commit, DataDirectory, OutcomeRecord, Retry, Work
from batcher.batch.directory import FORMAT
from batcher.clock import to_micros
from batcher.failed import prepare, waiting
from batcher.pipeline import Rules
from batcher.schema import OPEN_SUMMARIES, empty
from batcher.spool import Section
from batcher.spool.log import Log
from batcher.stages.rule import Rule

START_AT = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)

RULES = Rules(
    mapping=(Rule(cluster="*", namespace="web", workspace="root:shop"),),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(hours=1),
    prefix=True,
    owner=True,
)
"""Events of namespace ``web`` have a workspace; others have none."""


class History:
    """Batches over a spool, with the state that they leave."""

    def __init__(
        self, directory: DataDirectory, *, segment_bytes: int, snapshot_every: int, rules: Rules = RULES
    ) -> None:
        self.directory = directory
        self.log = Log(directory.spool, directory.quarantine, segment_bytes=segment_bytes)
        self.batches = Batches(directory, self.log.read, rules, snapshot_every=snapshot_every)
        self.batches.load()
        self.recovered = self.log.recover(self.batches.end, self.batches.planned, self.batches.streams)
        self.finished = self.batches.finish()

    def receive(self, *sections: Section, minute: int) -> None:
        """Append ``sections`` to the spool as one frame."""
        at = to_micros(START_AT + timedelta(minutes=minute))
        self.log.append([msgspec.structs.replace(section, received_at=at) for section in sections])

    def batch(
        self,
        *sections: Section,
        minute: int,
        outcomes: list[OutcomeRecord] | None = None,
        retry: Sequence[int] = (),
        resync: Sequence[str] = (),
        letters: pl.DataFrame | None = None,
    ) -> Commit:
        """Receive ``sections``, if any, and run a batch over all that is there, and what else it is asked to do."""
        again = prepare(self.directory, self.batches, retry) if retry else Retry()
        if sections:
            self.receive(*sections, minute=minute)
        at = to_micros(START_AT + timedelta(minutes=minute))
        revived = empty(OPEN_SUMMARIES) if letters is None else letters
        return self.batches.next(Work(self.log.end, at, outcomes or [], again, resync, revived))

    def waiting(self) -> list[int]:
        """The positions of the lines in quarantine."""
        return [int(line.id) for line in waiting(self.directory) if line.kind == "line"]

    def written(self) -> list[OutcomeRecord]:
        """What a publisher would say after it had written every open summary that has a workspace."""
        to_write = self.batches.state["open_summaries"].filter(workspace="root:shop")
        return [
            OutcomeRecord(summary, version, "1", written=True, refusal="", at=to_micros(START_AT))
            for summary, version in to_write.select("summary", "version").iter_rows()
        ]


@contextmanager
def history(
    directory: DataDirectory | Path,
    *,
    segment_bytes: int = 1 << 20,
    snapshot_every: int = 1000,
    rules: Rules = RULES,
) -> Iterator[History]:
    """Own the data directory as a run does; its id is the same in each test."""
    if isinstance(directory, Path):
        directory = DataDirectory(directory)
    if not directory.root.exists():
        directory.root.mkdir()
        (directory.root / "id").write_text("0123456789abcdef\n")
        (directory.root / "format").write_text(f"{FORMAT}\n")
    with directory.owned():
        directory.write_archive(directory.root.parent / "archive")
        happening = History(directory, segment_bytes=segment_bytes, snapshot_every=snapshot_every, rules=rules)
        try:
            yield happening
        finally:
            happening.log.close()
