"""A long time with everything going wrong at random: the sets of what happened and of what was heard are equal."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from batcher.sandbox import Answer, Chunking, Cluster, Compacted, Faults
from benchmarks import idle
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Counted, Sink, sandboxed, watching

Revision = tuple[str, int]
"""uid and resourceVersion."""

ERROR = b'{"type":"ERROR","object":{"kind":"Status","reason":"InternalError","code":500}}\n'


class Ledger:
    """What happened, by whom it was replaced, and the server that it happened on."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self.cluster = cluster
        self.rng = rng
        self.revisions: list[Revision] = []

    def happen(self) -> None:
        """Create an Event, raise the count of one, or let one expire."""
        known = self.cluster.events("web")
        chance = self.rng.random()
        if not known or chance < 0.5:
            name = f"e{len(self.revisions)}"
            made = self.cluster.create_event({"metadata": {"name": name, "namespace": "web"}, "count": 1})
        elif chance < 0.9:
            event = self.rng.choice(known)
            made = self.cluster.update_event("web", event["metadata"]["name"], {"count": event["count"] + 1})
        else:
            self.cluster.delete_event("web", self.rng.choice(known)["metadata"]["name"])
            return
        self.revisions.append((made["metadata"]["uid"], int(made["metadata"]["resourceVersion"])))

    def go_wrong(self) -> None:
        """Let one more thing go wrong, or all be well again."""
        faults = self.cluster.faults
        code = self.rng.choice([401, 403, 410, 429, 500, 503])
        verb = self.rng.choice(["watch", "list", "get"])
        wrong: list[Callable[[], Faults]] = [
            Faults,
            Faults,
            lambda: replace(faults, resets=1),
            lambda: replace(faults, ends=1),
            lambda: replace(faults, answers=(Answer(code, verb, times=self.rng.randrange(1, 4)),)),
            lambda: replace(faults, drop=frozenset({verb})),
            lambda: replace(faults, stall=frozenset({"watch"})),
            lambda: replace(faults, inserts=(self.rng.choice([ERROR, b"<html>\n", b'{"type":"ADDED"\n']),)),
            lambda: replace(
                faults, chunking=self.rng.choice(list(Chunking)), compacted=self.rng.choice(list(Compacted))
            ),
        ]
        self.cluster.faults = self.rng.choice(wrong)()
        if self.rng.random() < 0.2:
            self.cluster.compact()
        if self.rng.random() < 0.1:
            self.cluster.lose(1)


def heard(sink: Sink) -> set[Revision]:
    """Every revision in the sink, deletions left out."""
    found = set()
    for section in sink.sections:
        for line in section.body.splitlines() if not section.note else ():
            decoded = msgspec.json.decode(line)
            event = decoded.get("object", decoded)
            if decoded.get("type") != "DELETED" and "uid" in event["metadata"]:
                found.add((event["metadata"]["uid"], int(event["metadata"]["resourceVersion"])))
    return found


async def soak(folder: Path, seed: int, steps: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    sink = Sink()
    async with sandboxed(folder) as cluster:
        ledger = Ledger(cluster, rng)
        for _ in range(steps // 20):
            async with watching(cluster, folder, sink=sink, seen=Counted):
                for _ in range(20):
                    for _ in range(rng.randrange(6)):
                        ledger.happen()
                    ledger.go_wrong()
                    await asyncio.sleep(rng.choice([0, 0.1, 1, 10, 100, 700]))
            sink.sections = sink.sections[: rng.randrange(len(sink.sections) * 9 // 10, len(sink.sections) + 1)]
        cluster.faults = Faults()
        async with watching(cluster, folder, sink=sink, seen=Counted) as w:
            last = {(e["metadata"]["uid"], int(e["metadata"]["resourceVersion"])) for e in cluster.events()}
            await w.until(lambda: last <= heard(sink), 2 * 3600, step=5)
    found, happened = heard(sink), set(ledger.revisions)
    assert found <= happened
    superseded = {missing for missing in happened - found if not replaced(missing, happened, found, last)}
    assert superseded == set()


def replaced(missing: Revision, happened: set[Revision], found: set[Revision], last: set[Revision]) -> bool:
    """Whether nobody could have read a revision any more: a later one was heard, or its Event is gone."""
    uid, version = missing
    later = {other for other in happened if other[0] == uid and other[1] > version}
    return bool(later & found) or uid not in {uid for uid, _ in last}


@pytest.mark.parametrize("seed", range(3))
def test_29_whatever_goes_wrong_what_is_there_in_the_end_was_heard_and_nothing_else(tmp_path: Path, seed: int) -> None:
    in_virtual_time(soak)(tmp_path, seed, 100)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 130))
def test_29_the_same_for_days(tmp_path: Path, seed: int) -> None:
    in_virtual_time(soak)(tmp_path, seed, 1000)


@pytest.mark.slow
def test_28_ten_thousand_idle_watches_take_less_than_a_gibibyte_and_come_back_spread_out() -> None:
    seen = idle.measure(10_000, minutes=6)
    assert seen.bytes_after < 2**30
    assert seen.descriptors < 10_100
    assert seen.reconnects >= 10_000
    assert seen.due_at_once < 10_000 / 30  # of 51 seconds that timeoutSeconds may be
    assert seen.busiest < seen.reconnects / 10
