"""``batcher failed`` and ``batcher verify``, beside a service and without one."""

import base64
import json
from pathlib import Path

import yaml

from batcher.batch.quarantine import ask
from batcher.spool import Kind, Section
from tests.called import Told, called
from tests.history import history
from tests.sections import STREAM, event, lines, misplaced
from tests.service.world import World, batcher, finish, script, until, world

USAGE = 2
HOSTILE = b"\x1b[31mred\x07 \xe2\x80\xaegpj \xff"


async def failed(data: Path, *arguments: str) -> Told:
    return await called("failed", *arguments, "--data-dir", str(data))


def quarantine(data: Path) -> list[int]:
    """Two lines: one that no version will read, one that reads when it is tried again."""
    with history(data) as h:
        h.batch(lines(HOSTILE), misplaced(event("a", 7, count=3)), minute=0)
        return h.waiting()


async def test_a_list_is_a_table_that_no_line_can_disturb(tmp_path: Path) -> None:
    first, second = quarantine(tmp_path / "data")
    code, out, err = await failed(tmp_path / "data", "list")
    assert (code, err) == (0, "")
    header, one, two = out.splitlines()
    assert header.split() == ["ID", "KIND", "CLUSTER", "CAUSE", "RECEIVED", "SIZE", "LINE"]
    assert (one.split()[0], one.split()[3], two.split()[0]) == (str(first), "not-json", str(second))
    assert one.endswith("[31mred   gpj \\xff")
    assert "{" in two
    assert two.endswith("...")
    code, out, _ = await failed(tmp_path / "data", "list", "-o", "wide", "--no-headers", "--cause", "not-json")
    (only,) = out.splitlines()
    assert only.split()[:6] == [str(first), "line", "us-west1", "uid-us", "not-json", "2026-11-23T16:00:00.000000Z"]


async def test_json_and_yaml_have_the_exact_bytes_and_show_has_one_line(tmp_path: Path) -> None:
    first, _ = quarantine(tmp_path / "data")
    _, listed, _ = await failed(tmp_path / "data", "list", "-o", "json")
    _, same, _ = await failed(tmp_path / "data", "list", "-o", "yaml")
    assert json.loads(listed) == yaml.safe_load(same)
    assert [row["kind"] for row in json.loads(listed)] == ["line", "line"]
    code, shown, _ = await failed(tmp_path / "data", "show", str(first), "-o", "json")
    assert code == 0
    assert json.loads(shown) == json.loads(listed)[0]
    assert base64.b64decode(json.loads(shown)["base64"]) == HOSTILE
    assert not any(ord(char) < 32 and char != "\n" for text in (listed, same, shown) for char in text)
    code, text, _ = await failed(tmp_path / "data", "show", str(first))
    assert (code, text.splitlines()[-1]) == (0, "[31mred   gpj \\xff")
    assert "cause         not-json" in text.splitlines()


async def test_an_empty_quarantine_is_said_to_be_empty(tmp_path: Path) -> None:
    with history(tmp_path / "data"):
        pass
    assert await failed(tmp_path / "data", "list") == (0, "", "Nothing has failed.\n")
    assert await failed(tmp_path / "data", "list", "-o", "json") == (0, "[]\n", "")
    assert await failed(tmp_path / "data", "retry", "--all") == (0, "Nothing to retry.\n", "")


async def test_without_a_service_the_command_retries_by_itself_and_tells_what_stays(tmp_path: Path) -> None:
    first, second = quarantine(tmp_path / "data")
    code, out, err = await failed(tmp_path / "data", "retry", "--all")
    assert (code, err) == (1, "")
    assert out.splitlines() == ["2 tried: 1 counted, 1 still in quarantine", f"{first}: not-json"]
    code, out, _ = await failed(tmp_path / "data", "retry", str(first), "-o", "json")
    assert (code, json.loads(out)) == (
        1,
        [{"id": str(first), "fate": "quarantined", "cause": "not-json", "batch": 3}],
    )
    code, out, err = await failed(tmp_path / "data", "retry", str(second))
    assert (code, out) == (USAGE, "")
    assert err == f"{second}: left quarantine already, in batch 2 (as a revision); it cannot be counted twice\n"
    code, out, err = await called("verify", "--deep", "--data-dir", str(tmp_path / "data"))
    assert (code, err) == (0, "")
    assert "ok      batches 1 to 3 recomputed" in out.splitlines()


