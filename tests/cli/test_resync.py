"""``batcher resync`` and dead letters, beside a service and without one."""

import json
from pathlib import Path

from batcher.sandbox.faults import Answer, Faults
from tests.called import Told, called
from tests.service.world import World, batcher, finish, script, told, until, world

USAGE = 2


async def run(w: World, *arguments: str) -> Told:
    return await called(*arguments, "--data-dir", str(w.directory.root))


def forget_events(w: World) -> None:
    """Take all Events out of the workspaces, as a kcp restored from a backup of yesterday has none."""
    for workspace in w.sandbox.kcp.workspaces.values():
        for event in workspace.events():
            workspace.delete_event(event["metadata"]["namespace"], event["metadata"]["name"])


async def test_a_running_service_writes_open_summaries_again_when_it_is_asked_to(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.happen(script(40))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            await until(lambda: bool(w.told()))
            code, out, err = await run(w, "resync", "--dry-run", "-o", "json")
            assert (code, err) == (0, "")
            assert json.loads(out)["taken"] is True
            before = w.told()
            forget_events(w)
            code, out, err = await run(w, "resync", "--workspace", "root:shop")
            assert (code, err) == (0, ""), err
            assert out.startswith("root:shop: ")
            assert out.endswith("open summaries to be written again\n")
            shop = w.sandbox.kcp.workspaces["root:shop"]
            await until(lambda: told(shop.events()) > 0)
            code, out, err = await run(w, "resync")
            assert code == 0, err
            await until(lambda: w.told() >= before)
            await finish(process)


async def test_without_a_service_the_next_one_writes_and_wrong_calls_are_told(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.happen(script(40))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            await until(lambda: bool(w.told()))
            await finish(process)
        code, out, err = await run(w, "resync", "--workspace", "root:\x1b[31mnone")
        assert code == USAGE
        assert "has no open summary; workspaces that have: root:shop, root:team-a" in err
        assert "\x1b" not in err
        before = w.told()
        forget_events(w)
        assert (await run(w, "resync"))[0] == 0
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.told() >= before)
            await finish(process)
        code, out, _ = await run(w, "verify")
        assert code == 0, out


async def test_a_dead_letter_is_listed_shown_and_written_after_all(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(aggregation={"window": "1s"})
        w.happen(script(20))
        w.sandbox.kcp.faults = Faults(answers=(Answer(422, "create", 10_000),))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("dead_lettered", 0) > 1)
            code, out, _ = await run(w, "failed", "list", "-o", "json", "--kind", "letter")
            assert code == 0
            first, second = json.loads(out)[:2]
            assert first["workspace"] in w.sandbox.kcp.workspaces
            assert "kcp.io/source-cluster" in (await run(w, "failed", "show", first["id"]))[1]
            w.sandbox.kcp.faults = Faults()
            code, out, err = await run(w, "failed", "retry", first["id"])
            assert (code, out, err) == (0, "1 tried: 1 open again, to be written\n", "")
            await until(lambda: first["id"][:16] in names(w))
            await finish(process)
        assert (await run(w, "failed", "retry", second["id"]))[:2] == (0, "1 tried: 1 open again, to be written\n")
        code, _, err = await run(w, "failed", "retry", second["id"])
        assert (code, "was revived already" in err) == (USAGE, True)
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: second["id"][:16] in names(w))
            await finish(process)
        code, out, _ = await run(w, "verify", "--deep")
        assert code == 0, out


def names(w: World) -> set[str]:
    """The hashes that end the names of the Events in all workspaces."""
    found = [event for workspace in w.sandbox.kcp.workspaces.values() for event in workspace.events()]
    return {event["metadata"]["name"].rpartition(".")[2] for event in found}
