"""Where an archive is: a folder of this machine, or a prefix of an S3-compatible store; and the little asked of either.

A folder is written durably by :mod:`batcher.disk`, and its tables are kept by :mod:`batcher.archive.log`. A store has
neither sync nor lock, and needs none: an object is there whole or not at all, and a version of a table is put only
where none is yet, which a store must know (:func:`prove`). Options are secrets: they are in no text, and in no error.
Every call lets other threads run, since a store may not answer for a minute. Nothing here knows what is stored.
"""

import contextlib
import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from batcher import disk
from batcher.errors import ConfigError

if TYPE_CHECKING:
    from obstore.store import S3Store

URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9._=-]*)*")

_SECRET = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
_PLAIN = frozenset({
    "aws_region", "aws_endpoint_url", "aws_virtual_hosted_style_request", "aws_role_arn", "aws_role_session_name",
    "aws_web_identity_token_file", "aws_container_credentials_relative_uri", "aws_container_credentials_full_uri",
    "aws_container_authorization_token_file", "aws_server_side_encryption", "aws_sse_kms_key_id",
    "aws_unsigned_payload", "aws_imdsv1_fallback",
})  # fmt: skip
_CLIENT = frozenset({"allow_http", "timeout", "connect_timeout"})
OPTIONS = (*sorted(_SECRET), *sorted(f"{name}_file" for name in _SECRET), *sorted(_PLAIN), *sorted(_CLIENT))
"""What ``archive.storageOptions`` may say; with ``_file``, where the value is."""
_ALIASES = {
    "aws_endpoint": "aws_endpoint_url",
    "aws_endpoint_url_s3": "aws_endpoint_url",
    "aws_default_region": "aws_region",
    "aws_token": "aws_session_token",
    "aws_allow_http": "allow_http",
}
_CLIENT_DEFAULTS = {"timeout": "60s", "connect_timeout": "5s"}
_RETRIES = 3
_PATIENCE = timedelta(seconds=60)
_LONGEST = 300

_PROOF = "batcher-conditional-writes"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m|↳")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REFUSED = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|ExpiredToken|InvalidToken|40[13] (Forbidden|Unauthorized)"
)
_UNREACHED = re.compile(r"error sending request|[Cc]onnection|timed out|dns error")
_MEANINGS = {
    re.compile(r"NoSuchBucket"): "there is no such bucket; make it, or correct archive.path",
    _REFUSED: "the store refuses the credentials, or what they ask for; correct them in archive.storageOptions or the "
    "AWS_ variables, and let them get, put, list and delete",
    re.compile(r"BadScheme|scheme is not allowed"): "the endpoint is http; use https, or set allow_http: 'true' in "
    "archive.storageOptions",
    re.compile(
        r"169\.254\.|[Cc]redential"
    ): "there are no credentials; give them in archive.storageOptions or the AWS_ variables",
    _UNREACHED: "the store cannot be reached; check that it runs, and aws_endpoint_url in archive.storageOptions",
}
"""What in the words of the libraries means what; they repeat addresses and answers of the server, which we do not."""


class StoreError(OSError):
    """What a store could not do; ``strerror`` says it in one line with what to do, and no option."""


class Found(NamedTuple):
    """A file that is there."""

    path: str
    """Below where it was looked for."""
    size: int
    modified: datetime


@dataclass(frozen=True)
class Store:
    """A place in a store: a table, an object, or what is above it. Goes where a ``Path`` goes."""

    url: str
    options: Mapping[str, str] = field(repr=False, compare=False, hash=False)

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """The URL, which has no option in it."""
        return self.url

    def __truediv__(self, below: str) -> "Store":
        """Return what is ``below`` this."""
        return Store(f"{self.url}/{below}", self.options)

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> "Store":
        """What this is in."""
        return Store(self.url.rpartition("/")[0], self.options)

    @property
    def key(self) -> str:
        """Its name in the bucket."""
        return self.url.removeprefix("s3://").partition("/")[2]

    @cached_property
    def bucket(self) -> "S3Store":
        """The bucket, for calls that are about objects."""
        from obstore.store import S3Store  # noqa: PLC0415  only who has a store needs it

        said = {name: value for name, value in self.options.items() if name not in _CLIENT}
        client: Any = {name: value for name, value in self.options.items() if name in _CLIENT - {"allow_http"}}
        client["allow_http"] = self.options.get("allow_http") == "true"
        retry: Any = {"max_retries": _RETRIES, "retry_timeout": _PATIENCE}
        config: Any = said
        bucket = self.url.removeprefix("s3://").partition("/")[0]
        return S3Store(bucket, config=config, client_options=client, retry_config=retry)


