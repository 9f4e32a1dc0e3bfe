"""Every notebook runs from top to bottom on an archive that a demo has just made, and is committed without outputs."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.service.world import batcher

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> dict[str, list[dict[str, object]]]:
    loaded: dict[str, list[dict[str, object]]] = json.loads(request.param.read_text(encoding="utf-8"))
    return loaded


def test_a_notebook_is_committed_without_outputs(notebook: dict[str, list[dict[str, object]]]) -> None:
    assert [cell for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")] == []


async def test_a_notebook_runs_on_the_archive_of_a_demo(
    notebook: dict[str, list[dict[str, object]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with batcher("demo", "--duration", "2s", "--data-dir", str(tmp_path / "d"), "--output", "json") as demo:
        report = json.loads((await demo.communicate())[0])
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "d"))
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source = cell["source"]
            assert isinstance(source, list)
            exec("".join(source), names)  # noqa: S102  the project's own notebook
    reasons = names["reasons"]
    assert isinstance(reasons, pl.DataFrame)
    assert reasons["occurrences"].sum() == report["occurrences"]
