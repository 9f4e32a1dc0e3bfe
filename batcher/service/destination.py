"""How the configuration says that kcp is written to: with which identities, to which workspaces."""

from collections.abc import Callable, Mapping
from pathlib import Path

from batcher import kinds
from batcher.connect import Connection, Trust, connect
from batcher.errors import ConfigError
from batcher.publish import Delivery, Export, Identities, Lookup, Way
from batcher.settings import Settings


class Destination:
    """What the publisher writes by, and how it follows the configuration."""

    def __init__(self, settings: Settings) -> None:
        """Connect as ``settings`` say; nothing is sent. Raises :class:`ConfigError`."""
        self._connections: dict[Path | None, Connection] = {}
        self._lookup = Lookup()
        self.targets: Identities | Export = Identities([])
        if settings.kcp.api_export:
            self.targets = Export(provider_of(settings), settings.kcp.api_export.name)
        self.delivery = Delivery(self.targets, self._lookup)
        self.prepared(settings)()

    @property
    def connections(self) -> Mapping[str, Connection]:
        """By whom is written: ``kcp`` for the kubeconfig's own identity, or the file of a token."""
        if isinstance(self.targets, Export):
            return {"kcp": self.targets.provider}
        return {str(file) if file else "kcp": connection for file, connection in self._connections.items()}

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """Return what makes ``settings`` hold. Raises :class:`ConfigError`, and changes nothing, if they cannot."""
        targets, looked_up = self.targets, [kinds.parse(entry) for entry in settings.transform.lookup]
        if isinstance(targets, Export):
            export, patterns = targets, [workspace.path for workspace in settings.kcp.workspaces]

            def narrow() -> None:
                export.apply(patterns)
                self._lookup.apply(looked_up)

            return narrow
        identities, connections = targets, self._connected(settings)
        ways = [Way(workspace.path, connections[workspace.token_file]) for workspace in settings.kcp.workspaces]

        def apply() -> None:
            self._connections = connections
            identities.apply(ways)
            self._lookup.apply(looked_up)

        return apply

    def _connected(self, settings: Settings) -> dict[Path | None, Connection]:
        """Return a connection for each identity; one that there was stays."""
        files = {workspace.token_file for workspace in settings.kcp.workspaces}
        return {file: self._connections.get(file) or connection_to(settings, file) for file in files}


def connection_to(settings: Settings, token_file: Path | None) -> Connection:
    """Return the connection to kcp of one identity; nothing is sent. Raises :class:`ConfigError`.

    Any context will do: what its server says after ``/clusters/`` is not for us.
    """
    kcp = settings.kcp
    connection = connect(
        name="kcp", kubeconfig=kcp.kubeconfig, context=kcp.context, token_file=token_file, trust=_trust(settings)
    )
    connection.server = connection.server.partition("/clusters/")[0]
    return connection


def provider_of(settings: Settings) -> Connection:
    """Return a connection into the workspace of the APIExport: here the context's path counts.

    Nothing is sent. Raises :class:`ConfigError`.
    """
    export = settings.kcp.api_export
    assert export is not None  # noqa: S101  asked by the only caller
    connection = connect(name="kcp", kubeconfig=export.kubeconfig, context=export.context, trust=_trust(settings))
    if "/clusters/" not in connection.server:
        what = f"apiExport: the server {connection.server} names no workspace: add /clusters/<the APIExport's>"
        raise ConfigError([what], str(export.kubeconfig))
    return connection


def _trust(settings: Settings) -> Trust:
    return Trust(frozenset(settings.credentials.exec_allowed), relaxed_x509=settings.kcp.relaxed_x509)
