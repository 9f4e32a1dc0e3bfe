"""What of a credential must not be shown anywhere, as it is named for those who take it out."""

from pathlib import Path

from batcher.connect import Access, Connection, Secret


def test_all_that_is_secret_is_named_and_nothing_else(tmp_path: Path) -> None:
    key = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    access = Access("https://127.0.0.1:1", token=Secret("s3cret"), key=key, certificate=tmp_path / "tls.crt")
    assert list(access.secrets) == [
        "s3cret", "-----BEGIN PRIVATE KEY-----", "c2VjcmV0", "-----END PRIVATE KEY-----",
    ]  # fmt: skip


def test_a_token_file_is_read_anew_each_time_it_is_asked(tmp_path: Path) -> None:
    connection = Connection("us-west1", Access("https://127.0.0.1:1", token_file=tmp_path / "token"))
    for token in ("first-token", "second-token"):
        (tmp_path / "token").write_text(f"{token}\n")
        assert connection.secrets == [token]
