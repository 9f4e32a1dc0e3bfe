"""In what form a client accepts objects: as they are, as rows of a table, or their metadata alone.

Only what a client asks for first counts, as far as kubectl, metadata informers and batcher ask. Pure.
"""

from enum import Enum

from batcher.sandbox.shape import Object

_VERSION = "meta.k8s.io/v1"


class Form(Enum):
    """A form of the answers to get, list and watch."""

    PLAIN = ""
    TABLE = "as=Table"
    METADATA = "as=PartialObjectMetadata"


def wanted(accept: str) -> Form:
    """Return the form that an Accept header prefers."""
    first = accept.partition(",")[0]
    return next((form for form in (Form.TABLE, Form.METADATA) if form.value in first), Form.PLAIN)


def partial(content: Object) -> Object:
    """Return an object's metadata, as an answer or a watch line holds it."""
    return {"kind": "PartialObjectMetadata", "apiVersion": _VERSION, "metadata": content["metadata"]}


def partial_list(objects: list[Object], metadata: Object) -> Object:
    """Return the list, with its own ``metadata``, of the metadata of ``objects``; each item says what it is."""
    items = [partial(content) for content in objects]
    return {"kind": "PartialObjectMetadataList", "apiVersion": _VERSION, "metadata": metadata, "items": items}
