"""Where Events come from: the clusters, and what their kubeconfigs are trusted with.

A cluster is an entry of its own, or a file of a directory: then an entry that has only its name overrides what the
directory says of all. Nothing here looks into a directory: that is :mod:`batcher.settings.directories`'.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, model_validator

from batcher.settings.values import AbsolutePath, ClusterName, Duration, FreeKey, LabelValue, Model

HAS_DIRECTORY = "has-directory"
"""The context of a validation in which a cluster may be one of a directory, and so needs no way in."""


class ClusterSettings(Model):
    """What is said of a cluster, however it is reached."""

    context: str | None = None
    """The context of the kubeconfig; without, its current one."""
    namespaces: list[str] = []
    """Namespaces to watch; none: all."""
    labels: dict[FreeKey, LabelValue] = {}
    """What routes can choose by. Of a cluster of a directory, its own labels are added to the directory's."""
    workspace: str | None = None
    """For namespaces that no rule maps, and for objects without a namespace."""
    event_ttl: Duration = Field(default=timedelta(hours=1), alias="eventTTL")
    """kube-apiserver's ``--event-ttl``, 1 h by default."""
    insecure_skip_tls_verify: bool = Field(default=False, alias="insecureSkipTLSVerify")
    """Do not verify the server: anybody in between can read tokens and invent Events. Warned about."""
    relaxed_x509: bool = False
    """For a CA that does not meet ``VERIFY_X509_STRICT``, which Python sets from 3.13 on."""


class Cluster(ClusterSettings):
    """A source cluster, and how to reach it: by a kubeconfig, or as the one that batcher runs in."""

    name: ClusterName
    """How it is called in summaries, metrics and logs. Unique."""
    kubeconfig: Path | None = None
    """The file that says how to reach it; read again when it changes."""
    in_cluster: bool = False
    """Whether it is the cluster that batcher runs in, reached by the Pod's service account."""

    @model_validator(mode="after")
    def _one_way_in(self, info: ValidationInfo) -> Self:
        may_be_found = bool(info.context and info.context.get(HAS_DIRECTORY))
        if self.in_cluster == (self.kubeconfig is not None) and (self.in_cluster or not may_be_found):
            message = "give either kubeconfig or inCluster: true"
            raise ValueError(message)
        return self

    @property
    def has_way_in(self) -> bool:
        """Whether it is a cluster by itself; without, it overrides what the directory says of one."""
        return self.in_cluster or self.kubeconfig is not None


class ClusterDirectory(Model):
    """Clusters that come and go as files, such as those of a mounted Secret."""

    directory: Path
    """Every ``*.kubeconfig`` in it is a cluster, called as the file is before its ending."""
    defaults: ClusterSettings = ClusterSettings()
    """What holds for all of them. An entry that has only the ``name`` of one overrides it."""


def _kind(said: Any) -> str:
    is_directory = "directory" in said if isinstance(said, dict) else isinstance(said, ClusterDirectory)
    return "<directory>" if is_directory else "<cluster>"


Source = Annotated[
    Annotated[Cluster, Tag("<cluster>")] | Annotated[ClusterDirectory, Tag("<directory>")], Discriminator(_kind)
]
"""An entry of ``clusters``. A tag is never shown: it is no part of the path of a setting."""


class Credentials(Model):
    """What kubeconfigs are trusted with."""

    exec_allowed: list[AbsolutePath] = []
    """Absolute paths of the credential plugins (``exec``) that may be run; none: no plugin is."""
