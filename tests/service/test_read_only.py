"""What a container gives it: a root that is read-only, no home, a bare environment; only its volume can be written."""

import asyncio
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from batcher.verify import verify
from tests.service.world import finish, script, until, world

READ_ONLY = """
set -e
mount --make-rprivate /
for writable in "$1" "$2"; do mount --bind "$writable" "$writable"; done
mount -o remount,bind,ro /
! touch "$3/written" 2>/dev/null
cd "$3"
shift 3
exec "$@"
"""
"""Makes all but two folders read-only, for what it executes in the third."""

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
}
"""No HOME, and nothing else of whoever runs the tests."""


def in_read_only(folder: Path, *command: str) -> list[str]:
    """Return what runs ``command`` in ``folder``, where only the folders ``data`` and ``archive`` can be written."""
    writable = (str(folder / "data"), str(folder / "archive"))
    return ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *writable, str(folder), *command]


def is_possible(folder: Path) -> bool:
    """Whether this machine lets us have a file system that is read-only, with ``folder`` in it."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run(in_read_only(folder, "true"), capture_output=True, check=False).returncode == 0


async def test_it_runs_where_only_its_volume_can_be_written_and_nothing_of_a_user_is_there(tmp_path: Path) -> None:
    for name in ("data", "archive"):
        (tmp_path / name).mkdir()
    if not await asyncio.to_thread(is_possible, tmp_path):
        pytest.skip("no mount namespace here: that only the data directory and the archive are written is not checked")
    async with world(tmp_path) as w:
        w.configure(archive={"path": str(tmp_path / "archive"), "interval": "300ms", "compactEvery": "1s"})
        before = {path.name for path in tmp_path.iterdir()}
        command = in_read_only(tmp_path, sys.executable, "-m", "batcher", "run", "--config", str(w.config))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=ENVIRONMENT | {"TMPDIR": str(tmp_path / "nowhere")}
        )
        try:
            w.happen(script(40))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            await until(lambda: w.told() > 0)
            code, out, err = await finish(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        assert (code, out) == (0, ""), err
        assert "Traceback" not in err
        assert {path.name for path in tmp_path.iterdir()} == before
        assert [f"{c.name}: {c.detail}" for c in verify(w.directory, w.directory.archive) if not c.ok] == []
