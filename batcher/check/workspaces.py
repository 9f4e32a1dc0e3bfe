"""One workspace of kcp: whether it can be entered, and whether Events can be read, created and updated there.

What is tried is a read of an Event that is not there: its 404 says more than a review, for it is what the publisher
meets. Creating and updating are asked of a review, so that nothing is written.
"""

from collections.abc import Sequence
from http import HTTPStatus

from batcher.check.asking import Asking, Wanted
from batcher.check.findings import About, Finding, Level, clock, found, unreached
from batcher.errors import BatcherError
from batcher.publish.addresses import quoted

VERBS = ("get", "create", "update")
"""What the publisher does with Events."""
_NOBODYS = "batcher-check"
"""The name of an Event that is not there."""


class Check:
    """The checks of one workspace, in turn; each finding is kept at once."""

    def __init__(self, name: str, namespaces: Sequence[str], *, reviewed: bool) -> None:
        """Check the workspace ``name``, in ``namespaces``; where reviews are not served, ``reviewed`` is False."""
        self.about = About("workspace", name)
        self.findings: list[Finding] = []
        self._namespaces = list(namespaces) or ["default"]
        self._reviewed = reviewed

    async def run(self, asking: Asking) -> None:
        """Find all that can be found; what cannot be asked is a finding."""
        try:
            if await self._enter(asking) and self._reviewed:
                await self._review(asking)
        except BatcherError as error:
            self.findings.append(unreached(self.about, error))
        else:
            self.findings.append(clock(self.about, asking.skew))

    def _add(self, check: str, result: Level, detail: str, remedy: str = "") -> None:
        self.findings.append(found(self.about, check, result, detail, remedy))

    async def _enter(self, asking: Asking) -> bool:
        """Whether a read of the first namespace is let through."""
        namespace = self._namespaces[0]
        status, kind = await asking.status(f"/api/v1/namespaces/{quoted(namespace)}/events/{_NOBODYS}")
        if status == HTTPStatus.OK or (status == HTTPStatus.NOT_FOUND and kind == "events"):
            self._add("access", Level.OK, "can be entered")
            return True
        if status == HTTPStatus.NOT_FOUND:
            self._add("access", Level.FAIL, "there is no such workspace", "correct kcp.workspaces or the mapping")
            return False
        if await asking.may(Wanted("get", "events", namespace=namespace)) is None:
            remedy = (
                "grant access to the workspace itself (system:kcp:workspace:access) and events: get, create, update"
            )
            self._add("access", Level.FAIL, "must not be entered", remedy)
            return False
        self._add("access", Level.OK, "can be entered")
        return True

    async def _review(self, asking: Asking) -> None:
        refused: list[str] = []
        unknown = False
        for namespace in self._namespaces:
            for verb in VERBS:
                allowed = await asking.may(Wanted(verb, "events", namespace=namespace))
                unknown |= allowed is None
                refused += [f"{verb} in {namespace}"] if allowed is False else []
        if refused:
            self._add("events", Level.FAIL, f"not allowed: {', '.join(refused)}", "grant events: get, create, update")
        elif unknown:
            what = "may get; whether it may create and update cannot be asked (selfsubjectaccessreviews)"
            self._add("events", Level.WARN, what, "grant system:basic-user")
        else:
            self._add("events", Level.OK, f"may get, create, update in {', '.join(self._namespaces)}")
