"""The one file of a bundle: a tar.gz that only its owner can read, its members in order."""

import gzip
import io
import os
import tarfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from batcher.errors import BatcherError, UsageError

FOLDER = "batcher-bundle"


def pack(path: Path, members: Mapping[str, str], now: datetime) -> int:
    """Write ``members`` (text by name) as ``path`` and return its size in bytes.

    Raises :class:`UsageError` if there is a file already: it may be somebody's, or a link to somewhere else.
    """
    data = _packed(members, int(now.timestamp()))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        message = f"{path}: is there already; give another name"
        raise UsageError(message) from None
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise BatcherError(message) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return len(data)


def _packed(members: Mapping[str, str], at: int) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=at) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, text in sorted(members.items()):
            data = text.encode("utf-8", "backslashreplace")
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size, member.mtime, member.mode = len(data), at, 0o600
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
