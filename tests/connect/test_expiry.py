import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from batcher.connect import connect
from batcher.connect.access import Credential, Secret
from batcher.connect.expiry import Given, certificate_expires_at, expires_at
from tests.connect.certificates import write_kubeconfig

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
    assert connection.expiries == {}
    (tmp_path / "token").write_text(jwt(iat=ISSUED, exp=ISSUED + 30 * DAY), encoding="utf-8")
    assert connection.expiries == {"token": datetime(2026, 12, 1, tzinfo=UTC)}


def certificate(begins: datetime, ends: datetime) -> bytes:
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("a.example", not_before=begins, not_after=ends)
    return issued.cert_chain_pems[0].bytes()


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2150])
def test_a_certificate_says_when_it_expires(year: int) -> None:
    ends = datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
    pem = certificate(datetime(2026, 11, 1, tzinfo=UTC), ends)
    assert certificate_expires_at(pem) == ends
    assert certificate_expires_at(b"subject=CN = a\n" + pem + b"a chain behind it") == ends


def test_of_a_chain_the_first_certificate_counts_which_is_the_client_s() -> None:
    begins, ends = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert certificate_expires_at(certificate(begins, ends) + certificate(begins, ends + timedelta(days=9))) == ends


def test_a_certificate_that_lives_for_less_than_two_days_is_renewed_by_somebody() -> None:
    begins = datetime(2026, 11, 1, tzinfo=UTC)
    assert certificate_expires_at(certificate(begins, begins + timedelta(hours=47))) is None
    assert certificate_expires_at(certificate(begins, begins + timedelta(hours=48))) == datetime(
        2026, 11, 3, tzinfo=UTC
    )


PEM = certificate(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
LINES = PEM.splitlines(keepends=True)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nothing",
        LINES[0] + LINES[-1],
        LINES[0] + LINES[1] + LINES[-1],
        PEM.replace(b"M", b"%"),
        b"\xff" + PEM[9:],
    ],
)
def test_what_is_no_certificate_expires_never_as_far_as_is_known(pem: bytes) -> None:
    assert certificate_expires_at(pem) is None


@given(st.integers(0, len(LINES) - 1), st.binary(max_size=80))
def test_no_bytes_in_the_place_of_a_certificate_do_harm(line: int, content: bytes) -> None:
    damaged = [*LINES[:line], base64.b64encode(content), *LINES[line + 1 :]]
    ends = certificate_expires_at(b"".join(damaged))
    assert ends is None or ends.tzinfo is UTC or ends.utcoffset() == timedelta(0)


def test_a_connection_says_it_of_the_certificate_that_its_file_or_kubeconfig_has(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_bytes(PEM)
    for shown in ({"client-certificate": "tls.crt"}, {"client-certificate-data": base64.b64encode(PEM).decode()}):
        path = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user=shown)
        assert connect(name="us", kubeconfig=path).expiries == {"certificate": datetime(2027, 1, 1, tzinfo=UTC)}
    (tmp_path / "tls.crt").unlink()
    path = write_kubeconfig(tmp_path, "https://127.0.0.1:1", user={"client-certificate": "tls.crt"})
    assert connect(name="us", kubeconfig=path).expiries == {}


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_what_a_plugin_gives_for_an_hour_is_renewed_and_what_it_gives_for_a_week_expires() -> None:
    hour = Given(Credential(token=Secret("t"), expires_at=NOW + timedelta(hours=1)), NOW, NOW)
    week = Given(Credential(token=Secret("t"), expires_at=NOW + WEEK), NOW, NOW)
    assert (hour.expires_at, week.expires_at) == (None, NOW + WEEK)


def test_the_same_credential_given_again_late_in_its_life_is_still_one_that_lives_for_a_week() -> None:
    credential = Credential(token=Secret("t"), expires_at=NOW + WEEK)
    again = Given(credential, NOW, NOW).again(credential, NOW + timedelta(days=6))
    assert (again.expires_at, again.asked_at) == (NOW + WEEK, NOW + timedelta(days=6))
    other = again.again(Credential(token=Secret("t"), expires_at=NOW + timedelta(days=6, hours=12)), again.asked_at)
    assert other.expires_at is None


def test_of_a_plugin_that_names_no_time_the_token_and_the_certificate_are_asked() -> None:
    token = Secret(jwt(iat=ISSUED, exp=ISSUED + 30 * DAY))
    assert Given(Credential(token=token), NOW, NOW).expires_at == datetime(2026, 12, 1, tzinfo=UTC)
    shown = Credential(certificate=Secret(PEM.decode()), key=Secret("k"))
    assert Given(shown, NOW, NOW).expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert Given(Credential(token=Secret("opaque")), NOW, NOW).expires_at is None
