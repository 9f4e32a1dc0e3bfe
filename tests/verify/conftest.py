import shutil
from pathlib import Path

import pytest

from tests.history import history
from tests.verify.test_sums import play


@pytest.fixture(scope="session")
def played_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("played")
    with history(folder / "data") as h:
        play(h)
    return folder / "data"


@pytest.fixture
def played(played_once: Path, tmp_path: Path) -> Path:
    """A data directory in which :func:`play` has happened; a copy, as tests damage it."""
    shutil.copytree(played_once, tmp_path / "data")
    return tmp_path / "data"
