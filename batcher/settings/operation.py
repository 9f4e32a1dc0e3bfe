"""How the service runs: batches, archive, spool, HTTP, log, and which of several processes does."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from batcher.settings.values import ClusterName, Duration, Model, Size


class BatchSettings(Model):
    """How often a batch runs and how many lines it takes at most."""

    interval: Duration = timedelta(seconds=5)
    """From batch to batch: what happens for the first time waits so long to be told, at most."""
    max_rows: int = Field(default=50_000, ge=1)
    """Delivered lines in a batch; catching up is batches back to back."""


def retention_problem(retention: timedelta, important: timedelta) -> str:
    """Return why rows cannot be kept for so long, important ones for ``important``; empty if they can."""
    if retention < timedelta(days=1):
        return "retention: shorter than 1d, which a lost data directory may need to go on from"
    return "retentionImportant: shorter than retention" if important < retention else ""


class Archive(Model):
    """Where the tables are, how often staged files are registered in them, and how they are kept."""

    path: str = "./archive"
    """A folder, or the URL of an S3-compatible store: ``s3://bucket/folder``."""
    storage_options: dict[str, SecretStr] = {}
    """How a store is reached: ``aws_endpoint_url``, ``aws_region``, ``allow_http``, ``aws_secret_access_key_file`` and
    others. What is not said here, the usual ``AWS_`` variables say. Values are never shown."""
    interval: Duration = timedelta(seconds=60)
    """How often rows are delivered to it; until then they are in the data directory."""
    retention: Duration = timedelta(days=30)
    """For how long all rows are kept, in whole days: at least 1d, since a lost data directory is gone on from here."""
    retention_important: Duration = timedelta(days=365)
    """For how long warnings of incidents, critical reasons and what is pinned are kept."""
    compact_every: Duration = timedelta(hours=1)
    """How often old rows are removed, and small files are rewritten as few."""

    @field_validator("path")
    @classmethod
    def _has_no_password(cls, value: str) -> str:
        if "://" in value and "@" in value:
            message = "a URL with credentials; they belong into archive.storageOptions"
            raise ValueError(message)
        return value

    @property
    def storage(self) -> dict[str, str]:
        """The options of the store as it needs them: secrets, for nobody else."""
        return {name: value.get_secret_value() for name, value in self.storage_options.items()}

    @model_validator(mode="after")
    def _is_long_enough(self) -> Self:
        if wrong := retention_problem(self.retention, self.retention_important):
            raise ValueError(wrong)
        return self


class Spool(Model):
    """The bound of the write-ahead log."""

    max_bytes: Size = 10 * 2**30
    """At so many bytes reading stops until batches and archive have caught up; nothing is dropped."""


class Quarantine(Model):
    """The bound of what could not be counted, and is kept byte for byte."""

    max_bytes: Size = 2**30
    """At so many bytes the clusters whose lines are in quarantine are read no more, until it is larger or fewer wait
    (``batcher failed retry``). The others go on; nothing is dropped."""


class Serve(Model):
    """Metrics and health over HTTP; on loopback unless told otherwise."""

    address: str = "127.0.0.1"
    """The address to listen at."""
    port: int | None = Field(default=None, ge=0, le=65535)
    """The port to listen at; null: no HTTP at all. 0: a free one."""


class Log(Model):
    """Log lines on stderr."""

    format: Literal["json", "text"] = "text"
    """For machines, or for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""


_JITTER = 1.2
"""How many retry periods who waits may add to one, as client-go does."""


class LeaderElection(Model):
    """Which of several processes runs: the one that holds a Lease, as client-go elects leaders."""

    enabled: bool = False
    """Whether to wait for the Lease before the data directory is opened, and to end when it is lost: also when the API
    server that has it is away for longer than ``renewDeadline``."""
    lease_name: ClusterName = "batcher"
    """The Lease's. All that may take the place of each other have the same."""
    namespace: ClusterName | None = None
    """The Lease's; without, the Pod's own, or ``default`` with a kubeconfig."""
    in_cluster: bool = False
    """Whether the Lease is in the cluster that batcher runs in, reached by the Pod's service account."""
    kubeconfig: Path | None = None
    """The file that says how to reach the cluster of the Lease, if it is another."""
    context: str | None = None
    """A context of that kubeconfig; without, its current one."""
    lease_duration: Duration = timedelta(seconds=15)
    """Who waits takes the Lease after so long without a renewal. Whole seconds."""
    renew_deadline: Duration = timedelta(seconds=10)
    """The leader ends after so long without one."""
    retry_period: Duration = timedelta(seconds=2)
    """From one try to the next."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.enabled and self.in_cluster == (self.kubeconfig is not None):
            message = "give either kubeconfig or inCluster: true"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _who_waits_waits_longest(self) -> Self:
        if self.lease_duration < timedelta(seconds=1) or self.lease_duration % timedelta(seconds=1):
            message = "leaseDuration: a Lease lasts whole seconds, at least one"
            raise ValueError(message)
        if not self.lease_duration > self.renew_deadline > self.retry_period * _JITTER:
            message = "leaseDuration must be longer than renewDeadline, and that than 1.2 times retryPeriod"
            raise ValueError(message)
        return self
