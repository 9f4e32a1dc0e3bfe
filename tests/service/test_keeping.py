"""The archive is kept beside a service: by a process of its own, whose failure is told and tried again."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from batcher.archive.read import open_to_read, scan
from batcher.archive.rewrite import held
from batcher.batch.process import staged_paths
from batcher.status import read_status
from batcher.verify import verify
from tests.called import called
from tests.service.world import World, batcher, finish, script, until, world


def kept(w: World) -> int:
    """How many files of occurrences are compacted ones."""
    files = held(open_to_read(w.folder / "archive", "occurrences"))
    return sum(file.name.startswith(("part-", "full-")) for file in files)


def counted(w: World) -> int:
    staged = staged_paths(w.directory)["occurrences"]
    return int(scan(w.folder / "archive", "occurrences", staged).collect()["grew"].sum())


@pytest.mark.slow
async def test_a_service_compacts_its_archive_while_it_batches_and_delivers(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(archive={"path": str(tmp_path / "archive"), "interval": "300ms", "compactEvery": "1s"})
        async with batcher("run", "--config", str(w.config)) as process:
            await until((w.directory.root / "status.json").exists)
            for happening in script(600):
                w.happen([happening])
                await asyncio.sleep(0.2)
                if kept(w):
                    break
            assert kept(w)
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            await until(lambda: read_status(w.directory.root).kept_at is not None)
            code, _, err = await finish(process)
        assert code == 0, err
        assert read_status(w.directory.root).keeping_failures == 0, err
        assert counted(w) == w.emitter.occurrences
        assert [check for check in verify(w.directory, w.folder / "archive", deep=True) if not check.ok] == []


async def test_an_upkeep_that_fails_is_counted_and_tried_again_and_holds_up_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(archive={"path": str(tmp_path / "archive"), "interval": "300ms", "compactEvery": "1s"})
        (tmp_path / "archive").mkdir()
        (tmp_path / "archive" / "batcher-pins").write_text("[{")
        async with batcher("run", "--config", str(w.config)) as process:
            await until((w.directory.root / "status.json").exists)
            await until(lambda: read_status(w.directory.root).keeping_failures >= 2)
            assert "batcher-pins: " in read_status(w.directory.root).keeping_trouble
            _, out, _ = await called("status", "--data-dir", str(w.directory.root))
            assert "keeping    " in out
            w.happen(script(20))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            (tmp_path / "archive" / "batcher-pins").unlink()
            await until(lambda: read_status(w.directory.root).kept_at is not None)
            assert read_status(w.directory.root).keeping_trouble == ""
            code, _, err = await finish(process)
        assert code == 0, err
        assert "archive is not kept; the next turn goes on" in err


async def test_a_purge_lets_the_spool_of_a_running_service_go(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(archive={"path": str(tmp_path / "archive"), "interval": "300ms", "compactEvery": "1s"})
        async with batcher("run", "--config", str(w.config)) as process:
            happenings = script(60)
            w.happen(happenings[:20])
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            (first,) = w.directory.spool.iterdir()
            code, out, err = await called(
                "archive", "purge", "--workspace", "root:shop", "--yes", "-o", "json", "--data-dir",
                str(w.directory.root),
            )  # fmt: skip
            assert code == 0, err
            assert json.loads(out)["spool_bytes"] > 0
            for happening in happenings[20:]:
                if not first.exists():
                    break
                w.happen([happening])
                await asyncio.sleep(0.3)
            await until(lambda: not first.exists())
            assert msgspec.json.decode((tmp_path / "archive" / "batcher-purges").read_bytes())
            code, _, error = await finish(process)
        assert code == 0, error
        assert [check for check in verify(w.directory, w.folder / "archive") if not check.ok] == []
