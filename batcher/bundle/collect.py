"""Every member of a bundle, each by itself: one that cannot be made says why, and takes no other with it."""

import importlib.metadata
import json
import platform
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from batcher import __version__
from batcher.batch import Commit, DataDirectory, requests
from batcher.batch.process import latest
from batcher.batch.quarantine import collected, quarantined
from batcher.batch.records import Plan
from batcher.bundle import configuration
from batcher.bundle.lines import NEWEST, reduced
from batcher.bundle.secrets import Scrubber, known_secrets
from batcher.clock import from_micros
from batcher.errors import BatcherError, ConfigError
from batcher.events import as_object, found
from batcher.events.chosen import Selection
from batcher.serve import exposition
from batcher.settings import Settings, find_clusters
from batcher.status import read_status, samples

HEADS = 50
"""Batches whose plan and commit are told of, from the newest."""
EVENTS = 500
"""Events, and lines of quarantine, if they are asked for; the newest."""


class Asked(NamedTuple):
    """What a bundle is made of."""

    directory: DataDirectory
    load: Callable[[], Settings] | None
    """Reads the configuration; None: none was given."""
    environment: Mapping[str, str]
    """Only the names of ours are told."""
    log: Path | None = None
    """A file of the service's log lines."""
    with_events: bool = False


def collect(asked: Asked, now: datetime) -> dict[str, str]:
    """Return the text of each member by its name."""
    settings, shown = _settings(asked)
    scrubber = Scrubber(known_secrets(settings) if settings else ())
    made = {"config.yaml": lambda: shown} | _members(asked, now)
    return {name: scrubber.scrub(_made(make)) for name, make in made.items()}


def _members(asked: Asked, now: datetime) -> dict[str, Callable[[], str]]:
    directory = asked.directory
    members: dict[str, Callable[[], str]] = {
        "versions.json": lambda: _json(_versions(asked.environment)),
        "status.json": lambda: _json(msgspec.to_builtins(read_status(directory.root))),
        "metrics.txt": lambda: exposition(list(samples(read_status(directory.root)))).decode(),
        "batches.json": lambda: _json([_head(directory, commit) for commit in directory.commits()[-HEADS:]]),
        "files.tsv": lambda: "".join(f"{line}\n" for line in _files(directory.root)),
        "quarantine.json": lambda: _json(_quarantine(directory)),
    }
    if asked.log:
        members["log.txt"] = lambda: _log(asked.log, whole=asked.with_events)
    if asked.with_events:
        members["events.ndjson"] = lambda: _events(directory, now)
        members["quarantined-lines.ndjson"] = lambda: _lines(directory)
    return members


def _made(make: Callable[[], str]) -> str:
    try:
        return make()
    except (BatcherError, OSError, pl.exceptions.PolarsError) as error:
        # The words of an error may be those of a file; its kind says enough to go on.
        return f"not here: {type(error).__name__}\n"


def _settings(asked: Asked) -> tuple[Settings | None, str]:
    """The settings, with the clusters of directories if they can be looked into, and what is shown of them."""
    if asked.load is None:
        return None, "no configuration was given\n"
    try:
        settings = asked.load()
    except ConfigError as error:
        return None, configuration.problems(error)
    try:
        return find_clusters(settings), configuration.shown(settings)
    except ConfigError as error:
        return settings, configuration.shown(settings) + f"# {len(error.problems)} problems with directories\n"


def _versions(environment: Mapping[str, str]) -> dict[str, Any]:
    needed = sorted({name.split(";")[0] for name in importlib.metadata.requires("batcher") or [] if ";" not in name})
    names = [_name(requirement) for requirement in needed]
    return {
        "batcher": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in names},
        "environment": sorted(name for name in environment if name.startswith("BATCHER_")),
    }


def _name(requirement: str) -> str:
    """The name at the beginning of ``polars[x]>=1.2``."""
    return requirement[: next((i for i, char in enumerate(requirement) if char in "[<>=!~ "), len(requirement))]


def _head(directory: DataDirectory, commit: Commit) -> dict[str, Any]:
    """A batch in numbers: what it was asked, what it did, and by which version and rules."""
    plan = directory.plan(commit.batch)
    return {
        "batch": commit.batch,
        "now": f"{from_micros(commit.now):%Y-%m-%dT%H:%M:%S.%fZ}",
        "end": list(commit.end),
        "sums": commit.sums,
        "clusters": commit.clusters,
        "files": len(commit.files),
        "plan": _plan(plan) if plan else None,
    }


def _plan(plan: Plan) -> dict[str, Any]:
    outcomes = Counter("written" if each.written else each.refusal for each in plan.outcomes)
    return {
        "start": list(plan.start),
        "code": plan.code,
        "config": plan.config,
        "outcomes": dict(sorted(outcomes.items())),
        "requests": {kind.name.lower(): len(requests.named(kind, plan.requests)) for kind in requests.Kind},
        "known": len(plan.known),
    }


def _files(root: Path) -> Iterator[str]:
    """Each file's size, mode, time of change and name; none is opened, and no link is followed."""
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        yield f"{about.st_size}\t{about.st_mode & 0o7777:04o}\t{int(about.st_mtime)}\t{path.relative_to(root)}"


def _quarantine(directory: DataDirectory) -> list[dict[str, Any]]:
    """How many lines are there and how large, by cluster and cause; what left again is counted, too."""
    rows = quarantined(directory, latest(directory)[0].batch).group_by("cluster", "cause")
    counted = rows.agg(lines=pl.len(), bytes=pl.col("line").bin.size().sum()).sort("cluster", "cause")
    return collected(counted).to_dicts()


def _log(path: Path | None, *, whole: bool) -> str:
    assert path is not None  # noqa: S101  asked by the only caller
    with path.open(encoding="utf-8", errors="backslashreplace") as file:
        newest = deque((line.rstrip("\n") for line in file), maxlen=NEWEST)
    return "".join(f"{line if whole else reduced(line)}\n" for line in newest)


def _events(directory: DataDirectory, now: datetime) -> str:
    listed = found(directory, Selection(), now=now, limit=EVENTS)
    return "".join(f"{json.dumps(as_object(row))}\n" for row in listed.iter_rows(named=True))


def _lines(directory: DataDirectory) -> str:
    newest = quarantined(directory, latest(directory)[0].batch).sort("position").tail(EVENTS)
    rows = collected(newest).iter_rows(named=True)
    shown = [
        {"cluster": r["cluster"], "cause": r["cause"], "line": r["line"].decode(errors="backslashreplace")}
        for r in rows
    ]
    return "".join(f"{json.dumps(each)}\n" for each in shown)


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, default=str) + "\n"
