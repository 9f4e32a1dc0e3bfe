"""A secret in messages, and every file, log, metric and answer searched for it afterwards."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import polars as pl
import zstandard

from batcher.archive import scan
from batcher.batch.process import staged_paths
from batcher.spool.log import Log
from batcher.spool.position import Place
from tests.called import called
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, until, world

CANARY = "hunter2-canary"


def redact(at: str, pattern: str = r"token=\S+") -> dict[str, Any]:
    return {"redact": [{"name": "tokens", "pattern": pattern, "replace": "token=***", "at": at}]}


def said(name: str, **changes: Any) -> dict[str, Any]:
    return back_off("web", name) | {"message": f"GET /?token={CANARY} failed"} | changes


def texts_of(folder: Path) -> dict[str, str]:
    """Every file below ``folder`` as text, with what is compressed in it unpacked."""
    return {str(path): _text(path) for path in folder.rglob("*") if path.is_file()}


def _text(path: Path) -> str:
    raw = path.read_bytes()
    found = raw.decode("utf-8", "backslashreplace")
    if path.suffix == ".parquet" and raw:
        found += pl.read_parquet(path, hive_partitioning=False).cast(pl.String, strict=False).write_json()
    if path.suffix == ".seg":
        log = Log(path.parent, path.parent)
        number = int(path.stem)
        sections = [s for _, some in log.read(Place(number, 0), Place(number, len(raw))) for s in some]
        found += repr(sections)
    if path.name == "changes" or path.parent.name == "snapshots":
        start = raw.find(b"\x28\xb5\x2f\xfd")
        found += zstandard.ZstdDecompressor().decompress(raw[start:], max_output_size=1 << 30).decode("latin-1")
    return found


def holding(folder: Path) -> set[str]:
    """What kinds of files below ``folder`` hold the canary."""
    return {Path(path).suffix or Path(path).name for path, text in texts_of(folder).items() if CANARY in text}


def messages(w: World, *paths: str) -> set[str]:
    return {event["message"] for path in paths for event in w.sandbox.kcp.workspaces[path].events()}


async def answer(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


async def asked(w: World, *arguments: str) -> str:
    _, out, err = await called(*arguments, "--data-dir", str(w.directory.root))
    return out + err


def happens(w: World) -> None:
    """The secret in a message, a reason and an annotation; in a line without uid, and in one that is no JSON."""
    us, eu = w.sandbox.clusters["us-west1"], w.sandbox.clusters["eu-central1"]
    annotated = said("annotated", reason=f"token={CANARY}")
    annotated["metadata"]["annotations"] = {"example.com/pw": f"token={CANARY}"}
    us.create_event(annotated)
    wrong = {"metadata": {"name": "n", "resourceVersion": "3"}, "message": f"token={CANARY}"}
    no_uid = json.dumps({"type": "ADDED", "object": wrong}).encode() + b"\n"
    us.faults = replace(us.faults, inserts=(no_uid,))
    eu.faults = replace(eu.faults, inserts=(f"<p>token={CANARY} </p>\n".encode(),))
    us.create_event(said("more"))
    eu.create_event(said("elsewhere"))


async def test_what_is_taken_out_at_the_spool_is_in_no_file_log_metric_or_answer(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with world(tmp_path) as w:
        w.configure(
            transform=redact("spool"),
            log={"level": "debug", "format": "json"},
            serve={"port": unused_tcp_port},
            filter={"rules": [{"name": "probe", "action": "shadow", "match": {"message": "token="}}]},
        )
        w.sandbox.clusters["us-west1"].create_event(said("listed"))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("revisions") == 1)
            happens(w)
            await until(lambda: (w.totals()["revisions"], w.totals()["quarantined"]) == (4, 2))
            await until(lambda: len(w.sandbox.kcp.workspaces["root:shop"].events()) == 4)
            metrics = await answer(f"http://127.0.0.1:{unused_tcp_port}/metrics")
            statuses = [await asked(w, "status"), await asked(w, "status", "-o", "json")]
            code, out, err = await finish(process)
        failed, proof = await asked(w, "failed", "list", "-o", "json"), await asked(w, "verify", "--deep")
        events = await asked(w, "events", "-A", "-o", "json")
        told = [metrics, *statuses, out, err, failed, proof, events, str(messages(w, *w.sandbox.kcp.workspaces))]
        assert code == 0, err
        assert [text for text in [*told, *map(str, base64s(failed))] if CANARY in text] == []
        assert holding(tmp_path) == set()
        assert "FAILED" not in proof
        assert all("token=***" in str(line) for line in base64s(failed))
        found = [(row["shadowed"], row["message"]) for row in occurrences(w)]
        assert found == [("probe", "GET /?token=*** failed")] * 4


def base64s(failed: str) -> list[bytes]:
    return [base64.b64decode(each["base64"]) for each in json.loads(failed)]


def occurrences(w: World) -> list[dict[str, Any]]:
    return scan(w.directory.archive, "occurrences", staged_paths(w.directory)["occurrences"]).collect().to_dicts()


async def told_once(w: World) -> None:
    """One Event with the secret, told, archived and delivered."""
    w.sandbox.clusters["us-west1"].create_event(said("one"))
    async with batcher("run", "--config", str(w.config)) as process:
        await until(lambda: len(w.sandbox.kcp.workspaces["root:shop"].events()) == 1)
        assert (await finish(process))[0] == 0


async def test_what_is_taken_out_of_the_archive_is_in_none_of_its_files_and_workspaces_show_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(transform=redact("archive"))
        await told_once(w)
        assert messages(w, "root:shop") == {f"[us-west1] GET /?token={CANARY} failed"}
        assert {row["message"] for row in occurrences(w)} == {"GET /?token=*** failed"}
        assert holding(tmp_path / "archive") == holding(w.directory.staged) == set()
        assert holding(w.directory.root) == {".seg", "changes"}
        assert "FAILED" not in await asked(w, "verify", "--deep")


async def test_what_is_taken_out_of_what_is_published_is_in_the_archive_as_it_was(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(transform=redact("publish"))
        await told_once(w)
        assert messages(w, "root:shop") == {"[us-west1] GET /?token=*** failed"}
        assert {row["message"] for row in occurrences(w)} == {f"GET /?token={CANARY} failed"}
        assert ".parquet" in holding(tmp_path / "archive")
