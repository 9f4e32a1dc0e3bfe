"""What somebody has pinned: a small file at the archive's root, beside the one that says whose it is.

Pinned rows are kept as long as important ones. Nothing here reads a table.
"""

import msgspec

from batcher import store
from batcher.archive.important import Pin
from batcher.errors import ArchiveError, UsageError
from batcher.store import Root

_PINS = "batcher-pins"


def pins(root: Root) -> list[Pin]:
    """Return what is pinned, by name. Raises :class:`ArchiveError` if the file is damaged: nothing is then removed."""
    path = root / _PINS
    try:
        return sorted(msgspec.json.decode(store.read(path), type=list[Pin]), key=lambda pin: pin.name)
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        message = f"{path}: {error}; restore it from a backup, or remove it and pin again"
        raise ArchiveError(message) from None


def pin(root: Root, new: Pin) -> None:
    """Remember ``new``. Raises :class:`UsageError` if its name is taken."""
    there = pins(root)
    if any(each.name == new.name for each in there):
        message = f"{new.name}: is pinned already; choose another name, or remove it: batcher archive unpin {new.name}"
        raise UsageError(message)
    _write(root, [*there, new])


def unpin(root: Root, name: str) -> None:
    """Forget what is pinned as ``name``. Raises :class:`UsageError` if nothing is."""
    there = pins(root)
    if all(each.name != name for each in there):
        known = ", ".join(each.name for each in there) or "none"
        message = f"{name}: is not pinned; pinned: {known}"
        raise UsageError(message)
    _write(root, [each for each in there if each.name != name])


def _write(root: Root, those: list[Pin]) -> None:
    store.write(root / _PINS, msgspec.json.format(msgspec.json.encode(those)))
