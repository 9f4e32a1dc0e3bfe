"""The Lease by which a leader is elected: whether it could be had. It is neither taken nor made here."""

from batcher.check.asking import Asking, Wanted
from batcher.check.findings import About, Finding, Level, clock, credential, found, unreached
from batcher.clock import Now
from batcher.errors import BatcherError, ConfigError
from batcher.service.leading import connection_of_lease, terms_of
from batcher.settings import Settings

VERBS = ("get", "create", "update")


class Check:
    """The checks of one Lease, in turn; each finding is kept at once."""

    def __init__(self, settings: Settings, now: Now) -> None:
        """Check the Lease of ``settings``."""
        self._terms = terms_of(settings.leader_election)
        self.about = About("lease", f"{self._terms.namespace}/{self._terms.name}")
        self.findings: list[Finding] = []
        self._settings = settings
        self._now = now

    async def run(self) -> None:
        """Find all that can be found; what cannot be asked is a finding."""
        try:
            connection = connection_of_lease(self._settings)
        except ConfigError as error:
            where = f"{error.source}: {'; '.join(error.problems)}"
            self.findings.append(
                found(self.about, "kubeconfig", Level.FAIL, where, "correct the file, or what names it")
            )
            return
        try:
            self.findings.append(credential(self.about, connection, self._now()))
            await self._ask(Asking(connection, self._now))
        except BatcherError as error:
            self.findings.append(unreached(self.about, error))
        finally:
            await connection.close()

    async def _ask(self, asking: Asking) -> None:
        namespace = self._terms.namespace
        # RBAC cannot limit create to a name, and should limit the others to it.
        named = {verb: "" if verb == "create" else self._terms.name for verb in VERBS}
        wanted = [Wanted(verb, "leases", "coordination.k8s.io", namespace, name=name) for verb, name in named.items()]
        answers = {each.verb: await asking.may(each) for each in wanted}
        refused = [verb for verb, allowed in answers.items() if allowed is False]
        if refused:
            what = f"not allowed in {namespace}: {', '.join(refused)}"
            self.findings.append(found(self.about, "leases", Level.FAIL, what, "grant leases: get, create, update"))
        elif None in answers.values():
            what = "may not ask what it may do (selfsubjectaccessreviews)"
            self.findings.append(found(self.about, "leases", Level.WARN, what, "grant system:basic-user"))
        else:
            self.findings.append(found(self.about, "leases", Level.OK, f"may get, create, update in {namespace}"))
        self.findings.append(clock(self.about, asking.skew))
