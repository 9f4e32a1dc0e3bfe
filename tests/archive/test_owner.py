from pathlib import Path

import pytest

from batcher.archive import check_owner
from batcher.archive.owner import confirm_owner
from batcher.errors import ArchiveError, UsageError

A, B, C = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"


def refused(root: Path, owner: str) -> str:
    with pytest.raises(UsageError) as caught:
        check_owner(root, owner)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_is_the_owner_for_good(tmp_path: Path) -> None:
    check_owner(tmp_path / "archive", A)
    check_owner(tmp_path / "archive", A)
    assert refused(tmp_path / "archive", B) == (
        f"archive.path {tmp_path}/archive: belongs to another data directory (id {A}, this one is {B}); "
        "use that one or another archive.path, or, if it is lost, --take-over with a new --data-dir"
    )
    check_owner(tmp_path / "archive", A)


def test_who_takes_over_is_the_owner_and_the_one_before_is_told_so(tmp_path: Path) -> None:
    check_owner(tmp_path, A)
    for _ in range(2):
        check_owner(tmp_path, B, take_over=True)
    check_owner(tmp_path, B)
    assert refused(tmp_path, A) == (
        f"archive.path {tmp_path}: another data directory (id {B}) has taken it over from this one (id {A}); "
        "use that one, or another archive.path"
    )
    check_owner(tmp_path, C, take_over=True)
    assert f"id {C}) has taken it over from this one (id {B})" in refused(tmp_path, B)
    assert f"id {C}) has taken it over from this one (id {A})" in refused(tmp_path, A)
    assert (tmp_path / "batcher-owner").read_text() == f"{C}\n{B}\n{A}\n"


def test_an_archive_without_an_owner_belongs_to_nobody_else(tmp_path: Path) -> None:
    confirm_owner(tmp_path, A)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError, match=r"archive\.path .*/file/archive: Not a directory"):
        check_owner(tmp_path / "file" / "archive", A)
