"""An S3 store on the loopback, in memory: what obstore, deltalake and polars ask of one, and faults on demand.

It checks signatures, and answers as S3 does. What it holds outlives its server, which can be stopped and started again
at the same port.
"""

import hashlib
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

ACCESS_KEY, SECRET = "AKIACANARY", "canary/secret+of-the-store"


class S3:
    """A store with one bucket, ``bucket``."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.lock = threading.Lock()
        self.is_conditional = True
        """Whether it heeds If-None-Match."""
        self.unanswered = ""
        """The next PUT of a key with this in it is done, and its answer lost."""
        self.puts: list[str] = []
        self.asked = 0
        """Requests so far."""
        self.open = threading.Event()
        """Unless it is set, nobody is answered, and nobody is turned away."""
        self.open.set()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def options(self) -> dict[str, str]:
        """What a client needs."""
        return self.where | {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET}

    @property
    def where(self) -> dict[str, str]:
        """What a client needs but credentials."""
        return {
            "aws_endpoint_url": f"http://127.0.0.1:{self._port}", "aws_region": "eu-test-1", "allow_http": "true",
            "timeout": "10s", "connect_timeout": "2s",
        }  # fmt: skip

    def start(self) -> None:
        """Answer."""
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = _Server(("127.0.0.1", self._port), handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        """Answer nobody; keep everything."""
        self.open.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None


@contextmanager
def s3() -> Iterator[S3]:
    """Have a store that answers."""
    store = S3()
    store.start()
    try:
        yield store
    finally:
        store.stop()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Say nothing of clients that were gone."""


class _Handler(BaseHTTPRequestHandler):
    store: S3

    def log_message(self, *_: Any) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Say nothing."""

    def _refusal(self, body: bytes) -> tuple[int, str] | None:
        said = self.headers.get("Authorization", "")
        if not said:
            return 403, "AccessDenied"
        parts = dict(part.strip().split("=", 1) for part in said.partition(" ")[2].split(","))
        key, *scope = parts["Credential"].split("/")
        if key != ACCESS_KEY:
            return 403, "InvalidAccessKeyId"
        if self.headers["x-amz-content-sha256"] not in {hashlib.sha256(body).hexdigest(), "UNSIGNED-PAYLOAD"}:
            return 400, "XAmzContentSHA256Mismatch"
        if not hmac.compare_digest(self._signature(parts["SignedHeaders"], scope), parts["Signature"]):
            return 403, "SignatureDoesNotMatch"
        return None

    def _signature(self, names: str, scope: list[str]) -> str:
        url = urlsplit(self.path)
        query = "&".join(sorted(part if "=" in part else f"{part}=" for part in url.query.split("&") if part))
        headers = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names.split(";"))
        request = "\n".join([self.command, url.path, query, headers, names, self.headers["x-amz-content-sha256"]])
        text = "\n".join([
            "AWS4-HMAC-SHA256", self.headers["x-amz-date"], "/".join(scope),
            hashlib.sha256(request.encode()).hexdigest(),
        ])  # fmt: skip
        key = f"AWS4{SECRET}".encode()
        for part in (*scope, text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key.hex()

    def _answer(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.close_connection = True
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, code: int, name: str) -> None:
        # What real ones answer has the key's id and the signed text in it.
        self._answer(code, f"<Error><Code>{name}</Code><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId></Error>".encode())

    def _do(self) -> None:
        self.store.open.wait()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if refusal := self._refusal(body):
            self._error(*refusal)
        elif bucket != "bucket":
            self._error(404, "NoSuchBucket")
        else:
            with self.store.lock:
                self.store.asked += 1
                getattr(self, f"_{self.command.lower()}")(key, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815  named by http.server

    def _get(self, key: str, query: dict[str, str], _: bytes) -> None:
        if "list-type" in query:
            self._list(query)
            return
        if key not in self.store.objects:
            self._error(404, "NoSuchKey")
            return
        data, at = self.store.objects[key]
        headers = {"Last-Modified": f"{at:%a, %d %b %Y %T GMT}", "ETag": _tag(data)}
        if span := self.headers.get("Range"):
            first, last = span.removeprefix("bytes=").split("-")
            begin = int(first) if first else max(0, len(data) - int(last))
            end = min(int(last), len(data) - 1) if first and last else len(data) - 1
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(data)}"
            self._answer(206, data[begin : end + 1], headers)
            return
        self._answer(200, data, headers)

    _head = _get

    def _list(self, query: dict[str, str]) -> None:
        prefix, after, delimiter = (query.get(name, "") for name in ("prefix", "start-after", "delimiter"))
        after = query.get("continuation-token", after)
        found = [key for key in sorted(self.store.objects) if key.startswith(prefix) and key > after]
        folders = sorted(
            {
                prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter
                for key in found
                if delimiter and delimiter in key[len(prefix) :]
            }
        )
        keys = [key for key in found if not (delimiter and delimiter in key[len(prefix) :])]
        page = keys[:1000]
        cut = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if len(keys) > len(page) else ""
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>{escape(_tag(data))}</ETag>"
            f"<LastModified>{at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
            for key in page
            for data, at in (self.store.objects[key],)
        )
        common = "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in folders)
        is_cut = str(bool(cut)).lower()
        body = f"<ListBucketResult><IsTruncated>{is_cut}</IsTruncated>{cut}{contents}{common}</ListBucketResult>"
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _put(self, key: str, _: dict[str, str], body: bytes) -> None:
        wanted = self.headers.get("If-None-Match")
        if wanted == "*" and self.store.is_conditional and key in self.store.objects:
            self._error(412, "PreconditionFailed")
            return
        self.store.objects[key] = body, datetime.now(UTC)  # noqa: TID251  as a server does
        self.store.puts.append(key)
        if self.store.unanswered and self.store.unanswered in key:
            self.store.unanswered = ""
            self.close_connection = True
            return
        self._answer(200, headers={"ETag": _tag(body)})

    def _post(self, _: str, query: dict[str, str], body: bytes) -> None:
        if "delete" not in query:
            self._error(501, "NotImplemented")
            return
        keys = [each.text or "" for each in ET.fromstring(body).iter() if each.tag.endswith("Key")]  # noqa: S314  ours
        for key in keys:
            self.store.objects.pop(key, None)
        done = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{done}</DeleteResult>".encode())

    def _delete(self, key: str, _: dict[str, str], __: bytes) -> None:
        self.store.objects.pop(key, None)
        self._answer(204)


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'
