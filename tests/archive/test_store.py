"""An archive in an S3 store: what holds for a folder holds there, and no credential is in anything that is written."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from batcher import store
from batcher.archive import Deliverer, check_owner, scan
from batcher.archive.compact import compact, compact_all
from batcher.archive.important import Pin
from batcher.archive.keep import keep
from batcher.archive.owner import owner_of
from batcher.archive.pins import pin, pins
from batcher.archive.purge import Purge, purge_all
from batcher.archive.read import open_to_read
from batcher.archive.removals import removals
from batcher.archive.retain import Policy
from batcher.archive.rewrite import Held, chunks, held, replace, undisturbed, write
from batcher.archive.shown import status
from batcher.archive.tables import open_table
from batcher.archive.vacuum import vacuum
from batcher.batch import Batches, DataDirectory
from batcher.batch.process import staged_paths
from batcher.errors import ArchiveError, ConfigError, UsageError
from batcher.service.opening import go_on
from batcher.staging import StagedFile
from batcher.store import Root, Store, StoreError
from batcher.verify import verify
from tests.archive.s3 import ACCESS_KEY, S3, SECRET, s3
from tests.history import RULES, START_AT, History, history
from tests.sections import event, watched

URL = "s3://bucket/fleet/archive"
NEXT_DAY = datetime(2026, 11, 24, 1, tzinfo=UTC)
TWO_BATCHES = [(1, "a"), (1, "b1"), (2, "a"), (2, "b2")]


@pytest.fixture
def server() -> Iterator[S3]:
    with s3() as there:
        yield there


@pytest.fixture
def root(server: S3) -> Root:
    return store.place(URL, server.options, {})


def play(h: History, *batches: int) -> None:
    for n in batches:
        h.batch(watched(event("a", n, count=n), event(f"b{n}", n + 500, minute=n)), minute=n)


def deliverer(h: History, root: Root) -> Deliverer:
    return Deliverer(root, h.directory.staged, h.directory.id)


def deliver(h: History, root: Root) -> dict[str, int]:
    return deliverer(h, root).deliver(h.batches.undelivered)


def rows(root: Root, *staged: Path) -> list[tuple[int, str]]:
    """Batch and Pod of each row of ``occurrences``, sorted."""
    return sorted(scan(root, "occurrences", staged).select("batch", "regarding_name").collect().iter_rows())


def files(root: Root, table: str = "occurrences") -> list[Held]:
    return held(open_to_read(root, table))


def failed(h: History, root: Root, *, deep: bool = False) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(h.directory, root, deep=deep) if not check.ok]


def is_harmless(text: str) -> bool:
    """Whether it is a line without a credential."""
    return "\n" not in text and "\x1b" not in text and SECRET not in text and ACCESS_KEY not in text


def test_what_is_delivered_twice_is_in_the_store_once(tmp_path: Path, root: Root, server: S3) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        through = deliver(h, root)
        assert through["occurrences"] == 2
        assert rows(root) == TWO_BATCHES
        uploaded = len(server.puts)
        assert deliver(h, root) == through
        assert len(server.puts) == uploaded
        assert rows(root) == TWO_BATCHES
        assert rows(root, *staged_paths(h.directory)["occurrences"]) == TWO_BATCHES
        h.batches.delivered(through)
        assert failed(h, root, deep=True) == []
        assert "fleet/archive/occurrences/date=2026-11-23/0123456789abcdef-000000000001.parquet" in server.objects


def test_a_delivery_of_nothing_asks_a_store_only_whose_it_is(tmp_path: Path, root: Root, server: S3) -> None:
    with history(tmp_path / "data") as h:
        check_owner(root, h.directory.id)
        play(h, 1, 2)
        one = deliverer(h, root)
        h.batches.delivered(one.deliver(h.batches.undelivered))
        asked = server.asked
        assert one.deliver([]) == one.deliver([])
        assert server.asked == asked + 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda root: store.read(root / "x"),
        lambda root: store.write(root / "x", b"1"),
        lambda root: store.create(root / "x", b"1"),
        lambda root: store.remove(root / "x"),
        lambda root: list(store.files(root, "date=")),
        lambda root: open_to_read(root, "occurrences"),
        lambda root: open_table(root, "occurrences"),
    ],
    ids=["read", "write", "create", "remove", "list", "open", "make"],
)
def test_a_store_that_does_not_answer_holds_up_no_other_thread(ask: Callable[[Root], object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as pool:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        options = {
            "aws_endpoint_url": url,
            "allow_http": "true",
            "aws_access_key_id": "k",
            "aws_secret_access_key": "s",
        }
        waiting = pool.submit(ask, store.place(URL, options, {}))
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            assert not waiting.done()  # it would be, with an error, if nobody else could run meanwhile
        silent.close()
        with pytest.raises((ArchiveError, OSError, DeltaError)):
            waiting.result()


def test_two_deliveries_at_once_register_once(tmp_path: Path, root: Root) -> None:
    with history(tmp_path / "data") as h, ThreadPoolExecutor() as pool:
        one = deliverer(h, root)
        one.deliver([])
        play(h, 1, 2)
        both = [pool.submit(one.deliver, list(h.batches.undelivered)) for _ in range(2)]
        assert [each.result()["occurrences"] for each in both] == [2, 2]
        assert rows(root) == TWO_BATCHES
        assert [table.version() for name in ("occurrences", "batches") if (table := open_to_read(root, name))] == [1, 1]


class Dying(Deliverer):
    """Dies when a file is uploaded, and no version names it yet."""

    def _copy(self, file: StagedFile) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        super()._copy(file)
        raise KeyboardInterrupt


def test_a_kill_between_upload_and_commit_is_made_up_for(tmp_path: Path, root: Root) -> None:
    with history(tmp_path / "data") as h:
        check_owner(root, h.directory.id)
        play(h, 1, 2)
        with pytest.raises(KeyboardInterrupt):
            Dying(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        assert rows(root) == []
        assert len(list(store.files(root / "occurrences", "date="))) == 1
        assert vacuum(root, "occurrences", now=NEXT_DAY, after=timedelta(0)).files == 0  # it may be about to be named
        deliver(h, root)
        assert rows(root) == TWO_BATCHES


@pytest.mark.parametrize("lost", ["/occurrences/_delta_log/", "/batches/_delta_log/", "/occurrences/date="])
def test_a_commit_whose_answer_was_lost_is_not_made_again(tmp_path: Path, root: Root, server: S3, lost: str) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1)
        one = deliverer(h, root)
        one.deliver([])
        server.unanswered = lost
        with contextlib.suppress(ArchiveError):
            one.deliver(h.batches.undelivered)
        assert server.unanswered == ""
        assert one.deliver(h.batches.undelivered)["occurrences"] == 1
        assert rows(root) == TWO_BATCHES[:2]
        assert (len(files(root)), len(files(root, "batches"))) == (1, 1)
        versions = [table.version() for name in ("occurrences", "batches") if (table := open_to_read(root, name))]
        assert versions == [1, 1]


def test_a_store_that_is_away_costs_nothing_and_gets_everything_later(tmp_path: Path, root: Root, server: S3) -> None:
    with history(tmp_path / "data") as h:
        one = deliverer(h, root)
        play(h, 1)
        h.batches.delivered(one.deliver(h.batches.undelivered))
        server.stop()
        play(h, 2)
        with pytest.raises(ArchiveError, match=f"archive.*{URL}: the store cannot be reached") as caught:
            one.deliver(h.batches.undelivered)
        assert is_harmless(str(caught.value))
        assert len(staged_paths(h.directory)["occurrences"]) == 1
        server.start()
        h.batches.delivered(one.deliver(h.batches.undelivered))
        assert staged_paths(h.directory)["occurrences"] == []
        assert rows(root) == TWO_BATCHES
        assert failed(h, root) == []


def test_a_store_that_is_away_is_not_taken_for_one_that_is_empty(tmp_path: Path, root: Root, server: S3) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1)
        deliver(h, root)
    server.stop()
    for ask in (
        lambda: rows(root),
        lambda: check_owner(root, "fedcba9876543210"),
        lambda: status(root, {}, []),
        lambda: removals(root),
        lambda: compact_all(root, now=NEXT_DAY),
    ):
        with pytest.raises(ArchiveError, match="cannot be reached") as caught:
            ask()
        assert is_harmless(str(caught.value))


def test_an_archive_in_a_store_has_one_owner_and_can_be_taken_over(tmp_path: Path, root: Root) -> None:
    with history(tmp_path / "lost") as h:
        check_owner(root, h.directory.id)
        play(h, 1, 2)
        deliver(h, root)
        open_before = h.batches.state["open_summaries"]["occurrences"].sum()
    new = DataDirectory(tmp_path / "new")
    with new.owned():
        with pytest.raises(UsageError, match=f"archive.path {URL}: belongs to another data directory"):
            check_owner(root, new.id)
        check_owner(root, new.id, take_over=True)
        assert owner_of(root) == new.id
        batches = Batches(new, lambda _start, _end: iter(()), RULES)
        batches.load()
        now = START_AT + timedelta(minutes=3)
        go_on(batches, root, rules=RULES, scopes={"us-west1": [""]}, now=now)
    with history(new) as h:
        assert h.batches.state["open_summaries"]["occurrences"].sum() == open_before
        play(h, 4)
        deliver(h, root)
        assert failed(h, root) == []
    with history(tmp_path / "lost") as h:
        play(h, 3)
        with pytest.raises(UsageError, match="has taken it over from this one"):
            deliver(h, root)


def test_of_two_that_become_the_owner_at_once_one_does(root: Root) -> None:
    assert store.create(root / "batcher-owner", b"0123456789abcdef\n")
    assert not store.create(root / "batcher-owner", b"fedcba9876543210\n")
    assert owner_of(root) == "0123456789abcdef"


def test_a_store_that_replaces_what_it_should_not_is_refused(root: Root, server: S3) -> None:
    server.is_conditional = False
    with pytest.raises(ArchiveError, match="has no conditional writes"):
        check_owner(root, "0123456789abcdef")
    assert owner_of(root) == ""


def test_compaction_beside_a_delivery_loses_no_row(tmp_path: Path, root: Root) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        h.batches.delivered(deliver(h, root))

        def work(table: DeltaTable) -> None:
            """Deliver when the new file is written, and not yet named."""
            old = held(table)
            (chunk,) = chunks(root, "occurrences", old, keep=lambda found: found)
            new = list(write(root, "occurrences", "2026-11-23", chunk.rows, kind="part"))
            play(h, 3)
            h.batches.delivered(deliver(h, root))
            replace(root, "occurrences", table, old=old, new=new, now=NEXT_DAY)

        undisturbed(root, "occurrences", work)
        assert rows(root) == [*TWO_BATCHES, (3, "a"), (3, "b3")]
        assert len(files(root)) == 2
        assert failed(h, root, deep=True) == []


def test_two_compactions_of_the_same_files_keep_each_row_once(tmp_path: Path, root: Root) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        h.batches.delivered(deliver(h, root))
        tried = []

        def work(table: DeltaTable) -> None:
            old = held(table)
            tried.append(len(old))
            if len(tried) == 1:
                compact(root, "occurrences", now=NEXT_DAY)
            (chunk,) = chunks(root, "occurrences", old, keep=lambda found: found)
            new = list(write(root, "occurrences", "2026-11-23", chunk.rows, kind="part"))
            replace(root, "occurrences", table, old=old, new=new, now=NEXT_DAY)

        undisturbed(root, "occurrences", work)
        assert tried == [2, 1]
        assert rows(root) == TWO_BATCHES


def test_the_upkeep_of_a_store_compacts_retains_and_vacuums(tmp_path: Path, root: Root, server: S3) -> None:
    with history(tmp_path / "data") as h:
        check_owner(root, h.directory.id)
        play(h, 1, 2, 3)
        h.batches.delivered(deliver(h, root))
        pin(root, Pin("audit", START_AT, START_AT + timedelta(minutes=2, seconds=30)))
        assert [each.name for each in pins(root)] == ["audit"]
        first = keep(root, Policy(), owner=h.directory.id, now=NEXT_DAY)
        assert (first.troubles, len(files(root)), len(rows(root))) == ([], 1, 6)
        later = NEXT_DAY + timedelta(days=40)
        second = keep(root, Policy(), owner=h.directory.id, now=later)
        assert second.troubles == []
        assert rows(root) == TWO_BATCHES  # what is pinned
        third = keep(root, Policy(), owner=h.directory.id, now=later + timedelta(days=1))
        assert third.troubles == []
        there = [found.path for found in store.files(root / "occurrences", "date=")]
        assert there == [file.path for file in files(root)]
        assert failed(h, root) == []
        written = b"".join(data for data, _ in server.objects.values())
        assert SECRET.encode() not in written
        assert ACCESS_KEY.encode() not in written


def test_a_purge_of_a_store_removes_the_rows_of_a_workspace(tmp_path: Path, root: Root) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        h.batches.delivered(deliver(h, root))
        done = purge_all(root, Purge("root:shop", NEXT_DAY), now=NEXT_DAY)
        assert sum(each.rows for each in done if each.table == "occurrences") == 4
        assert rows(root) == []
        assert removals(root).purged == {1, 2}


WRONG = {
    "aws_access_key_id": ("AKIAOTHER", "the store refuses the credentials"),
    "aws_secret_access_key": ("other/secret", "the store refuses the credentials"),
}


@pytest.mark.parametrize("option", WRONG)
def test_wrong_credentials_are_told_in_one_line_without_them(tmp_path: Path, server: S3, option: str) -> None:
    value, expected = WRONG[option]
    wrong = store.place(URL, server.options | {option: value}, {})
    with history(tmp_path / "data") as h:
        play(h, 1)
        for ask in (lambda: deliver(h, wrong), lambda: check_owner(wrong, h.directory.id), lambda: rows(wrong)):
            with pytest.raises(ArchiveError, match=expected) as caught:
                ask()
            assert is_harmless(str(caught.value))
            assert value not in str(caught.value)


def test_a_bucket_that_is_not_there_is_not_taken_for_an_object_that_is_not(server: S3, root: Root) -> None:
    with pytest.raises(FileNotFoundError):
        store.read(root / "batcher-pins")
    with pytest.raises(StoreError, match="no such bucket"):
        store.read(store.place("s3://elsewhere/archive", server.options, {}) / "batcher-pins")


def test_a_bucket_that_is_not_there_is_told_with_what_to_do(tmp_path: Path, server: S3) -> None:
    nowhere = store.place("s3://elsewhere/archive", server.options, {})
    with history(tmp_path / "data") as h:
        play(h, 1)
        for ask in (lambda: deliver(h, nowhere), lambda: check_owner(nowhere, h.directory.id), lambda: rows(nowhere)):
            with pytest.raises(ArchiveError, match=r"no such bucket; make it, or correct archive\.path") as caught:
                ask()
            assert is_harmless(str(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "s3:/bucket/a", "s3://", "s3://b", "gs://bucket/a", "s3://key:canary@bucket/a", "s3://bucket/a?x=canary",
        "s3://bucket/../a", "s3://bucket/a*", "s3://bucket//a", "S3://bucket/a",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"archive\.path: not a URL such as s3://bucket/folder") as caught:
        store.place(url, {}, {})
    assert "canary" not in str(caught.value)


def test_options_that_are_none_are_refused_with_those_that_are() -> None:
    with pytest.raises(
        ConfigError, match=r"archive\.storageOptions\.aws_s3_allow_unsafe_rename: unknown; known: "
    ) as e:
        store.place(URL, {"AWS_S3_ALLOW_UNSAFE_RENAME": "canary"}, {})
    assert "canary" not in str(e.value)


def test_plain_http_must_be_asked_for(server: S3) -> None:
    closed = store.place(URL, server.options | {"allow_http": "false"}, {})
    with pytest.raises(ArchiveError, match="the endpoint is http; use https") as caught:
        check_owner(closed, "0123456789abcdef")
    assert is_harmless(str(caught.value))


def test_options_come_from_files_and_from_variables_and_those_of_the_file_win(tmp_path: Path, server: S3) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    given = server.where | {"AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret"), "AWS_DEFAULT_REGION": "eu-other-1"}
    root = store.place(
        URL,
        given,
        {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "other",
            "AWS_REGION": "x",
            "AWS_PAGER": "less",
            "HOME": "/",
        },
    )
    check_owner(root, "0123456789abcdef")
    assert owner_of(root) == "0123456789abcdef"
    assert isinstance(root, Store)
    assert root.options["aws_region"] == "eu-other-1"
    with pytest.raises(ConfigError, match=r"aws_session_token_file: /nowhere: No such file"):
        store.place(URL, {"aws_session_token_file": "/nowhere"}, {})


def test_no_credential_is_in_the_data_directory_or_in_what_is_printed_of_a_root(tmp_path: Path, root: Root) -> None:
    with history(tmp_path / "data") as h:
        h.directory.write_archive(root)
        play(h, 1)
        deliver(h, root)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept
    assert ACCESS_KEY.encode() not in kept
    assert b"eu-test-1" in kept
    assert f"{root}" == URL
    assert SECRET not in repr(root)
    assert ACCESS_KEY not in repr(root)
    again = DataDirectory(tmp_path / "data", storage={"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET})
    assert rows(again.archive) == TWO_BATCHES[:2]


def test_rows_of_a_folder_of_the_same_name_are_not_those_of_a_store(tmp_path: Path) -> None:
    assert store.place(str(tmp_path), {"aws_region": "x"}, {}) == tmp_path
    assert isinstance(scan(tmp_path, "gaps").collect(), pl.DataFrame)