async def test_what_is_wrong_with_the_call_or_the_directory_is_one_line(tmp_path: Path) -> None:
    quarantine(tmp_path / "data")
    data = str(tmp_path / "data")
    absent = str(tmp_path / "absent")
    expected = {
        ("retry", "--data-dir", data): (2, "failed retry: give IDs, or --all, or --cause CAUSE"),
        ("retry", "17", "--data-dir", data): (2, "17: no such line in quarantine; see: batcher failed list"),
        ("show", "17", "--data-dir", data): (2, "17: no such line in quarantine; see: batcher failed list"),
        ("retry", "--all", "--timeout", "soon", "--data-dir", data): (
            2,
            "--timeout: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d",
        ),
        ("list", "--data-dir", absent): (1, f"{absent}: no batcher data here; give the --data-dir of a run"),
    }
    for arguments, (code, message) in expected.items():
        assert await called("failed", *arguments) == (code, "", f"{message}\n")
    snapshots = tmp_path / "data" / "snapshots"
    snapshots.rmdir()
    snapshots.write_bytes(b"")
    assert await called("failed", "list", "--data-dir", data) == (1, "", f"{snapshots}: Not a directory\n")


def prepared(w: World) -> list[int]:
    with history(w.directory) as h:
        misread = misplaced(event("a", 7, count=3))
        refused = Section(
            STREAM, "us-west1", Kind.REFUSED, None, 1, b"x\n", note="not JSON, or without resourceVersion"
        )
        h.batch(lines(HOSTILE), misread, refused, minute=0)
        return h.waiting()


async def test_a_running_service_takes_the_request_into_its_next_batch(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        first, second, refused = prepared(w)
        async with batcher("run", "--config", str(w.config)) as process:
            await until((w.directory.root / "status.json").exists)
            code, out, err = await failed(w.directory.root, "retry", "--all")
            assert (code, out.splitlines(), err) == (
                1,
                ["2 tried: 1 counted, 1 still in quarantine", f"{first}: not-json"],
                "",
            )
            assert list(w.directory.requests.iterdir()) == []
            assert (w.totals()["retried"], w.totals()["occurrences"]) == (1, 3)
            code, _, err = await failed(w.directory.root, "retry", str(second))
            assert code == USAGE
            assert "left quarantine already" in err
            code, _, err = await failed(w.directory.root, "retry", str(refused))
            assert (code, err) == (
                USAGE,
                (
                    f"{refused}: not JSON, or without resourceVersion: only a part was kept; "
                    "the list that followed brought it again\n"
                ),
            )
            assert (await finish(process))[0] == 0
        code, out, err = await called("verify", "--deep", "--data-dir", str(w.directory.root))
        assert (code, err) == (0, ""), out


async def test_a_service_that_has_not_come_to_it_is_waited_for_only_so_long(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        _, second, _ = prepared(w)
        w.configure(batch={"interval": "1h"})
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: (w.directory.root / "lock").read_bytes().strip() == str(process.pid).encode())
            for _ in range(2):
                code, out, _ = await failed(w.directory.root, "retry", str(second), "--timeout", "1s")
                assert (code, out) == (1, "1 tried: 1 not tried yet; the service will\n")
            _, out, _ = await failed(w.directory.root, "list", "-o", "json")
            assert [line["asked"] for line in json.loads(out)] == [False, True, False]
            assert (await finish(process))[0] == 0
        assert w.totals()["retried"] == 1


async def test_a_request_that_cannot_be_read_stops_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        ask(w.directory, prepared(w))
        (path,) = (w.directory.staged / "quarantine").glob("*/*.parquet")
        path.write_bytes(b"damaged")
        async with batcher("run", "--config", str(w.config)) as process:
            w.happen(script(20))
            await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
            code, _, err = await finish(process)
        assert (code, w.totals()["retried"]) == (0, 0)
        assert "retries wait" in err
