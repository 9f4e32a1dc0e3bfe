"""``batcher`` as processes with its archive in an S3 store: a run through an outage of the store, and who reads it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from batcher import clock
from batcher.archive import scan
from batcher.archive.read import open_to_read
from batcher.archive.rewrite import held
from batcher.batch import DataDirectory
from batcher.status import read_status
from batcher.store import Root, place
from batcher.verify import verify
from tests.archive.s3 import ACCESS_KEY, S3, SECRET, s3
from tests.called import called
from tests.service.test_grace import GRACE_SECONDS
from tests.service.world import World, batcher, finish, script, until, world

URL = "s3://bucket/fleet"
VARIABLES = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture
def server() -> Iterator[S3]:
    with s3() as there:
        yield there


def archived(root: Root) -> int:
    """Occurrences of all batches that were delivered whole."""
    return int(scan(root, "batches").collect()["occurrences"].sum())


def compacted(root: Root) -> int:
    return sum(file.name.startswith(("part-", "full-")) for file in held(open_to_read(root, "occurrences")))


def configure(w: World, options: dict[str, str], url: str = URL, **changes: str) -> None:
    w.configure(archive={"path": url, "storageOptions": options, "interval": "300ms"} | changes)


async def ran(w: World, server: S3) -> None:
    """Have a run that has archived something, and has ended."""
    configure(w, server.options)
    async with batcher("run", "--config", str(w.config)) as process:
        w.happen(script(40))
        await until(lambda: archived(place(URL, server.options, {})) == w.emitter.occurrences)
        code, _, err = await finish(process)
    assert code == 0, err


async def ended(*arguments: str) -> tuple[int | None, str, str]:
    """What a process says that ends by itself."""
    async with batcher(*arguments) as process:
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def assert_harmless(*texts: str) -> None:
    for text in texts:
        assert SECRET not in text
        assert ACCESS_KEY not in text


@pytest.mark.slow
async def test_a_run_goes_on_while_its_store_is_away_and_delivers_all_of_it_later(tmp_path: Path, server: S3) -> None:
    root = place(URL, server.options, {})
    happenings = script(240)
    async with world(tmp_path) as w:
        configure(w, server.options, compactEvery="1s")
        async with batcher("run", "--config", str(w.config)) as process:
            w.happen(happenings[:80])
            await until(lambda: archived(root) == w.emitter.occurrences)
            for happening in happenings[80:160]:
                w.happen([happening])
                await asyncio.sleep(0 if compacted(root) else 0.2)
            await until(lambda: archived(root) == w.emitter.occurrences)
            await until(lambda: read_status(w.directory.root).kept_at is not None)
            assert compacted(root)
            server.stop()
            w.happen(happenings[160:])
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            await until(lambda: "the store cannot be reached" in read_status(w.directory.root).archive_trouble)
            server.start()
            await until(lambda: archived(root) == w.emitter.occurrences)
            code, out, err = await finish(process)
        assert (code, out) == (0, ""), err
        assert_harmless(err)
        assert [f"{c.name}: {c.detail}" for c in verify(w.directory, root, deep=True) if not c.ok] == []
        kept = b"".join(path.read_bytes() for path in w.directory.root.rglob("*") if path.is_file())
        assert_harmless(kept.decode("latin-1"))


async def test_a_store_that_does_not_answer_does_not_hold_up_the_end_and_the_next_start_delivers_the_rest(
    tmp_path: Path, server: S3
) -> None:
    root = place(URL, server.options, {})
    async with world(tmp_path) as w:
        configure(w, server.options | {"timeout": "10min"})
        async with batcher("run", "--config", str(w.config)) as process:
            w.happen(script(40))
            await until(lambda: archived(root) == w.emitter.occurrences)
            server.open.clear()
            w.happen(script(40))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            began = clock.monotonic()
            code, _, err = await finish(process)
            took = clock.monotonic() - began
        assert code == 0, err
        assert took < GRACE_SECONDS
        assert "the next start delivers the rest" in err
        assert read_status(w.directory.root).stopped
        server.open.set()
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: archived(root) == w.emitter.occurrences)
            code, _, err = await finish(process)
        assert code == 0, err
        assert [f"{c.name}: {c.detail}" for c in verify(w.directory, root, deep=True) if not c.ok] == []


async def test_what_reads_an_archive_reads_one_in_a_store(
    tmp_path: Path, server: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        await ran(w, server)
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, value)
        at = ("--data-dir", str(w.directory.root))
        for command in (
            ("verify", "--deep"), ("events", "-A"),
            ("archive", "export", "--since", "1h", "-o", str(tmp_path / "x")), ("archive", "compact"),
            ("archive", "status"), ("archive", "vacuum"), ("archive", "purge", "--workspace", "root:shop", "--yes"),
            ("verify",),
        ):  # fmt: skip
            code, out, err = await called(*command, *at)
            assert (code, err) == (0, ""), command
            assert_harmless(out)
        code, out, err = await called("sql", "select 1", *at)
        assert (code, out) == (2, "")
        assert err.startswith(
            f"sql: the archive is in a store ({URL}), and DuckDB is kept from the network; ask a copy"
        )


async def test_credentials_are_of_the_configuration_or_else_of_variables(
    tmp_path: Path, server: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        await ran(w, server)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary of another")
        for command in (("verify",), ("events", "-A"), ("archive", "status"), ("archive", "compact")):
            code, out, err = await called(*command, "--data-dir", str(w.directory.root))
            assert (code, out, len(err.splitlines())) == (1, "", 1)
            assert "the store refuses the credentials" in err
            assert "canary" not in err
            assert_harmless(err)
        code, out, err = await called("archive", "status", "-o", "json", "--config", str(w.config))
        assert (code, err) == (0, "")
        assert json.loads(out)["path"] == URL


@pytest.mark.parametrize(
    ("changed", "url", "expected"),
    [
        ({"aws_secret_access_key": "canary"}, URL, f"archive.path {URL}: the store refuses the credentials"),
        ({}, "s3://elsewhere/fleet", "archive.path s3://elsewhere/fleet: there is no such bucket; make it, or correct"),
        ({}, "gs://bucket/canary", "archive.path: not a URL such as s3://bucket/folder"),
        ({"region": "canary"}, URL, "archive.storageOptions.region: unknown; known: "),
        ({"aws_endpoint_url": "http://127.0.0.1:9"}, URL, f"archive.path {URL}: the store cannot be reached; check"),
    ],
)
async def test_a_store_that_cannot_be_used_is_told_before_anything_is_sent(
    tmp_path: Path, server: S3, changed: dict[str, str], url: str, expected: str
) -> None:
    async with world(tmp_path) as w:
        configure(w, server.options | changed, url)
        code, out, err = await ended("run", "--config", str(w.config))
        assert code in {1, 2}
        assert expected in err
        assert "Traceback" not in err
        assert "canary" not in out + err
        assert_harmless(out, err)
        assert w.sandbox.kcp.workspaces["root:shop"].events() == []


async def test_a_lost_directory_is_gone_on_from_a_store(tmp_path: Path, server: S3) -> None:
    root = place(URL, server.options, {})
    async with world(tmp_path) as w:
        configure(w, server.options)
        async with batcher("run", "--config", str(w.config)) as process:
            w.happen(script(60))
            await until(lambda: archived(root) == w.emitter.occurrences)
            assert (await finish(process))[0] == 0
        w.directory.root.rename(tmp_path / "lost")
        code, _, err = await ended("run", "--config", str(w.config))
        assert code == 2
        assert "belongs to another data directory" in err
        async with batcher("run", "--config", str(w.config), "--take-over") as process:
            w.happen(script(20, seed=2))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            code, _, err = await finish(process)
        assert code == 0, err
        assert archived(root) == w.emitter.occurrences
        directory = DataDirectory(w.directory.root, storage=server.options)
        assert [f"{c.name}: {c.detail}" for c in verify(directory, directory.archive) if not c.ok] == []
