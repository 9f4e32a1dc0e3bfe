"""``batcher status``: what it shows of a service that runs, is in trouble, or is gone."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs
from typer.testing import CliRunner

from batcher import clock
from batcher.cli import app
from batcher.schema import SUMS
from batcher.status import ClusterStatus, CredentialStatus, Status, WorkspaceStatus, write_status

ERROR = "edge-07: \x1b[31mrefused\nagain \x9b2J\u202e"


def status(at: datetime) -> Status:
    clusters = [
        ClusterStatus(
            name="us-west1", watch="connected", uid="u", last_event_at=at, last_contact_at=at, restarts=2, lists=1,
            recovered=0, insecure=False, last_error="", events=1234, occurrences=12, warnings=3, lag_ms=450,
        ),
        ClusterStatus(
            name="edge-07", watch="waiting", uid="", last_event_at=None, last_contact_at=None, restarts=17, lists=0,
            recovered=0, insecure=False, last_error=ERROR, events=0, occurrences=0,
            warnings=0, lag_ms=0,
        ),
    ]  # fmt: skip
    return Status(
        at=at, pid=4711, interval_seconds=5.0, batch=3, totals=dict.fromkeys(SUMS, 4), open_summaries=5,
        pending_writes=6, identities=7, spool_bytes=8, spool_trouble="", archive_trouble="away", publish_trouble="",
        config_trouble="batcher.yaml: clusters: required", clusters=clusters,
        open_incidents=2,
    )  # fmt: skip


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "format").write_text("2\n")
    return tmp_path


def show(data_dir: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["status", "--data-dir", str(data_dir), *arguments])
    return result.exit_code, result.output


def test_a_service_that_runs_is_shown_with_its_trouble_and_a_line_a_cluster(data_dir: Path) -> None:
    write_status(data_dir, status(clock.now()))
    code, out = show(data_dir)
    assert code == 0
    lines = out.splitlines()
    assert lines[:7] == [
        "service    running, process 4711",
        "batches    3; 4 occurrences, 4 gaps",
        "verdicts   4 kept, 4 unmapped, 4 limited, 4 archive-only, 4 filtered",
        "summaries  5 open, 6 writes pending",
        "incidents  2 open, 4 ended",
        "config     batcher.yaml: clusters: required",
        "archive    away",
    ]
    header, one, two, error = (line.split() for line in lines[8:])
    assert header == ["CLUSTER", "WATCH", "LAG", "LAST", "EVENT", "CONTACT", "RESTARTS", "EVENTS"]
    assert one[:3] + one[-2:] == ["us-west1", "connected", "0.5s", "2", "1,234"]
    assert (two[:2], two[3:5]) == (["edge-07", "waiting"], ["never", "never"])
    assert " ".join(error) == "last error: edge-07: [31mrefused again 2J"
    assert "\x1b" not in out


def test_namespaces_that_are_not_believed_have_a_line(data_dir: Path) -> None:
    found = status(clock.now())
    flawed = structs.replace(found.clusters[0], namespaces={"none": 3, "duplicate": 1})
    write_status(data_dir, structs.replace(found, clusters=[flawed]))
    line = "mapping    flawed namespaces in us-west1: 1 duplicate; see: batcher mapping list --flawed"
    assert line in show(data_dir)[1].splitlines()


def test_what_expires_within_a_day_has_a_line_and_what_expires_later_has_none(data_dir: Path) -> None:
    now = clock.now()
    credentials = [
        CredentialStatus("workspace", "kcp", "token", now + timedelta(hours=3)),
        CredentialStatus("cluster", "us-west1", "certificate", now - timedelta(hours=1)),
        CredentialStatus("cluster", "edge-07", "plugin", now + timedelta(days=2)),
    ]
    write_status(data_dir, structs.replace(status(now), credentials=credentials))
    before, after = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (-1, 3))
    line = f"the certificate for cluster us-west1 expired {before}; the token for workspace kcp expires {after}"
    assert " ".join(line.split()) in " ".join(show(data_dir)[1].split())
    write_status(data_dir, structs.replace(status(now), credentials=credentials[2:]))
    assert "expire" not in show(data_dir)[1]


def test_workspaces_are_shown_with_what_they_took_and_refused_the_refusing_ones_first(data_dir: Path) -> None:
    quick = (3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    workspaces = [
        WorkspaceStatus("root:shop", quick, 0.8, {}),
        WorkspaceStatus("root:team-a", (0,) * 11, 0.0, {"Invalid": 1, "Forbidden": 2}),
    ]
    write_status(data_dir, structs.replace(status(clock.now()), workspaces=workspaces))
    *_, header, first, second = show(data_dir)[1].splitlines()
    assert header.split() == ["WORKSPACE", "WRITES", "MEAN", "REFUSED"]
    assert first.split() == ["root:team-a", "0", "2", "Forbidden,", "1", "Invalid"]
    assert second.split() == ["root:shop", "4", "0.2s"]


def test_of_many_workspaces_some_are_shown_and_the_number_of_the_others(data_dir: Path) -> None:
    workspaces = [WorkspaceStatus(f"root:w{number}", (1,) + (0,) * 10, 0.1, {}) for number in range(23)]
    write_status(data_dir, structs.replace(status(clock.now()), workspaces=workspaces))
    lines = show(data_dir)[1].splitlines()
    assert sum(line.startswith("root:") for line in lines) == 20
    assert lines[-1].startswith("... and 3 more")


def test_a_service_that_is_gone_is_said_so_and_the_exit_code_too(data_dir: Path) -> None:
    write_status(data_dir, status(clock.now() - timedelta(hours=2)))
    code, out = show(data_dir)
    assert (code, out.splitlines()[0]) == (1, "service    NOT running; last seen 120m ago")


def test_json_has_everything_and_the_same_exit_codes(data_dir: Path) -> None:
    write_status(data_dir, status(clock.now()))
    code, out = show(data_dir, "--output", "json")
    first, second = json.loads(out)["clusters"]
    assert (code, first["lag_ms"]) == (0, 450)
    assert (second["last_error"], out.isascii(), "\x1b" in out) == (ERROR, True, False)
    write_status(data_dir, structs.replace(status(clock.now()), stopped=True))
    assert show(data_dir, "--output", "json")[0] == 1
