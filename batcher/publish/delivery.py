"""One write, brought to where its workspace is now, in the form that only the workspace can give it.

What is known of the workspace is added here, just before sending, and enters neither rows nor state: the
logical cluster's name as label, the object's uid. A workspace whose remembered name is refused is tried by the
other at once. Never sends without a :class:`~batcher.publish.targets.Target`.
"""

from typing import Any

import msgspec

from batcher.publish.answers import Answer, Meaning
from batcher.publish.exchange import Brought, bring
from batcher.publish.lookup import REGARDING, Lookup
from batcher.publish.targets import Target, Targets
from batcher.publish.writes import Write

NEW_PAUSE = 1.0
"""Seconds that a workspace is left alone which was bound a moment ago, and which kcp does not serve yet."""
_LABEL, _PATH = "kcp.io/workspace", "kcp.io/workspace-path"


class Delivery:
    """Brings writes to their workspaces."""

    def __init__(self, targets: Targets, lookup: Lookup | None = None) -> None:
        """Write where ``targets`` say; ask ``lookup`` for uids, if there is one."""
        self._targets = targets
        self._lookup = lookup

    @property
    def targets(self) -> Targets:
        """Where it writes."""
        return self._targets

    async def bring(self, write: Write, known: str | None) -> tuple[Answer, str | None]:
        """Send ``write`` as :func:`batcher.publish.exchange.bring` does; unsent, the answer says why not."""
        target = self._targets.of(write.workspace)
        if isinstance(target, Answer):
            return target, None
        brought = await self._once(target, write, known)
        if brought.answer.meaning is Meaning.CAUSE_MAY_PASS:
            other = self._targets.of(write.workspace)
            if isinstance(other, Target) and other[:2] != target[:2]:
                target, brought = other, await self._once(other, write, known)
        if target.new and brought.answer == Answer(Meaning.CAUSE_MAY_PASS, "Forbidden"):
            return Answer(Meaning.LATER, "Forbidden", NEW_PAUSE), None
        return brought.answer, brought.version

    async def _once(self, target: Target, write: Write, known: str | None) -> Brought:
        uid = await self._lookup.uid(target, write.event) if self._lookup else ""
        event = dressed(write.event, self._origin(target, write.event), uid)
        brought = await bring(
            target.connection, msgspec.structs.replace(write, workspace=target.cluster, event=event), known
        )
        self._targets.heard(write.workspace, target, brought.answer, brought.cluster)
        return brought

    def _origin(self, target: Target, event: dict[str, Any]) -> Target | Answer:
        """Return the workspace that ``event`` is about: ``target``, unless it is told elsewhere."""
        metadata = event["metadata"]
        annotations = metadata.get("annotations") or {}
        if REGARDING not in annotations:
            return target
        return self._targets.of(annotations.get(_PATH) or (metadata.get("labels") or {}).get(_LABEL, ""))


def dressed(event: dict[str, Any], origin: Target | Answer, uid: str) -> dict[str, Any]:
    """Return ``event`` with what is known of the workspace it is about: label and path, and the object's uid."""
    metadata: dict[str, Any] = event["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if isinstance(origin, Target) and origin.logical:
        labels = labels | {_LABEL: origin.logical}
        annotations = annotations | ({_PATH: origin.path} if origin.path else {})
    about = (event.get("involvedObject") or {}) | ({"uid": uid} if uid else {})
    return event | {
        "metadata": metadata | {"labels": labels, "annotations": annotations},
        "involvedObject": about,
    }
