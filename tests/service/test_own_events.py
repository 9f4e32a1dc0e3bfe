"""``batcher run`` that watches a workspace it writes to: what it wrote itself, read back, adds nothing."""

from pathlib import Path

from batcher.sandbox.resources import EVENTS
from batcher.sandbox.scenario import Happening
from batcher.verify import verify
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, script, until, world

COUNTED = ("revisions", "occurrences", "kept", "opened", "writes", "quarantined", "dead_lettered")


def watch_the_workspace_too(w: World) -> None:
    """Let ``root:shop`` be a source cluster as well: the rule of namespace ``web`` maps it onto itself."""
    kubeconfig = str(w.folder / "kubeconfig")
    names = [*w.sandbox.clusters, "root:shop"]
    w.configure(clusters=[
        {"name": name.rpartition(":")[2], "kubeconfig": kubeconfig, "context": name} for name in names
    ])  # fmt: skip


def happen(w: World, happenings: list[Happening]) -> int:
    """Let them happen; return how many occurrences of them belong to workspaces."""
    w.happen(happenings)
    return sum(happening.times for happening in happenings if happening.regarding.namespace in {"web", "jobs"})


def in_shop(w: World) -> list[tuple[str, str]]:
    """Each Event of ``root:shop`` with its resourceVersion."""
    found = [event["metadata"] for event in w.sandbox.kcp.workspaces["root:shop"].events()]
    return [(metadata["name"], metadata["resourceVersion"]) for metadata in found]


def told_of(w: World, cluster: str) -> list[tuple[str, int]]:
    """The summaries of ``root:shop`` about ``cluster``: whom each is about, and its count."""
    events = [event for event in w.sandbox.kcp.workspaces["root:shop"].events() if "labels" in event["metadata"]]
    ours = [e for e in events if e["metadata"]["annotations"].get("kcp.io/source-cluster") == cluster]
    return [(event["involvedObject"]["name"], event["count"]) for event in ours]


async def test_summaries_that_are_listed_add_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        kept = happen(w, script(100))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.told() == kept)
            code, _, err = await finish(process)
        assert code == 0, err
        before, written = {name: w.totals()[name] for name in COUNTED}, in_shop(w)
        watch_the_workspace_too(w)
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals()["ignored"] == len(written))
            code, _, err = await finish(process)
        assert code == 0, err
        assert len(written) > 1
        assert ({name: w.totals()[name] for name in COUNTED}, in_shop(w)) == (before, written)


async def test_summaries_that_are_watched_as_they_are_written_add_nothing_and_the_tenants_own_events_do(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        watch_the_workspace_too(w)
        async with batcher("run", "--config", str(w.config)) as process:
            kept = happen(w, script(200)[:100])
            await until(lambda: w.told() == kept)
            kept += happen(w, script(200)[100:])
            await until(lambda: w.told() == kept)
            # Behind all of ours in the stream: once this is counted, they have been read.
            w.sandbox.kcp.workspaces["root:shop"].create_object(EVENTS, "web", back_off("web", "tenant-0"))
            await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences + 3)
            await until(lambda: bool(told_of(w, "shop")))
            code, _, err = await finish(process)
        assert code == 0, err
        assert w.totals()["ignored"] > len(in_shop(w))
        assert told_of(w, "shop") == [("tenant-0", 3)]
        assert [check.name for check in verify(w.directory, w.directory.archive) if not check.ok] == []
