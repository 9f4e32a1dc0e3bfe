"""APIExports that claim Events, the APIBindings that accept them, and what their endpoint allows.

At ``/services/apiexport/<provider>/<name>`` a workspace is reached by its logical name only, and only as far as
its binding accepts the claim. Nothing is scheduled and nothing takes time: a binding holds at once.
"""

from batcher.clock import Now
from batcher.sandbox.api import Api, Place
from batcher.sandbox.asked import Asked
from batcher.sandbox.identity import Identity
from batcher.sandbox.resources import BINDINGS, ENDPOINT_SLICES, EVENTS
from batcher.sandbox.shape import Object
from batcher.sandbox.status import Refused, forbidden
from batcher.sandbox.store import EVERYWHERE
from batcher.sandbox.workspaces import Workspaces

CLAIMED = frozenset({"get", "create", "update"})


class Exports:
    """The APIExports of one kcp; their objects are in ``api``'s store."""

    def __init__(self, api: Api, workspaces: Workspaces, now: Now) -> None:
        """Begin with none."""
        self.url = ""
        """The server's, known once it listens."""
        self._api = api
        self._workspaces = workspaces
        self._now = now

    def publish(self, provider: str, name: str) -> None:
        """Offer the export ``name`` of the logical cluster ``provider``."""
        endpoint = f"{self.url}/services/apiexport/{provider}/{name}"
        content: Object = {"spec": {"export": {"name": name}}, "status": {"endpoints": [{"url": endpoint}]}}
        self._api.create(Place(ENDPOINT_SLICES, provider), {"metadata": {"name": name}, **content})

    def bind(self, cluster: str, provider: str, name: str, *, accepted: bool) -> None:
        """Let the logical cluster ``cluster`` bind the export, and accept or reject its claim."""
        path = self._workspaces.by_name[cluster].path
        provided = self._workspaces.by_name[provider].path
        claim = {"group": "", "resource": "events", "verbs": sorted(CLAIMED), "selector": {"matchAll": True}}
        claims = [claim | {"state": "Accepted" if accepted else "Rejected"}]
        metadata = {"name": name, "annotations": {"kcp.io/path": path}}
        spec = {"reference": {"export": {"name": name, "path": provided}}, "permissionClaims": claims}
        place = Place(BINDINGS, cluster, "", name)
        self._api.write(place, {"metadata": metadata, "spec": spec}, self._api.store.get(BINDINGS, place.key))

    def unbind(self, cluster: str, name: str) -> None:
        """Delete the binding of ``cluster``; Refused 404 without one."""
        self._api.delete(Place(BINDINGS, cluster, "", name))

    def authorize(self, wanted: Asked, place: Place, who: Identity) -> None:
        """Refuse (403) what the endpoint does not allow: who may not use it, a path, what is not accepted."""
        provider, name = wanted.export or ("", "")
        listing = (place.resource, wanted.verb, place.cluster) == (BINDINGS, "list", EVERYWHERE)
        claimed = place.resource is EVENTS and wanted.verb in CLAIMED and wanted.cluster == place.cluster
        reachable = listing or (claimed and place.cluster in self._accepting(provider, name))
        if not (who.may("content", provider) and reachable):
            raise Refused(forbidden(who.user, wanted.verb, place.resource, place.namespace))

    def bindings(self, export: tuple[str, str]) -> Object:
        """Return the bindings of ``export``, rejected ones too, as a list of objects."""
        kind = {"kind": f"{BINDINGS.kind}List", "apiVersion": BINDINGS.api_version}
        metadata = {"resourceVersion": str(self._api.store.revision)}
        return {**kind, "metadata": metadata, "items": self._bindings(*export)}

    def _bindings(self, provider: str, name: str) -> list[Object]:
        cluster = self._workspaces.by_name.get(provider)
        wanted = {"name": name, "path": cluster.path if cluster else ""}
        page = self._api.store.page(BINDINGS, EVERYWHERE)
        found = [change.object for change in page.changes]
        return [binding for binding in found if binding["spec"]["reference"]["export"] == wanted]

    def _accepting(self, provider: str, name: str) -> set[str]:
        return {
            binding["metadata"]["annotations"]["kcp.io/cluster"]
            for binding in self._bindings(provider, name)
            if all(claim["state"] == "Accepted" for claim in binding["spec"]["permissionClaims"])
            and self._workspaces.exists(binding["metadata"]["annotations"]["kcp.io/cluster"], self._now())
        }
