import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batcher.connect import connect
from batcher.connect.expiry import expires_at

ISSUED = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
DAY = 86_400


def jwt(**claims: object) -> str:
    """A token as API servers make them: three parts, base64 without padding."""
    said = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{said}.c2lnbmVk"


def test_a_token_says_when_it_expires() -> None:
    assert expires_at(jwt(iat=ISSUED, exp=ISSUED + 30 * DAY)) == datetime(2026, 12, 1, tzinfo=UTC)
    assert expires_at(jwt(exp=ISSUED + DAY)) == datetime(2026, 11, 2, tzinfo=UTC)


def test_a_token_that_lives_for_less_than_two_days_is_renewed_by_somebody() -> None:
    assert expires_at(jwt(iat=ISSUED, exp=ISSUED + 3600)) is None
    assert expires_at(jwt(iat=ISSUED, exp=ISSUED + 2 * DAY)) == datetime(2026, 11, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b", "a.%%.c", jwt(), jwt(exp="soon"), jwt(exp=1e300), "a.e30.c", "a.bm8ganNvbg.c"]
)
def test_what_says_no_such_thing_expires_never_as_far_as_is_known(token: str) -> None:
    assert expires_at(token) is None


def test_a_connection_says_it_of_the_token_that_its_file_has_now(tmp_path: Path) -> None:
    user = {"name": "u", "user": {"tokenFile": "token"}}
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    document = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "x"}
    (tmp_path / "kubeconfig").write_text(json.dumps(document), encoding="utf-8")
    connection = connect(name="us", kubeconfig=tmp_path / "kubeconfig")
    assert connection.token_expires_at is None
    (tmp_path / "token").write_text(jwt(iat=ISSUED, exp=ISSUED + 30 * DAY), encoding="utf-8")
    assert connection.token_expires_at == datetime(2026, 12, 1, tzinfo=UTC)
