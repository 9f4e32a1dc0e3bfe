"""``batcher run --take-over`` as a process: the data directory is gone, the archive and the workspaces are not."""

import signal
from pathlib import Path

from batcher.archive import scan
from batcher.sandbox.scenario import Happening
from batcher.verify import verify
from tests.service.world import World, batcher, finish, script, until, world


def archived(w: World) -> int:
    """Occurrences of all batches that were delivered whole."""
    return int(scan(w.folder / "archive", "batches").collect()["occurrences"].sum())


def kept(happenings: list[Happening]) -> int:
    return sum(h.times for h in happenings if h.regarding.namespace in {"web", "jobs"})


async def refused(w: World, *flags: str) -> str:
    """What a run says that is not to start, in one line."""
    async with batcher("run", "--config", str(w.config), *flags) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    (line,) = err.decode().splitlines()
    return line


async def test_a_lost_directory_is_taken_over_and_no_total_changes(tmp_path: Path) -> None:
    happenings = script(300)
    async with world(tmp_path) as w:
        lost = tmp_path / "lost"
        async with batcher("run", "--config", str(w.config)) as process:
            w.happen(happenings[:150])
            await until(lambda: archived(w) == w.emitter.occurrences and w.told() == kept(happenings[:150]))
            await finish(process, signal.SIGKILL)
        w.happen(happenings[150:200])
        w.directory.root.rename(lost)
        assert "belongs to another data directory" in await refused(w)
        async with batcher("run", "--config", str(w.config), "--take-over") as process:
            w.happen(happenings[200:])
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            await until(lambda: w.told() == kept(happenings))
            code, _, err = await finish(process)
            assert code == 0, err
        assert [f"{c.name}: {c.detail}" for c in verify(w.directory, w.directory.archive) if not c.ok] == []
        assert archived(w) == w.emitter.occurrences
        assert "has taken it over from this one" in await refused(w, "--data-dir", str(lost))
        assert "has taken it over from this one" in await refused(w, "--data-dir", str(lost), "--take-over")
        async with batcher("run", "--config", str(w.config), "--take-over") as process:
            await until(lambda: (w.directory.root / "lock").read_text() == f"{process.pid}\n")
            assert (await finish(process))[0] == 0
        assert (w.totals()["occurrences"], w.told()) == (w.emitter.occurrences, kept(happenings))
