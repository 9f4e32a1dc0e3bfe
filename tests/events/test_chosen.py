from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from batcher.errors import UsageError
from batcher.events import chosen
from batcher.events.named import is_about, named

NOW = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"since": "yesterday"}, "--since: 'yesterday' is neither a duration such as 30s, 5m, 1h30m or 7d, nor a "),
        ({"since": "-5m"}, "--since: '-5m' is neither"),
        ({"since": "5"}, "--since: '5' is neither"),
        ({"since": "2026-11-23"}, "--since: '2026-11-23' is neither"),
        ({"since": "2026-11-23T16:00:00"}, "--since: '2026-11-23T16:00:00' is neither"),
        ({"until": "2026-13-23T16:00:00Z"}, "--until: '2026-13-23T16:00:00Z' is neither"),
        ({"until": "\x1b[31m"}, "--until: '\\x1b[31m' is neither"),
        ({"since": "5m", "until": "1h"}, "--since: 2026-11-23T16:55:00Z is after --until 2026-11-23T16:00:00Z; "),
        ({"namespace": "shop[a-z]"}, "--namespace: 'shop[a-z]' is no name, nor a glob such as shop-*"),
        ({"namespace": "Shop"}, "--namespace: 'Shop' is no name"),
        ({"cluster": "eu/1"}, "--cluster: 'eu/1' is no name"),
        ({"types": "warnings"}, "--types: 'warnings' is no type of Events; there are: Normal, Warning"),
        ({"types": "Normal,,Warning"}, "--types: '' is no type"),
        ({"about": "web"}, "--for: 'web' is no KIND/NAME, such as pod/web-1, deployment.apps/web or po/web-*"),
        ({"about": "pod/"}, "--for: 'pod/' is no KIND/NAME"),
        ({"about": "/web"}, "--for: '/web' is no KIND/NAME"),
        ({"about": "pod/a/b"}, "--for: 'pod/a/b' is no KIND/NAME"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_with_what_would_be_right(flags: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(**flags, now=NOW)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("2026-11-23T16:00:00Z", datetime(2026, 11, 23, 16, 0, tzinfo=UTC)),
        ("2026-11-23t16:00:00.25z", datetime(2026, 11, 23, 16, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-23T16:00:00+05:30", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        ("999999d", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+09:00", None),
    ],
)
def test_a_moment_is_so_long_ago_or_a_time_of_rfc_3339(text: str, expected: datetime | None) -> None:
    if expected is None:
        with pytest.raises(UsageError):
            chosen(since=text, now=NOW)
    else:
        assert chosen(since=text, now=NOW).since == expected


POD, WEB = ("v1", "Pod", "web-1"), ("apps/v1", "Deployment", "web")
CERTIFICATE, POLICY = ("cert-manager.io/v1", "Certificate", "web"), ("example.org/v1", "WebPolicy", "x")
NO_VERSION, OTHER = ("", "Pod", "web-1"), ("example.org/v1", "Deployment", "web")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("pod/web-1", [POD, NO_VERSION]),
        ("Pods/web-1", [POD, NO_VERSION]),
        ("po/web-?", [POD, NO_VERSION]),
        ("pod/web", []),
        ("deploy/web", [WEB]),
        ("deployment.apps/web", [WEB]),
        ("deployments.v1.apps/w*", [WEB]),
        ("deployment.example.org/web", [OTHER]),
        ("certificates/web", [CERTIFICATE]),
        ("certificates.cert-manager.io/*", [CERTIFICATE]),
        ("certificate.example.org/web", []),
        ("webpolicies.example.org/x", [POLICY]),
        ("webpolicy/x", [POLICY]),
    ],
)
def test_an_object_is_called_as_kubectl_calls_it(said: str, expected: list[tuple[str, str, str]]) -> None:
    columns = ("regarding_api_version", "regarding_kind", "regarding_name")
    every = [POD, WEB, CERTIFICATE, POLICY, NO_VERSION, OTHER]
    found = pl.DataFrame(every, schema=columns, orient="row").filter(is_about(named("--for", said)))
    assert found.rows() == expected
