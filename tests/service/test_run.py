"""``batcher run`` as a process, against simulated clusters over real sockets."""

from dataclasses import replace
from pathlib import Path

import pytest

from batcher.verify import verify
from tests.called import called
from tests.service.world import World, batcher, finish, script, until, world


def failed(w: World) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(w.directory, w.directory.archive) if not check.ok]


async def test_every_occurrence_is_counted_once_and_told_to_its_workspace(tmp_path: Path) -> None:
    async with world(tmp_path) as w, batcher("run", "--config", str(w.config)) as process:
        w.happen(script(300))
        await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
        kept = sum(h.times for h in script(300) if h.regarding.namespace in {"web", "jobs"})
        await until(lambda: w.told() == kept)
        code, _, err = await finish(process)
        assert (code, failed(w)) == (0, []), err


async def test_a_line_that_cannot_be_counted_is_quarantined_and_the_rest_goes_on(tmp_path: Path) -> None:
    huge = b'{"type":"ADDED","object":{"metadata":{"name":"n","uid":"u","resourceVersion":"3"},"count":%d}}\n' % 2**70
    no_uid = b'{"type":"ADDED","object":{"metadata":{"name":"n","resourceVersion":"3"}}}\n'
    async with world(tmp_path) as w, batcher("run", "--config", str(w.config)) as process:
        w.happen(script(20))
        await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
        cluster = w.sandbox.clusters["us-west1"]
        cluster.faults = replace(cluster.faults, inserts=(no_uid, huge))
        w.happen(script(60)[20:])
        await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences and w.totals()["quarantined"] == 2)
        code, _, err = await finish(process)
        assert (code, failed(w)) == (0, []), err


async def test_a_line_that_is_not_json_is_quarantined_and_the_cluster_listed_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w, batcher("run", "--config", str(w.config)) as process:
        w.happen(script(20))
        await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
        cluster = w.sandbox.clusters["us-west1"]
        cluster.faults = replace(cluster.faults, inserts=(b"<html>bad gateway</html>\n",))
        w.happen(script(60)[20:])
        await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences and w.totals()["quarantined"] == 1)
        await until(lambda: w.totals()["repeats"] > 0)
        code, _, err = await finish(process)
        assert (code, failed(w)) == (0, []), err


async def test_an_unreachable_cluster_slows_no_other(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        away = tmp_path / "away.kubeconfig"
        away.write_text(
            (tmp_path / "kubeconfig").read_text().replace(w.sandbox.clusters["ap-south1"].url, "http://127.0.0.1:9")
        )
        kubeconfigs = {"ap-south1": away}
        clusters = [
            {"name": name, "kubeconfig": str(kubeconfigs.get(name, tmp_path / "kubeconfig")), "context": name}
            for name in w.sandbox.clusters
        ]
        w.configure(clusters=clusters)
        async with batcher("run", "--config", str(w.config)) as process:
            w.happen(script(60))
            reachable = sum(h.times for h in script(60) if h.cluster != "ap-south1")
            await until(lambda: w.totals().get("occurrences") == reachable)
            code, _, err = await finish(process)
            assert (code, failed(w)) == (0, []), err


async def test_a_second_batcher_on_one_data_directory_refuses_in_one_line(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        async with batcher("run", "--config", str(w.config)) as first:
            await until((w.directory.root / "archive.path").exists)
            async with batcher("run", "--config", str(w.config)) as second:
                _, err = await second.communicate()
            assert (await finish(first))[0] == 0
        where = f"{w.directory.root}: in use by another batcher (process {first.pid})"
        assert err.decode().splitlines() == [f"{where}; stop it first or use another --data-dir"]
        assert second.returncode == 1


async def test_every_configuration_error_is_told_at_once_without_a_traceback(tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(
        "apiVersion: batcher.kcp.io/v1alpha1\nkind: BatcherConfig\nclusters: [{name: Bad_Name, kubeconfig: k}]\n"
        "kcp: {kubeconfig: k, workspaces: []}\nbatch: {interval: soon}\nsurprise: 1\n"
    )
    async with batcher("run", "--config", str(config)) as process:
        _, err = await process.communicate()
        assert process.returncode == 2
        assert err.decode().splitlines() == [
            f"{config}: 4 problems",
            "  clusters[0].name: 'Bad_Name' is not a DNS-1123 label (lower-case letters, digits and -, at most 63)",
            "  kcp: workspaces: name at least one: without an APIExport nothing else says where may be written",
            "  batch.interval: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d",
            "  surprise: unknown setting",
        ]


@pytest.mark.parametrize("context", ["nowhere", "us-west1"])
async def test_a_kubeconfig_that_is_wrong_is_named_with_what_is_there(tmp_path: Path, context: str) -> None:
    kubeconfig = tmp_path / "k"
    kubeconfig.write_text("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n")
    config = tmp_path / "c.yaml"
    config.write_text(
        "apiVersion: batcher.kcp.io/v1alpha1\nkind: BatcherConfig\n"
        f"clusters: [{{name: us-west1, kubeconfig: {kubeconfig}, context: {context}}}]\n"
        f"kcp: {{kubeconfig: {kubeconfig}, workspaces: [{{path: 'root:*'}}]}}\n"
    )
    async with batcher("run", "--config", str(config), "--data-dir", str(tmp_path / "data")) as process:
        _, err = await process.communicate()
        assert process.returncode == 2
        assert err.decode().splitlines() == [
            f"{kubeconfig}: 1 problem",
            f"  context {context!r} is not there; known: none",
        ]


async def test_status_says_what_runs_which_cluster_is_away_and_that_it_was_stopped(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        away = w.sandbox.clusters["ap-south1"]
        away.faults = replace(away.faults, drop=frozenset({"get", "list", "watch"}))
        where = ("status", "--data-dir", str(w.directory.root))
        async with batcher("run", "--config", str(w.config)) as process:
            w.happen(script(20))
            reachable = sum(h.times for h in script(20) if h.cluster != "ap-south1")
            await until(lambda: w.totals().get("occurrences") == reachable)
            await until((w.directory.root / "status.json").exists)
            code, out, _ = await called(*where)
            rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if line}
            assert (code, rows["service"]) == (0, "running,")
            assert (rows["us-west1"], rows["eu-central1"], rows["ap-south1"]) == ("connected", "connected", "waiting")
            assert (await finish(process))[0] == 0
        code, out, _ = await called(*where)
        assert (code, out.splitlines()[0][:31]) == (1, "service    NOT running; last se")
