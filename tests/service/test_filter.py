"""``batcher run`` with filter rules: what is dropped, kept and only counted, and rules that change."""

from pathlib import Path
from typing import Any

from batcher.archive import scan
from batcher.batch.process import staged_paths
from batcher.service import Service, reload
from tests.called import called
from tests.service.test_reload import load, serving
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, until, world


def rule(name: str, action: str, **match: Any) -> dict[str, Any]:
    return {"name": name, "action": action, "match": match}


def emit(w: World, *named: tuple[str, dict[str, Any]]) -> None:
    for name, changes in named:
        w.sandbox.clusters["us-west1"].create_event(back_off("web", name) | changes)


def rows(w: World) -> dict[str, tuple[str, str, str]]:
    """By the name of the object: verdict, shadow rules, and the rule that kept it."""
    found = scan(w.directory.archive, "occurrences", staged_paths(w.directory)["occurrences"]).collect()
    return {
        row["regarding_name"]: (row["verdict"], row["shadowed"], row["kept_by"]) for row in found.iter_rows(named=True)
    }


async def test_what_is_dropped_is_archived_and_told_to_nobody_and_shadows_only_count(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        rules = [
            rule("watched", "shadow", objects=["pod/*"]),
            rule("precious", "keep", message="^OOM"),
            rule("probes", "drop", reasons=["Unhealthy"], namespaces=["w?b"], clusters=["us-*"]),
        ]
        w.configure(
            filter={"rules": rules, "minimumSeverity": "warning"},
            routes=[
                {"name": "ops", "match": {"severity": ["warning"]}, "to": ["mapped", {"workspace": "root:team-a"}]}
            ],
        )
        emit(
            w,
            ("told", {}),
            ("dropped", {"reason": "Unhealthy"}),
            ("kept", {"reason": "Unhealthy", "message": "OOM, look at it"}),
            ("normal", {"type": "Normal"}),
        )
        async with batcher("run", "--config", str(w.config)) as process:
            shop, team = (w.sandbox.kcp.workspaces[path] for path in ("root:shop", "root:team-a"))
            await until(lambda: len(shop.events()) == len(team.events()) == 2 and w.totals().get("revisions") == 4)
            code, _, err = await finish(process)
        assert code == 0, err
        assert rows(w) == {
            "told": ("kept", "watched", ""),
            "dropped": ("filtered:probes", "watched", ""),
            "kept": ("kept", "watched", "precious"),
            "normal": ("filtered:minimumSeverity", "watched", ""),
        }
        for workspace in (shop, team):
            assert {event["involvedObject"]["name"] for event in workspace.events()} == {"told", "kept"}
        assert (w.totals()["kept"], w.totals()["filtered"], w.totals()["opened"]) == (2, 2, 4)
        code, out, _ = await called("verify", "--deep", "--data-dir", str(w.directory.root))
        assert code == 0, out


def counted(service: Service) -> dict[tuple[str, str], tuple[int, int]]:
    """By name and action: rows and hits."""
    return {(count.name, count.action.value): (count.rows, count.hits) for count in service.status.rules}


async def test_rules_that_change_while_it_runs_count_on_under_their_names(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(filter={"rules": [rule("a", "shadow", reasons=["BackOff"]), rule("b", "drop", reasons=["No"])]})
        async with serving(w) as service:

            def change_to(*rules: dict[str, Any]) -> None:
                w.configure(filter={"rules": list(rules)})
                reload(service, lambda: load(w))

            emit(w, ("one", {}), ("two", {"reason": "No"}))
            await until(lambda: service.status.totals["revisions"] == 2)
            assert counted(service) == {("a", "shadow"): (2, 1), ("b", "drop"): (2, 1)}
            change_to(rule("b", "drop", reasons=["No", "Other"]), rule("a", "drop", reasons=["BackOff"]))
            emit(w, ("three", {}), ("four", {"reason": "Other"}))
            await until(lambda: service.status.totals["revisions"] == 4)
            assert counted(service) == {("b", "drop"): (4, 2), ("a", "drop"): (2, 1)}
            assert service.status.totals["filtered"] == 3
            change_to(rule("a", "drop", message="("))
            assert "filter.rules[0].match.message: '(' is not a regular" in service.status.config_trouble
            emit(w, ("five", {}))
            await until(lambda: service.status.totals["revisions"] == 5)
            assert counted(service)["a", "drop"] == (3, 2)
            assert service.status.rules[1].last_at > service.status.rules[0].last_at


async def test_counts_go_on_after_a_restart_and_are_metrics(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(filter={"rules": [rule("a", "drop", reasons=["BackOff"])]})
        for number in (1, 2):
            async with serving(w) as service:
                emit(w, (f"n{number}", {}))
                await until(lambda number=number: service.status.totals["revisions"] == number)  # type: ignore[misc]
                assert counted(service) == {("a", "drop"): (number, number)}
