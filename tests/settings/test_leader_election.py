import pytest

from batcher.settings import Settings
from tests.settings.files import problems, valid

IN_CLUSTER = {"enabled": True, "inCluster": True}


def test_the_times_are_those_of_client_go() -> None:
    said = Settings.model_fields["leader_election"].default
    assert (said.enabled, said.lease_name) == (False, "batcher")
    times = (said.lease_duration, said.renew_deadline, said.retry_period)
    assert [time.total_seconds() for time in times] == [15, 10, 2]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"enabled": True}, ["leaderElection: give either kubeconfig or inCluster: true"]),
        (IN_CLUSTER | {"kubeconfig": "k"}, ["leaderElection: give either kubeconfig or inCluster: true"]),
        (
            IN_CLUSTER | {"renewDeadline": "15s"},
            ["leaderElection: leaseDuration must be longer than renewDeadline, and that than 1.2 times retryPeriod"],
        ),
        (
            IN_CLUSTER | {"retryPeriod": "9s"},
            ["leaderElection: leaseDuration must be longer than renewDeadline, and that than 1.2 times retryPeriod"],
        ),
        (
            IN_CLUSTER | {"leaseDuration": "10500ms"},
            ["leaderElection: leaseDuration: a Lease lasts whole seconds, at least one"],
        ),
        (IN_CLUSTER | {"leaseName": "../x"}, [
            "leaderElection.leaseName: '../x' is not a DNS-1123 label (lower-case letters, digits and -, at most 63)"
        ]),
    ],
)  # fmt: skip
def test_what_could_not_elect_a_leader_is_refused(said: dict[str, object], told: list[str]) -> None:
    assert problems(leaderElection=said) == told


def test_the_lease_is_that_of_the_pod_or_of_a_kubeconfig() -> None:
    assert valid(leaderElection=IN_CLUSTER).leader_election.in_cluster
    assert valid(leaderElection={"enabled": True, "kubeconfig": "k"}).leader_election.kubeconfig is not None
