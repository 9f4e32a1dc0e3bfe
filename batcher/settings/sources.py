"""Where Events come from: the clusters, and what their kubeconfigs are trusted with."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from batcher.settings.values import AbsolutePath, ClusterName, Duration, FreeKey, LabelValue, Model


class Cluster(Model):
    """A source cluster, and how to reach it."""

    name: ClusterName
    kubeconfig: Path | None = None
    in_cluster: bool = False
    context: str | None = None
    namespaces: list[str] = []
    """Namespaces to watch; none: all."""
    labels: dict[FreeKey, LabelValue] = {}
    """What routes can choose by."""
    workspace: str | None = None
    """For namespaces that no rule maps, and for objects without a namespace."""
    event_ttl: Duration = Field(default=timedelta(hours=1), alias="eventTTL")
    """kube-apiserver's ``--event-ttl``, 1 h by default."""
    insecure_skip_tls_verify: bool = Field(default=False, alias="insecureSkipTLSVerify")
    """Do not verify the server: anybody in between can read tokens and invent Events. Warned about."""
    relaxed_x509: bool = False
    """For a CA that does not meet ``VERIFY_X509_STRICT``, which Python sets from 3.13 on."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.in_cluster == (self.kubeconfig is not None):
            message = "give either kubeconfig or inCluster: true"
            raise ValueError(message)
        return self


class Credentials(Model):
    """What kubeconfigs are trusted with."""

    exec_allowed: list[AbsolutePath] = []
    """Absolute paths of the credential plugins (``exec``) that may be run; none: no plugin is."""
