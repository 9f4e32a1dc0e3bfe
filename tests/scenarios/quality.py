"""How many of the scripted incidents are found, and how many are found that are none: ``make quality``."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec
import polars as pl

from batcher.decode import decode
from batcher.pipeline import Rules, advance, empty_state, run
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES
from tests.scenarios.player import Expected, Scenario, batches, scenarios, sections, told

WINDOW = timedelta(minutes=10)
RULES = Rules(
    mapping=tuple(Rule("*", namespace, f"root:{namespace}") for namespace in ("shop", "pay")),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(hours=1),
    prefix=True,
    owner=True,
    correlation_window=WINDOW,
)


class Found(NamedTuple):
    """An incident that was told."""

    workspace: str
    reason: str
    clusters: frozenset[str]
    cause: str = ""
    """The reason of the root that most links to its members go back to."""


class Quality(NamedTuple):
    """Of how many incidents that there are, and of how many that were told."""

    expected: int
    recalled: int
    told: int
    right: int
    caused: int = 0
    """Of those that were recalled, how many have a cause."""
    explained: int = 0
    """Of these, how many are told with the right one."""

    @property
    def accuracy(self) -> float:
        """The part of root causes that is right."""
        return self.explained / self.caused if self.caused else 1.0

    @property
    def precision(self) -> float:
        """The part of what was told that is so."""
        return self.right / self.told if self.told else 1.0

    @property
    def recall(self) -> float:
        """The part of what is so that was told."""
        return self.recalled / self.expected if self.expected else 1.0


def found(scenario: Scenario, *, seed: int, noise: bool) -> list[Found]:
    """Return the incidents that the pipeline tells of ``scenario``."""
    lines = sections(scenario, told(scenario, seed=seed, noise=noise), seed=seed)
    state, nothing = empty_state(), pl.DataFrame(schema=OUTCOMES)
    closed, linked = [], []
    for number, (now, frames) in enumerate(batches(lines, silence=timedelta(hours=2)), 1):
        result = run(decode(frames), nothing, state, batch=number, now=now, rules=RULES)
        state = advance(state, result.changes)
        closed.append(result.tables["incidents"])
        linked.append(result.tables["links"])
    rows, links = (
        pl.concat(closed).select("workspace", "reason", "clusters", "member_list").iter_rows(),
        pl.concat(linked),
    )
    return [
        Found(workspace, reason, frozenset(_names(clusters)), _cause(links, members))
        for workspace, reason, clusters, members in rows
    ]


def _cause(links: pl.DataFrame, members: str) -> str:
    summaries = [member["summary"] for member in msgspec.json.decode(members)]
    of_members = links.filter(pl.col("effect_summary").is_in(summaries), ~pl.col("root_summary").is_in(summaries))
    most = of_members.group_by("root_reason").len().sort("len", "root_reason", descending=[True, False])
    return str(most["root_reason"][0]) if len(most) else ""


def _names(clusters: object) -> Iterator[str]:
    said = msgspec.json.decode(clusters) if isinstance(clusters, str) else clusters
    assert isinstance(said, Iterable)
    for each in said:
        yield each if isinstance(each, str) else each["cluster"]


def matches(one: Found, expected: Expected) -> bool:
    """Whether an incident that was told is one that there is."""
    return (one.workspace, one.clusters) == expected[::2] and one.reason in expected.reasons


def measure(chosen: Sequence[Scenario], *, seeds: Iterable[int], noise: bool) -> Quality:
    """Return the quality over ``chosen``, each played once a seed."""
    total = Quality(0, 0, 0, 0)
    for seed in seeds:
        for scenario in chosen:
            told_of = found(scenario, seed=seed, noise=noise)
            hit = [each for each in told_of if any(matches(each, expected) for expected in scenario.incidents)]
            recalled = [e for e in scenario.incidents if any(matches(each, e) for each in told_of)]
            caused = [expected for expected in recalled if expected.cause]
            explained = [e for e in caused if any(matches(each, e) and each.cause == e.cause for each in told_of)]
            here = (len(scenario.incidents), len(recalled), len(told_of), len(hit), len(caused), len(explained))
            total = Quality(*(before + more for before, more in zip(total, here, strict=True)))
    return total


def main() -> None:
    """Print precision and recall, without noise and with it."""
    for noise in (False, True):
        found_ = measure(scenarios(), seeds=range(3), noise=noise)
        what = "with noise" if noise else "without noise"
        print(  # noqa: T201  what it is for
            f"{what}: {found_.expected} incidents, {found_.told} told; "
            f"precision {found_.precision:.3f}, recall {found_.recall:.3f}, "
            f"root cause right {found_.explained} of {found_.caused} ({found_.accuracy:.3f})"
        )


if __name__ == "__main__":
    main()