Root = Path | Store
"""An archive, or a part of one."""


def is_url(text: str) -> bool:
    """Whether ``text`` is meant as a URL, and not as a folder."""
    return "://" in text or text.startswith("s3:")


def place(text: str, options: Mapping[str, str], environment: Mapping[str, str]) -> Root:
    """Return the place that ``text`` is: a folder, or a URL with ``options`` over those of ``environment`` (``AWS_``).

    Raises :class:`ConfigError`.
    """
    if problems := wrong(text, options):
        raise ConfigError(problems)
    if not is_url(text):
        return Path(text).absolute()
    surroundings = {name.lower(): value for name, value in environment.items() if name.startswith("AWS_") and value}
    given = {name: value for name, value in _named(surroundings).items() if name in OPTIONS}
    return Store(text.rstrip("/"), {**_CLIENT_DEFAULTS, **_read_files(given), **_read_files(_named(options))})


def wrong(text: str, options: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a place and its options, by their settings; options of a folder are not looked at."""
    if not is_url(text):
        return []
    problems = []
    if not URL.fullmatch(text.rstrip("/")):
        # It may have a password in it: it is not repeated.
        problems.append("archive.path: not a URL such as s3://bucket/folder (letters, digits, . _ = -), nor a folder")
    return problems + [
        f"archive.storageOptions.{name}: unknown; known: {', '.join(OPTIONS)}"
        for name in sorted(set(_named(options)) - set(OPTIONS))
    ]


def _named(options: Mapping[str, str]) -> dict[str, str]:
    lowered = {name.lower(): value for name, value in options.items()}
    return {_ALIASES.get(name, name): value for name, value in lowered.items()}


def _read_files(options: Mapping[str, str]) -> dict[str, str]:
    """What a ``_file`` names takes the place of its name."""
    found = {name: value for name, value in options.items() if name.removesuffix("_file") not in _SECRET}
    for name in sorted(set(options) - set(found)):
        if name in _SECRET:
            found[name] = options[name]
            continue
        try:
            found[name.removesuffix("_file")] = Path(options[name]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError([f"archive.storageOptions.{name}: {options[name]}: {error.strerror}"]) from None
    return found


def without_secrets(root: Root) -> dict[str, str]:
    """Return the options of ``root`` that may be on a disk."""
    return {name: value for name, value in _options(root).items() if name not in _SECRET}


def secrets(root: Root) -> dict[str, str]:
    """Return the options of ``root`` that may not, as variables of a process."""
    return {name.upper(): value for name, value in _options(root).items() if name in _SECRET}


def _options(root: Root) -> Mapping[str, str]:
    return root.options if isinstance(root, Store) else {}


def table(place: Root) -> dict[str, Any]:
    """Return the arguments by which deltalake finds the table at ``place``."""
    if isinstance(place, Path):
        return {"table_uri": place}
    said = {"aws_conditional_put": "etag", "aws_s3_allow_unsafe_rename": "false", "max_retries": str(_RETRIES)}
    return {"table_uri": place.url, "storage_options": {**place.options, **said, "retry_timeout": "60s"}}


def rows(places: Sequence[Root], columns: Mapping[str, Any]) -> pl.LazyFrame:
    """Return the rows of the Parquet files ``places`` as ``columns``, null where a file is older than one."""
    said: dict[str, Any] = {
        "schema": columns, "hive_partitioning": False, "missing_columns": "insert", "extra_columns": "ignore",
    }  # fmt: skip
    here = [place for place in places if isinstance(place, Path)]
    stored = [place for place in places if isinstance(place, Store)]
    parts = [pl.scan_parquet(here, **said)] if here else []
    if stored:
        options: dict[str, Any] = {**stored[0].options, "max_retries": _RETRIES}
        parts.append(
            pl.scan_parquet(
                [place.url for place in stored], storage_options=options, credential_provider=None, glob=False, **said
            )
        )
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def read(place: Root) -> bytes:
    """Return the bytes of ``place``. Raises ``FileNotFoundError`` if there is nothing."""
    if isinstance(place, Path):
        return place.read_bytes()
    import obstore  # noqa: PLC0415  only who has a store needs it

    with _told(place):
        return bytes(obstore.get(place.bucket, place.key).bytes())


def write(place: Root, data: bytes) -> None:
    """Write ``data`` as ``place``, whole or not at all, and return when it is durable."""
    if isinstance(place, Path):
        disk.make_directory(place.parent)
        disk.write_file(place, data)
        return
    import obstore  # noqa: PLC0415  only who has a store needs it

    with _told(place, is_there=False):
        obstore.put(place.bucket, place.key, data, use_multipart=False)  # parts of one that was killed would stay


def create(place: Root, data: bytes) -> bool:
    """Write ``data`` as ``place`` if there is nothing, and say whether it was so; in a folder, nobody else may."""
    if isinstance(place, Path):
        missing = not place.exists()
        if missing:
            write(place, data)
        return missing
    import obstore  # noqa: PLC0415  only who has a store needs it
    from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415

    with _told(place, is_there=False):
        try:
            obstore.put(place.bucket, place.key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True


def remove(place: Root) -> None:
    """Remove ``place`` if it is there."""
    if isinstance(place, Path):
        disk.remove(place)
        return
    import obstore  # noqa: PLC0415  only who has a store needs it

    with contextlib.suppress(FileNotFoundError), _told(place):
        obstore.delete(place.bucket, place.key)


def files(place: Root, folders: str) -> Iterator[Found]:
    """Yield the files in folders of ``place`` whose names begin with ``folders``, by path."""
    if isinstance(place, Store):
        yield from sorted(found for found in _listed(place) if found.path.startswith(folders))
        return
    for path in sorted(place.glob(f"{folders}*/*")):
        with contextlib.suppress(FileNotFoundError):  # it was there, and has its name by now
            there = path.stat()
            modified = datetime.fromtimestamp(there.st_mtime, UTC)
            yield Found(str(path.relative_to(place)), there.st_size, modified)


def is_there(place: Root) -> bool:
    """Whether ``place`` is there, or anything below it."""
    return place.is_dir() if isinstance(place, Path) else any(True for _ in _listed(place))


def _listed(place: Store) -> Iterator[Found]:
    import obstore  # noqa: PLC0415  only who has a store needs it

    with _told(place):
        for some in obstore.list(place.bucket, prefix=place.key, chunk_size=1000):
            for each in some:
                yield Found(each["path"].removeprefix(f"{place.key}/"), each["size"], each["last_modified"])


def prove(root: Root) -> None:
    """Raise :class:`StoreError` if the store at ``root`` replaces what is there though it is asked not to.

    Then two who write a version of a table at once would both be told that they have, and rows would be lost.
    """
    if isinstance(root, Store) and create(root / _PROOF, b"") and create(root / _PROOF, b""):
        message = "the store has no conditional writes (If-None-Match), without which rows would be lost; use another"
        raise StoreError(errno.ENOTSUP, message, str(root))


@contextlib.contextmanager
def _told(place: Store, *, is_there: bool = True) -> Iterator[None]:
    """Let what goes wrong be a :class:`StoreError`; that nothing is there, ``FileNotFoundError``."""
    from obstore.exceptions import BaseError  # noqa: PLC0415  only who has a store needs it

    try:
        yield
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError) and is_there and "NoSuchBucket" not in str(error):
            raise FileNotFoundError(errno.ENOENT, "is not there", str(place)) from None
        raise StoreError(errno.EIO, said(place, error), str(place)) from None


def said(place: Root | None, error: Exception) -> str:
    """Return what ``error`` says of ``place`` in one line: of a store, what it means and what to do, and no option."""
    if isinstance(error, StoreError):
        return error.strerror or ""
    text = " ".join(_COLOUR.sub(" ", str(error)).split())
    if isinstance(place, Path) or (place is None and "object-store error" not in text):
        return text
    meaning = next((meaning for pattern, meaning in _MEANINGS.items() if pattern.search(text)), None)
    if meaning:
        return meaning
    code = _CODE.search(text)
    text = re.split(r"Debug source|<\?xml|<Error>", text)[0].strip()
    return f"{text[:_LONGEST]}{f' {code[1]}' if code else ''}"
