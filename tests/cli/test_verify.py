"""``batcher verify``: its exit code, and the batch that it names."""

import json
from pathlib import Path

import pytest

from tests.called import Told, called
from tests.history import history
from tests.verify.test_sums import change, play, set_to


async def verify(data: Path, *arguments: str) -> Told:
    return await called("verify", *arguments, "--data-dir", str(data))


@pytest.mark.parametrize("output", ["text", "json"])
async def test_exit_1_names_the_first_batch_that_differs(tmp_path: Path, output: str) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        change(h, "occurrences", 4, set_to("grew", 9))
        change(h, "batches", 2, set_to("received", 9))
    code, out, err = await verify(tmp_path / "data", "-o", output)
    assert (code, err) == (1, "verify: batch 2 is the first that differs\n")
    if output == "json":
        assert {check["batch"] for check in json.loads(out)} == {0, 2, 4}
    else:
        assert "FAILED  occurrences = sum of grew: batch 4: 5 said, 18 found" in out.splitlines()


async def test_deep_finds_what_no_sum_shows_and_text_is_safe_on_a_terminal(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        change(h, "occurrences", 2, set_to("message", "\x1b[2J"))
    assert (await verify(tmp_path / "data"))[0] == 0
    code, out, err = await verify(tmp_path / "data", "--deep")
    assert (code, err) == (1, "verify: batch 2 is the first that differs\n")
    assert "message is  [2J, recomputed Back-off" in out
    assert "\x1b" not in out
