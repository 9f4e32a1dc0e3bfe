"""Scripted incidents are found, and quiet days have none."""

import pytest

from tests.scenarios.player import Scenario, scenarios
from tests.scenarios.quality import Quality, found, matches, measure

ALL = scenarios()
BY_NAME = {scenario.name: scenario for scenario in ALL}


def test_there_are_thirty_incidents_and_ten_quiet_days_at_least() -> None:
    assert len(ALL) == len(BY_NAME)
    assert sum(bool(scenario.incidents) for scenario in ALL) >= 30
    assert sum(not scenario.incidents for scenario in ALL) >= 10


@pytest.mark.parametrize(
    "name",
    [
        "a Job reaches its limit in every cluster",
        "Pods are evicted for want of memory in two clusters",
        "lines come late and twice",
    ],
)
def test_an_incident_is_found_with_all_of_its_clusters_whatever_else_happens(name: str) -> None:
    scenario = BY_NAME[name]
    told = found(scenario, seed=1, noise=True)
    assert all(any(matches(one, expected) for one in told) for expected in scenario.incidents)
    assert all(any(matches(one, expected) for expected in scenario.incidents) for one in told)


@pytest.mark.parametrize(
    ("name", "causes"),
    [
        ("nodes of two clusters are lost at once", {"NodeNotReady"}),
        ("liveness probes fail, containers are killed", {"", "Unhealthy"}),
        ("clocks differ by half a minute, and the effect seems to come first", {"", "OOMKilling"}),
    ],
)
def test_an_incident_goes_back_to_its_root_cause_whatever_else_happens(name: str, causes: set[str]) -> None:
    assert {one.cause for one in found(BY_NAME[name], seed=1, noise=True)} == causes


@pytest.mark.parametrize(
    "name", ["a rollout that goes well, in three clusters", "two clusters have different troubles"]
)
def test_a_quiet_day_has_no_incident(name: str) -> None:
    assert found(BY_NAME[name], seed=1, noise=True) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", ALL, ids=[scenario.name for scenario in ALL])
def test_each_scenario_is_told_as_what_it_is_without_noise(scenario: Scenario) -> None:
    told, caused = len(found(scenario, seed=0, noise=False)), sum(bool(each.cause) for each in scenario.incidents)
    expected = len(scenario.incidents)
    assert measure([scenario], seeds=[0], noise=False) == Quality(expected, expected, told, told, caused, caused)
